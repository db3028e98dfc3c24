//! Events: what `kubectl describe` tells of an object's past.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::condition;

/// Longest note that the API server takes, in bytes.
const NOTE_MAX: usize = 1024;

/// Something that happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// Whether somebody should look.
    pub kind: Kind,
    /// One word for programs.
    pub reason: &'static str,
    /// What the operator did or tried.
    pub action: &'static str,
    /// A sentence for people.
    pub note: String,
}

/// Whether somebody should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All is in order.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Happening {
    /// An ordinary happening.
    pub fn normal(reason: &'static str, action: &'static str, note: impl Into<String>) -> Self {
        Self { kind: Kind::Normal, reason, action, note: note.into() }
    }

    /// A StatefulSet was made.
    #[must_use]
    pub fn created(name: &str) -> Self {
        Self::normal("Created", "Create", format!("Created StatefulSet {name}"))
    }

    /// The pods of a StatefulSet are being replaced.
    #[must_use]
    pub fn rolling(name: &str) -> Self {
        Self::normal(
            "Rolling",
            "Roll",
            format!("Replacing the pods of {name}, which its spec changed"),
        )
    }

    /// What a change of conditions tells: ready or no longer so, and stuck.
    #[must_use]
    pub fn between(before: &[Condition], after: &[Condition]) -> Vec<Self> {
        let mut happenings = Vec::new();
        let ready = |conditions| condition::is_true(conditions, condition::READY);
        let message = |type_| condition::find(after, type_).map(|c| c.message.clone());
        if ready(after) && !ready(before) {
            let note = message(condition::READY).unwrap_or_default();
            happenings.push(Self::normal("Ready", "Reconcile", note));
        }
        let stuck = condition::find(after, condition::STALLED);
        let was = condition::find(before, condition::STALLED);
        if let Some(stuck) = stuck
            && was.is_none_or(|was| was.message != stuck.message)
        {
            let (reason, note) = ("Stalled", format!("{}: {}", stuck.reason, stuck.message));
            happenings.push(Self { kind: Kind::Warning, reason, action: "Reconcile", note });
        }
        happenings
    }
}

/// Publishes events. A failure is logged: no reconciliation fails for an event.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
}

impl Events {
    /// Publishes as the replica `instance`.
    #[must_use]
    pub fn new(client: Client, instance: &str) -> Self {
        let reporter = Reporter {
            controller: "rocketmq.gantry.rs/operator".to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self { client, reporter }
    }

    /// Publishes a happening about `object`.
    pub async fn publish(&self, object: &ObjectReference, happening: Happening) {
        let mut note = happening.note;
        note.truncate(note.floor_char_boundary(NOTE_MAX));
        let event = Event {
            type_: match happening.kind {
                Kind::Normal => EventType::Normal,
                Kind::Warning => EventType::Warning,
            },
            reason: happening.reason.to_owned(),
            note: Some(note),
            action: happening.action.to_owned(),
            secondary: None,
        };
        // A recorder that is kept counts events of the same reason as one and drops the later notes,
        // although they tell of other brokers.
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if let Err(error) = recorder.publish(&event, object).await {
            tracing::warn!(%error, reason = happening.reason, "event not published");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Finding, READY, STALLED, merge};
    use k8s_openapi::jiff::Timestamp;

    fn conditions(findings: Vec<Finding>) -> Vec<Condition> {
        merge(&[], findings, None, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn only_changes_are_told() {
        let ready = conditions(vec![Finding::new(READY, true, "AllReady", "all")]);
        let stuck = conditions(vec![
            Finding::new(READY, false, "PodsFailing", "x"),
            Finding::new(STALLED, true, "PodsFailing", "x"),
        ]);
        let reasons = |before: &[Condition], after: &[Condition]| -> Vec<&'static str> {
            Happening::between(before, after).iter().map(|h| h.reason).collect()
        };
        assert_eq!(reasons(&[], &ready), ["Ready"]);
        assert_eq!(reasons(&ready, &ready), [""; 0]);
        assert_eq!(reasons(&ready, &stuck), ["Stalled"]);
        assert_eq!(reasons(&stuck, &stuck), [""; 0]);
        assert_eq!(reasons(&stuck, &ready), ["Ready"]);
    }
}
