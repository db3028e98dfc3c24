//! What a client is told when a request is not served: a code and a sentence, both Java's where it has
//! them. A refusal is the client's matter and is answered, not logged.

use std::fmt::Display;

use gantry_model::{Group, Topic};
use gantry_remoting::wire::ResponseCode;

/// An answer that is not success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The protocol's code.
    pub code: ResponseCode,
    /// Why, for a person.
    pub remark: String,
}

impl Refusal {
    /// Any refusal.
    pub fn new(code: ResponseCode, remark: impl Display) -> Self {
        Self { code, remark: remark.to_string() }
    }

    /// Something failed here.
    pub fn system(remark: impl Display) -> Self {
        Self::new(ResponseCode::SYSTEM_ERROR, remark)
    }

    /// The topic does not exist and may not be created.
    pub fn no_topic(topic: &str) -> Self {
        Self::new(
            ResponseCode::TOPIC_NOT_EXIST,
            format_args!("topic[{topic}] not exist, apply first please!"),
        )
    }

    /// The group does not exist and may not be created.
    pub fn no_group(group: &str) -> Self {
        Self::new(
            ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            format_args!("subscription group [{group}] does not exist"),
        )
    }

    /// A parameter is wrong.
    pub fn parameter(remark: impl Display) -> Self {
        Self::new(ResponseCode::INVALID_PARAMETER, remark)
    }

    /// Something is not allowed.
    pub fn permission(remark: impl Display) -> Self {
        Self::new(ResponseCode::NO_PERMISSION, remark)
    }

    /// The message itself is not acceptable.
    pub fn illegal(remark: impl Display) -> Self {
        Self::new(ResponseCode::MESSAGE_ILLEGAL, remark)
    }

    /// The body cannot be read.
    pub fn body(error: impl Display) -> Self {
        Self::system(format_args!("the request's body cannot be read: {error}"))
    }
}

/// A topic's name, or the refusal that tells what is wrong with it.
pub fn topic(name: &str) -> Result<Topic, Refusal> {
    Topic::new(name).map_err(Refusal::parameter)
}

/// A group's name, or the refusal that tells what is wrong with it.
pub fn group(name: &str) -> Result<Group, Refusal> {
    Group::new(name).map_err(Refusal::parameter)
}
