//! What a client says of itself every 30 seconds.

use serde::{Deserialize, Serialize};

/// A client's groups and subscriptions (`HeartbeatData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeartbeatData {
    /// The client.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// As what it consumes.
    pub consumer_data_set: Vec<ConsumerData>,
    /// A hash of all this; 0 if the client does not use it.
    pub heartbeat_fingerprint: i32,
    /// As what it produces.
    pub producer_data_set: Vec<ProducerData>,
    /// Whether subscriptions are left out because the fingerprint says that they are as before.
    pub without_sub: bool,
}

/// A group in which a client produces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// The group.
    pub group_name: String,
}

/// A group in which a client consumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerData {
    /// Where a new group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// Who asks for messages.
    pub consume_type: ConsumeType,
    /// The group.
    pub group_name: String,
    /// Who gets a message.
    pub message_model: MessageModel,
    /// What it consumes.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether the client works in a unit of a multi-site set-up.
    pub unit_mode: bool,
}

/// What is consumed of one topic (`SubscriptionData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Legacy: filtered by a class.
    pub class_filter_mode: bool,
    /// The hashes of the tags. The Go client writes them as texts.
    #[serde(deserialize_with = "super::numbers")]
    pub code_set: Vec<i32>,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The expression; `*` is all.
    pub sub_string: String,
    /// When the client subscribed; newer ones replace older ones.
    pub sub_version: i64,
    /// The tags; empty is all.
    pub tags_set: Vec<String>,
    /// The topic.
    pub topic: String,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        #[serde(from = "String", into = "&'static str")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
        }

        impl $name {
            /// Java's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        /// A name that is unknown here counts as the default: newer clients must not be cut off.
        impl From<String> for $name {
            fn from(name: String) -> Self {
                match name.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::default(),
                }
            }
        }

        impl From<$name> for &'static str {
            fn from(value: $name) -> Self {
                value.name()
            }
        }
    };
}

words! {
    /// Who asks for messages.
    ConsumeType {
        /// The application pulls.
        Actively = "CONSUME_ACTIVELY",
        /// The library pulls and calls the application.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        /// The library pops.
        Pop = "CONSUME_POP",
    }
}

words! {
    /// Who gets a message.
    MessageModel {
        /// Every member of the group.
        Broadcasting = "BROADCASTING",
        /// One member of the group.
        #[default]
        Clustering = "CLUSTERING",
    }
}

words! {
    /// Where a new group begins.
    ConsumeFromWhere {
        /// With what comes from now on.
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// With the first message there is.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
        /// Deprecated.
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// Deprecated.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// Deprecated.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
    }
}
