//! Conditions of all kinds: their names, and how a new finding changes those that are stored.
//!
//! Ready is the summary and becomes False, never a second type. Reconciling and Stalled exist only
//! while they are true, as kstatus wants it.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The object is what its spec says, and it works.
pub const READY: &str = "Ready";
/// Every broker group has a master that may acknowledge.
pub const WRITES_AVAILABLE: &str = "WritesAvailable";
/// Every broker group has a second copy of its messages.
pub const REDUNDANT: &str = "Redundant";
/// Everything that runs, runs as the spec says.
pub const UP_TO_DATE: &str = "UpToDate";
/// The user asked the operator to keep its hands off.
pub const PAUSED: &str = "ReconciliationPaused";
/// The brokers have what the spec says.
pub const SYNCED: &str = "Synced";
/// Members of the group are online.
pub const ACTIVE: &str = "Active";
/// Somebody else changed the object on the brokers.
pub const DRIFT_DETECTED: &str = "DriftDetected";
/// An older custom resource has the same name on the brokers.
pub const CONFLICT: &str = "Conflict";
/// The operator is working on it (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// The operator can get no further without help (kstatus).
pub const STALLED: &str = "Stalled";

/// Longest message the API server takes in a condition.
const MESSAGE_MAX: usize = 32_768;

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

impl Holds {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a reconciliation found out about one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type.
    pub type_: &'static str,
    /// Whether it holds.
    pub holds: Holds,
    /// One word for programs, in CamelCase.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    /// A finding about the condition `type_`.
    pub fn new(
        type_: &'static str,
        holds: impl Into<Holds>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, holds: holds.into(), reason, message: message.into() }
    }
}

/// The conditions to store: one for each finding, in their order. A condition whose status stays
/// keeps its transition time; one without a finding is gone.
#[must_use]
pub fn merge(
    stored: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .into_iter()
        .map(|finding| {
            let status = finding.holds.as_str();
            let since = stored
                .iter()
                .find(|c| c.type_ == finding.type_ && c.status == status)
                .map_or_else(|| whole_seconds(now), |c| c.last_transition_time.clone());
            let mut message = finding.message;
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
            Condition {
                type_: finding.type_.to_owned(),
                status: status.to_owned(),
                reason: finding.reason.to_owned(),
                message,
                last_transition_time: since,
                observed_generation: generation,
            }
        })
        .collect()
}

/// The condition of the type, if it is there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of the type is there and True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

/// The API server stores seconds only: a finer time would differ from what it gives back.
fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = merge(&[], vec![Finding::new(READY, false, "Creating", "a")], Some(1), at(10));
        let second =
            merge(&first, vec![Finding::new(READY, false, "Waiting", "b")], Some(2), at(20));
        assert_eq!(second[0].last_transition_time.0, at(10));
        assert_eq!(second[0].reason, "Waiting");
        assert_eq!(second[0].observed_generation, Some(2));
        let third =
            merge(&second, vec![Finding::new(READY, true, "AllReady", "")], Some(2), at(30));
        assert_eq!(third[0].last_transition_time.0, at(30));
    }

    #[test]
    fn a_condition_without_a_finding_goes() {
        let first = merge(
            &[],
            vec![Finding::new(READY, true, "A", ""), Finding::new(STALLED, true, "B", "")],
            None,
            at(1),
        );
        let second = merge(&first, vec![Finding::new(READY, true, "A", "")], None, at(2));
        assert!(find(&second, STALLED).is_none());
        assert!(is_true(&second, READY));
    }
}
