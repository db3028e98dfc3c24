//! Why a call failed: one enum for all verbs, with the broker's own code and words where it gave any.

use std::time::Duration;

use gantry_model::NameError;
use gantry_remoting::wire::{RequestCode, ResponseCode};

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with a refusal.
    #[error("{address} refuses {request}: {remark} (code {})", .code.0)]
    Refused {
        /// Who.
        address: String,
        /// What was asked.
        request: RequestCode,
        /// Why, as a number of the protocol.
        code: ResponseCode,
        /// Why, in the server's words.
        remark: String,
    },
    /// No connection could be made, or it broke. A request that was sent may have been executed.
    #[error("{address}: {reason}")]
    Connection {
        /// To whom.
        address: String,
        /// What the network said.
        reason: String,
    },
    /// No answer came in time. The request may have been executed.
    #[error("{address} did not answer {request} within {after:?}")]
    TimedOut {
        /// Who.
        address: String,
        /// What was asked.
        request: RequestCode,
        /// How long it had.
        after: Duration,
    },
    /// The answer can't be understood.
    #[error("{address} answered {request} with something unreadable: {reason}")]
    Unreadable {
        /// Who.
        address: String,
        /// What was asked.
        request: RequestCode,
        /// What is wrong with it.
        reason: String,
    },
    /// No NameServer is configured.
    #[error("no NameServer is configured")]
    NoNameServer,
    /// No broker has the topic, or none that may be written to (or read from).
    #[error("no broker serves topic {topic}")]
    NoRoute {
        /// The topic.
        topic: String,
    },
    /// The NameServer knows no master of this broker group.
    #[error("broker group {broker} has no master")]
    NoMaster {
        /// The broker group's name.
        broker: String,
    },
    /// A name that the protocol does not allow.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A message that the protocol can't carry.
    #[error("the message cannot be sent: {0}")]
    Message(String),
    /// An id that is not that of a stored message.
    #[error("{0} is not the id of a stored message")]
    MessageId(String),
}

impl ClientError {
    /// The server's code, if it refused.
    #[must_use]
    pub fn code(&self) -> Option<ResponseCode> {
        if let Self::Refused { code, .. } = self { Some(*code) } else { None }
    }

    /// The server's words, if it refused.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        if let Self::Refused { remark, .. } = self { Some(remark) } else { None }
    }

    /// Whether the server refused with exactly this code.
    #[must_use]
    pub fn is(&self, wanted: ResponseCode) -> bool {
        self.code() == Some(wanted)
    }

    /// Whether the request may have been executed although it failed: a send that failed like this
    /// may be stored, and sending it again may store it twice.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::TimedOut { .. } | Self::Unreadable { .. })
    }

    /// Whether another broker may do what this one would not, as Java's producer judges it.
    #[must_use]
    pub fn may_work_elsewhere(&self) -> bool {
        const ELSEWHERE: [ResponseCode; 6] = [
            ResponseCode::SYSTEM_ERROR,
            ResponseCode::SYSTEM_BUSY,
            ResponseCode::SERVICE_NOT_AVAILABLE,
            ResponseCode::NO_PERMISSION,
            ResponseCode::TOPIC_NOT_EXIST,
            ResponseCode::GO_AWAY,
        ];
        self.code().is_some_and(|code| ELSEWHERE.contains(&code))
            || matches!(self, Self::Connection { .. } | Self::TimedOut { .. })
    }
}
