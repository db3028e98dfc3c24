//! Names of topics and consumer groups, as `TopicValidator` and `Validators` of Apache RocketMQ have
//! them: `% - _ | 0-9 A-Z a-z`, a topic of at most 127 characters (255 behind `%RETRY%` and `%DLQ%`),
//! a group of at most 120.
//!
//! A `Topic` or `Group` that exists is valid; cloning one copies no text.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest topic name, in characters.
pub const TOPIC_MAX: usize = 127;
/// Longest name of a retry or dead-letter topic, in characters.
pub const RETRY_TOPIC_MAX: usize = 255;
/// Longest group name, in characters.
pub const GROUP_MAX: usize = 120;
/// What the retry topic of a group begins with.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// What the dead-letter topic of a group begins with.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// The template from which unknown topics are created.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";

/// Why a name was refused. The texts are those of Apache RocketMQ where it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only blanks.
    #[error("The specified {what} is blank.")]
    Blank {
        /// "topic" or "group".
        what: &'static str,
    },
    /// A character that is not allowed.
    #[error("The specified {what} contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Illegal {
        /// "topic" or "group".
        what: &'static str,
    },
    /// More characters than allowed.
    #[error("The specified {what} is longer than {what} max length {max}.")]
    TooLong {
        /// "topic" or "group".
        what: &'static str,
        /// Characters allowed.
        max: usize,
    },
}

fn check(name: &str, what: &'static str, max: usize) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank { what });
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-')) {
        return Err(NameError::Illegal { what });
    }
    if name.len() > max {
        return Err(NameError::TooLong { what, max });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name. Fails with the sentence the client is to read.
            pub fn new(name: &str) -> Result<Self, NameError> {
                let max: fn(&str) -> usize = $max;
                check(name, $what, max(name))?;
                Ok(Self(name.into()))
            }

            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                Self::new(&name)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name! {
    /// The name of a topic.
    Topic, "topic", |name| if name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX) {
        RETRY_TOPIC_MAX
    } else {
        TOPIC_MAX
    }
}
name! {
    /// The name of a consumer or producer group.
    Group, "group", |_| GROUP_MAX
}

impl Topic {
    /// The topic that holds a group's messages that are to be consumed again.
    #[must_use]
    pub fn retry_of(group: &Group) -> Self {
        Self(format!("{RETRY_PREFIX}{group}").into())
    }

    /// The topic that holds a group's messages that nobody could consume.
    #[must_use]
    pub fn dlq_of(group: &Group) -> Self {
        Self(format!("{DLQ_PREFIX}{group}").into())
    }

    /// Whether this is a group's retry topic.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX)
    }

    /// Whether this is a group's dead-letter topic.
    #[must_use]
    pub fn is_dlq(&self) -> bool {
        self.0.starts_with(DLQ_PREFIX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_java_validators() {
        assert!(Topic::new("Orders_2024-a|b%c").is_ok());
        assert_eq!(Topic::new(" "), Err(NameError::Blank { what: "topic" }));
        assert_eq!(Topic::new("a.b"), Err(NameError::Illegal { what: "topic" }));
        assert_eq!(
            Topic::new(&"t".repeat(128)),
            Err(NameError::TooLong { what: "topic", max: 127 })
        );
        assert!(Topic::new(&format!("%RETRY%{}", "g".repeat(120))).is_ok());
        assert_eq!(
            Group::new(&"g".repeat(121)),
            Err(NameError::TooLong { what: "group", max: 120 })
        );
    }

    #[test]
    fn retry_and_dead_letter_topics_of_the_longest_group_are_valid() {
        let group = Group::new(&"g".repeat(120)).unwrap();
        for topic in [Topic::retry_of(&group), Topic::dlq_of(&group)] {
            assert_eq!(Topic::new(topic.as_str()), Ok(topic));
        }
    }
}
