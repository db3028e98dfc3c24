//! Typed settings from properties: one table per server says, for each property, its name in the file,
//! its type, its bounds, its default and whether a change takes effect at once.
//!
//! ```
//! use gantry_chassis::settings;
//!
//! settings! {
//!     /// What the server can be told.
//!     pub struct Example {
//!         /// The port that clients connect to.
//!         restart "listenPort" listen_port: u16 = 9876,
//!         /// How many requests may wait.
//!         dynamic "waiting" waiting: u32 [1..=10_000] = 100,
//!     }
//! }
//!
//! use gantry_chassis::settings::Settings as _;
//! let (example, complaints) = Example::load("listenPort=0\nwaiting=0\nport=1\n");
//! assert_eq!((example.listen_port, example.waiting), (0, 100));
//! assert_eq!(complaints[0].to_string(), "line 2: waiting=0: must be in 1..=10000; using 100");
//! assert_eq!(complaints[1].to_string(), "line 3: port is not a known property; it has no effect");
//! ```

use std::{fmt, path::PathBuf};

use crate::properties;

/// When a changed value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At once.
    Dynamic,
    /// After the process was started again.
    Restart,
}

/// One property that a server knows.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name in the file.
    pub name: &'static str,
    /// When a change counts.
    pub effect: Effect,
    /// What it is for.
    pub doc: &'static str,
}

/// A value that has a text form in a properties file.
pub trait Value: Sized {
    /// Reads the text, which has no blanks around it. Fails with the end of a sentence: "must be ...".
    ///
    /// # Errors
    /// When the text is no such value.
    fn parse(text: &str) -> Result<Self, String>;
    /// The text that `parse` reads back.
    fn print(&self) -> String;
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| {
                    format!("must be a whole number in {}..={}", <$type>::MIN, <$type>::MAX)
                })
            }

            fn print(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32, u64, usize, i32, i64);

impl Value for f64 {
    fn parse(text: &str) -> Result<Self, String> {
        match text.parse::<Self>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err("must be a number".into()),
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Ok(true),
            _ if text.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn print(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must be a path".into()) } else { Ok(text.into()) }
    }

    fn print(&self) -> String {
        self.display().to_string()
    }
}

/// An empty text means that the property is not given.
impl<T: Value> Value for Option<T> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.as_ref().map(T::print).unwrap_or_default()
    }
}

/// A property that could not be taken, for the log at start or the answer to an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The line, counted from 1.
    pub line: usize,
    /// The property's name as given.
    pub name: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No setting has this name.
    Unknown,
    /// The value cannot be used; the setting keeps what it had.
    Unusable {
        /// The text that was given.
        given: String,
        /// "must be ...".
        reason: String,
        /// The value that stays.
        kept: String,
    },
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, name, problem } = self;
        match problem {
            Problem::Unknown => {
                write!(f, "line {line}: {name} is not a known property; it has no effect")
            }
            Problem::Unusable { given, reason, kept } => {
                write!(f, "line {line}: {name}={given}: {reason}; using {kept}")
            }
        }
    }
}

/// A property whose value an update changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The property.
    pub name: &'static str,
    /// Its new value.
    pub value: String,
    /// When it counts.
    pub effect: Effect,
}

/// What an update comes to. Nothing has happened yet: the caller decides what to do with it.
#[derive(Debug, Clone)]
pub struct Update<S> {
    /// The settings with every usable change.
    pub settings: S,
    /// What differs from before.
    pub changes: Vec<Change>,
    /// What could not be taken.
    pub complaints: Vec<Complaint>,
}

/// Typed settings; implemented by [`settings!`](crate::settings!).
pub trait Settings: Default + Clone {
    /// All properties, in the order of the table.
    const PROPERTIES: &'static [Property];

    /// Sets one property from text. `None` when no setting has this name.
    fn take(&mut self, name: &str, text: &str) -> Option<Result<(), String>>;

    /// The value of one property as text, if there is such a setting.
    fn text(&self, name: &str) -> Option<String>;

    /// Reads a whole file over the defaults.
    fn load(text: &str) -> (Self, Vec<Complaint>) {
        let update = Self::default().update(text);
        (update.settings, update.complaints)
    }

    /// Applies properties text to a copy of these settings.
    fn update(&self, text: &str) -> Update<Self> {
        let mut settings = self.clone();
        let mut complaints = Vec::new();
        for entry in properties::parse(text) {
            let given = entry.value.trim();
            let problem = match settings.take(&entry.key, given) {
                Some(Ok(())) => continue,
                None => Problem::Unknown,
                Some(Err(reason)) => Problem::Unusable {
                    given: given.to_owned(),
                    reason,
                    kept: settings.text(&entry.key).unwrap_or_default(),
                },
            };
            complaints.push(Complaint { line: entry.line, name: entry.key, problem });
        }
        let changes = Self::PROPERTIES
            .iter()
            .filter_map(|p| {
                let value = settings.text(p.name)?;
                (self.text(p.name).as_ref() != Some(&value)).then_some(Change {
                    name: p.name,
                    value,
                    effect: p.effect,
                })
            })
            .collect();
        Update { settings, changes, complaints }
    }

    /// All values as properties text, one a line, in the order of the table.
    fn print(&self) -> String {
        let mut out = String::new();
        for property in Self::PROPERTIES {
            if let Some(value) = self.text(property.name) {
                properties::write(&mut out, property.name, &value);
            }
        }
        out
    }
}

/// Checks a value against the bounds of its row.
///
/// # Errors
/// "must be in a..=b".
pub fn bounded<T: PartialOrd + fmt::Debug>(
    value: T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<T, String> {
    if range.contains(&value) { Ok(value) } else { Err(format!("must be in {range:?}")) }
}

/// Declares settings: `<dynamic|restart> "propertyName" field: Type [bounds] = default,` with a doc for
/// each. See the module's example.
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                #[doc = $doc:literal]
                $(#[doc = $more:literal])*
                $effect:ident $key:literal $field:ident : $type:ty $([$range:expr])? = $default:expr
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        $vis struct $name {
            $(
                #[doc = $doc]
                $(#[doc = $more])*
                pub $field: $type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::settings::Settings for $name {
            const PROPERTIES: &'static [$crate::settings::Property] = &[
                $($crate::settings::Property {
                    name: $key,
                    effect: $crate::settings!(@effect $effect),
                    doc: concat!($doc $(, $more)*),
                },)*
            ];

            fn take(&mut self, name: &str, text: &str) -> Option<Result<(), String>> {
                Some(match name {
                    $($key => <$type as $crate::settings::Value>::parse(text)
                        $(.and_then(|value| $crate::settings::bounded(value, &($range))))?
                        .map(|value| self.$field = value),)*
                    _ => return None,
                })
            }

            fn text(&self, name: &str) -> Option<String> {
                Some(match name {
                    $($key => <$type as $crate::settings::Value>::print(&self.$field),)*
                    _ => return None,
                })
            }
        }
    };
    (@effect dynamic) => { $crate::settings::Effect::Dynamic };
    (@effect restart) => { $crate::settings::Effect::Restart };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::settings! {
        /// Settings of a test.
        struct Sample {
            /// A port.
            restart "listenPort" listen_port: u16 = 9876,
            /// A bound.
            /// With a second line.
            dynamic "waiting" waiting: u32 [1..=10] = 5,
            /// A switch.
            dynamic "enabled" enabled: bool = false,
            /// A name that may be missing.
            restart "name" name: Option<String> = None,
            /// A directory.
            restart "home" home: PathBuf = PathBuf::from("/data"),
        }
    }

    #[test]
    fn properties_become_typed_fields_and_the_rest_is_named() {
        let text = "listenPort = 70000\nwaiting=7 \nenabled=TRUE\nnoSuch=1\nname=a b\n";
        let (sample, complaints) = Sample::load(text);
        assert_eq!(
            sample,
            Sample { waiting: 7, enabled: true, name: Some("a b".into()), ..Sample::default() }
        );
        let complaints: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        assert_eq!(
            complaints,
            [
                "line 1: listenPort=70000: must be a whole number in 0..=65535; using 9876",
                "line 4: noSuch is not a known property; it has no effect",
            ]
        );
    }

    #[test]
    fn what_is_printed_loads_again() {
        let sample = Sample { name: Some(" x=\\".trim().into()), waiting: 1, ..Sample::default() };
        assert_eq!(Sample::load(&sample.print()), (sample, vec![]));
        assert_eq!(
            Sample::default().print(),
            "listenPort=9876\nwaiting=5\nenabled=false\nname=\nhome=/data\n"
        );
    }

    #[test]
    fn an_update_tells_what_changes_and_when_it_counts() {
        let update = Sample::default().update("waiting=11\nenabled=true\nlistenPort=1\nhome=/data");
        assert_eq!(
            update.changes,
            [
                Change { name: "listenPort", value: "1".into(), effect: Effect::Restart },
                Change { name: "enabled", value: "true".into(), effect: Effect::Dynamic },
            ]
        );
        assert_eq!(update.complaints.len(), 1);
        assert_eq!(update.settings.waiting, 5);
        assert_eq!(Sample::PROPERTIES[1].doc, " A bound. With a second line.");
    }
}
