//! What Topic and ConsumerGroup share: both declare something that the brokers hold. Who owns a name,
//! whether something found may be taken over, and what the conditions say. Pure.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};

use crate::{
    condition::{self, Finding, Holds},
    crd::{Adoption, Claim, DeletionPolicy, DriftPolicy},
};

/// How a reconciliation of a Topic or ConsumerGroup ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The brokers have what the spec says.
    Synced,
    /// More is to be done, without help.
    Working {
        /// One word for programs.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Only a person can help.
    Stuck {
        /// One word for programs.
        reason: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// Somebody else changed it, and the spec says to leave that; the text says what.
    Drifted(String),
}

/// Reason of a verdict: an older object has the name.
pub const NAME_IN_USE: &str = "NameInUse";

impl Verdict {
    /// More is to be done.
    pub fn working(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Working { reason, message: message.into() }
    }

    /// Only a person can help.
    pub fn stuck(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Stuck { reason, message: message.into() }
    }
}

/// The user's policies, with their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policies {
    /// What to do with something that was there before.
    pub adoption: Adoption,
    /// What to do when somebody else changes it.
    pub drift: DriftPolicy,
    /// What to do in the end.
    pub deletion: DeletionPolicy,
}

/// What is known of the object from earlier runs: its own status, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// How it came to be ours.
    pub claim: Option<Claim>,
    /// Whether the brokers once had what this very generation of the spec says.
    pub was_synced: WasSynced,
}

/// Whether the brokers once had what this very generation of the spec says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasSynced {
    /// So a difference now is somebody else's doing.
    Yes,
    /// So a difference now is our own task.
    No,
}

impl WasSynced {
    /// From the stored conditions and the generation they were about.
    #[must_use]
    pub fn of(
        conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
        generation: Option<i64>,
    ) -> Self {
        let synced = condition::find(conditions, condition::SYNCED);
        let drifted = condition::is_true(conditions, condition::DRIFT_DETECTED);
        match synced {
            Some(c) if c.observed_generation == generation && (c.status == "True" || drifted) => {
                Self::Yes
            }
            _ => Self::No,
        }
    }
}

/// The findings of a verdict, and those in `more`.
#[must_use]
pub fn findings(verdict: &Verdict, more: Vec<Finding>) -> Vec<Finding> {
    let (holds, reason, message) = match verdict {
        Verdict::Synced => (true, "Synced", "The brokers have what the spec says."),
        Verdict::Working { reason, message } | Verdict::Stuck { reason, message } => {
            (false, *reason, message.as_str())
        }
        Verdict::Drifted(what) => (false, "Drifted", what.as_str()),
    };
    let drifted = matches!(verdict, Verdict::Drifted(_));
    let conflict = reason == NAME_IN_USE;
    let mut findings = vec![
        Finding::new(condition::READY, holds, reason, message),
        Finding::new(condition::SYNCED, holds, reason, message),
    ];
    findings.extend(more);
    findings.push(if drifted {
        Finding::new(condition::DRIFT_DETECTED, true, "ChangedElsewhere", message)
    } else {
        Finding::new(condition::DRIFT_DETECTED, false, "NoDrift", "Nobody else changed it.")
    });
    findings.push(if conflict {
        Finding::new(condition::CONFLICT, true, NAME_IN_USE, message)
    } else {
        Finding::new(condition::CONFLICT, false, "NoConflict", "No other object has its name.")
    });
    match verdict {
        Verdict::Synced => {}
        Verdict::Working { .. } => {
            findings.push(Finding::new(condition::RECONCILING, true, reason, message));
        }
        Verdict::Stuck { .. } | Verdict::Drifted(_) => {
            findings.push(Finding::new(condition::STALLED, true, reason, message));
        }
    }
    findings
}

/// Whether members are online, as a condition.
#[must_use]
pub fn activity(members: Option<u32>) -> Finding {
    match members {
        None => Finding::new(
            condition::ACTIVE,
            Holds::Unknown,
            "BrokersUnreachable",
            "The brokers could not be asked.",
        ),
        Some(0) => {
            Finding::new(condition::ACTIVE, false, "NoMembers", "No member of the group is online.")
        }
        Some(_) => Finding::new(
            condition::ACTIVE,
            true,
            "MembersOnline",
            "Members of the group are online.",
        ),
    }
}

/// The object that owns a name on the brokers: the oldest, and of equally old ones the one whose name
/// comes first. `rivals` are all that want the name, this one included or not.
pub fn older_rival<'a>(
    own: &ObjectMeta,
    rivals: impl Iterator<Item = &'a ObjectMeta>,
) -> Option<&'a ObjectMeta> {
    let rank = |meta: &ObjectMeta| {
        let created = meta.creation_timestamp.as_ref().map(|t| t.0).unwrap_or(Timestamp::MAX);
        (created, meta.name.clone())
    };
    let own_rank = rank(own);
    rivals
        .filter(|rival| rival.uid != own.uid && rank(rival) < own_rank)
        .min_by_key(|rival| rank(rival))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{Conditions, ConsumerGroupStatus, TopicStatus};

    fn meta(name: &str, second: i64) -> ObjectMeta {
        use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        ObjectMeta {
            name: Some(name.to_owned()),
            uid: Some(name.to_owned()),
            creation_timestamp: Some(Time(Timestamp::from_second(second).unwrap())),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn the_oldest_object_owns_the_name() {
        let (a, b, c) = (meta("a", 5), meta("b", 3), meta("c", 3));
        let all = [a.clone(), b.clone(), c.clone()];
        let rival = |own: &ObjectMeta| older_rival(own, all.iter()).and_then(|m| m.name.clone());
        assert_eq!(rival(&a).as_deref(), Some("b"));
        assert_eq!(rival(&c).as_deref(), Some("b"));
        assert_eq!(rival(&b), None);
    }

    #[test]
    fn every_condition_of_the_default_status_is_always_set() {
        for verdict in [
            Verdict::Synced,
            Verdict::working("Creating", ""),
            Verdict::stuck(NAME_IN_USE, ""),
            Verdict::Drifted(String::new()),
        ] {
            let has = |findings: &[Finding], type_: &str| findings.iter().any(|f| f.type_ == type_);
            let topic = findings(&verdict, Vec::new());
            assert!(TopicStatus::TYPES.iter().all(|type_| has(&topic, type_)));
            let group = findings(&verdict, vec![activity(Some(0))]);
            assert!(ConsumerGroupStatus::TYPES.iter().all(|type_| has(&group, type_)));
        }
    }
}
