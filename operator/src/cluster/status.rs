//! The status of a BrokerCluster. Pure: what was seen goes in, what is to be stored comes out.

use std::collections::BTreeMap;

use k8s_openapi::{api::apps::v1::StatefulSet, jiff::Timestamp};

use super::{
    build::{Part, broker_selector},
    health,
    step::{Change, Health, State},
    validate::ValidCluster,
};
use crate::{
    condition::{self, Finding, Holds},
    crd::{BrokerClusterStatus, BrokersStatus, GroupStatus, NameServersStatus},
};

/// Why the operator can get no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One word for programs.
    pub reason: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// What a reconciliation has seen.
#[derive(Debug)]
pub struct View<'a> {
    /// The cluster as it is to be.
    pub cluster: &'a ValidCluster,
    /// Its workloads, in the order of a roll.
    pub states: &'a [State],
    /// Its StatefulSets by name.
    pub stateful_sets: &'a BTreeMap<String, StatefulSet>,
    /// Addresses of the groups' Services, by the group's number.
    pub addresses: &'a BTreeMap<u32, std::net::IpAddr>,
    /// Why it can get no further, if so.
    pub problem: Option<Problem>,
    /// Whether the user asked the operator to keep its hands off.
    pub paused: Paused,
}

/// Whether the user asked the operator to keep its hands off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// By annotation.
    Yes,
    /// Not.
    No,
}

/// The status of a cluster that was seen.
#[must_use]
pub fn of(
    stored: &BrokerClusterStatus,
    generation: Option<i64>,
    view: &View,
    now: Timestamp,
) -> BrokerClusterStatus {
    let groups: Vec<GroupStatus> =
        (0..view.cluster.brokers.groups).map(|n| group(view, n)).collect();
    let with_master = groups.iter().filter(|group| group.master.is_some()).count();
    let masters = u32::try_from(with_master).unwrap_or(u32::MAX);
    let exists = |n: &u32| set(view, Part::Group(*n)).is_some();
    let existing = (0..view.cluster.brokers.groups).filter(exists).count();
    let findings = findings(view, &groups);
    BrokerClusterStatus {
        observed_generation: generation,
        conditions: condition::merge(&stored.conditions, findings, generation, now),
        brokers: Some(BrokersStatus {
            groups: u32::try_from(existing).unwrap_or(u32::MAX),
            ready_groups: masters,
            masters,
        }),
        name_servers: Some(NameServersStatus {
            ready: set(view, Part::NameServers).map_or(0, health::ready_pods),
            endpoint: view.cluster.name_server_endpoint(),
        }),
        selector: Some(broker_selector(&view.cluster.name)),
        groups,
    }
}

/// The status of a cluster that cannot be built or is being deleted: what was seen before, and why.
#[must_use]
pub fn stopped(
    stored: &BrokerClusterStatus,
    generation: Option<i64>,
    problem: &Problem,
    now: Timestamp,
) -> BrokerClusterStatus {
    let unknown = |type_| Finding::new(type_, Holds::Unknown, problem.reason, &problem.message);
    let mut findings =
        vec![Finding::new(condition::READY, false, problem.reason, &problem.message)];
    findings.extend(
        [condition::WRITES_AVAILABLE, condition::REDUNDANT, condition::UP_TO_DATE].map(unknown),
    );
    findings.push(not_paused());
    findings.push(Finding::new(condition::STALLED, true, problem.reason, &problem.message));
    BrokerClusterStatus {
        observed_generation: generation,
        conditions: condition::merge(&stored.conditions, findings, generation, now),
        ..stored.clone()
    }
}

fn not_paused() -> Finding {
    Finding::new(
        condition::PAUSED,
        false,
        "Active",
        "The operator keeps the cluster as its spec says.",
    )
}

fn set<'a>(view: &'a View, part: Part) -> Option<&'a StatefulSet> {
    view.stateful_sets.get(&part.object(view.cluster))
}

fn group(view: &View, n: u32) -> GroupStatus {
    let set = set(view, Part::Group(n));
    let status = set.and_then(|set| set.status.as_ref());
    GroupStatus {
        name: view.cluster.broker_name(n),
        master: set
            .filter(|set| health::ready_pods(set) > 0)
            .map(|_| format!("{}-0", view.cluster.group_object(n))),
        address: view.addresses.get(&n).map(ToString::to_string),
        revision: status.and_then(|status| status.current_revision.clone()),
    }
}

fn findings(view: &View, groups: &[GroupStatus]) -> Vec<Finding> {
    let summary = summary(view, groups);
    let mut findings = vec![
        Finding::new(
            condition::READY,
            summary.stage == Stage::Done,
            summary.reason,
            &summary.message,
        ),
        writes(groups),
        Finding::new(
            condition::REDUNDANT,
            false,
            "NoSlaves",
            "Each group is one broker: its messages are as safe as its volume.",
        ),
        up_to_date(view),
        match view.paused {
            Paused::No => not_paused(),
            Paused::Yes => Finding::new(
                condition::PAUSED,
                true,
                "PausedByAnnotation",
                "The operator changes nothing until the annotation rocketmq.gantry.rs/pause-reconciliation is removed.",
            ),
        },
    ];
    match summary.stage {
        Stage::Done => {}
        Stage::Working => findings.push(Finding::new(
            condition::RECONCILING,
            true,
            summary.reason,
            &summary.message,
        )),
        Stage::Stuck => {
            findings.push(Finding::new(condition::STALLED, true, summary.reason, &summary.message));
        }
    }
    findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Done,
    Working,
    Stuck,
}

struct Summary {
    stage: Stage,
    reason: &'static str,
    message: String,
}

fn summary(view: &View, groups: &[GroupStatus]) -> Summary {
    if let Some(problem) = &view.problem {
        let message = problem.message.clone();
        return Summary { stage: Stage::Stuck, reason: problem.reason, message };
    }
    let name = |state: &State| state.part.object(view.cluster);
    let failed = view.states.iter().find_map(|state| match &state.health {
        Health::Failed(why) => Some(format!("{}: {why}", name(state))),
        Health::Settled | Health::Progressing(_) => None,
    });
    if let Some(message) = failed {
        return Summary { stage: Stage::Stuck, reason: "PodsFailing", message };
    }
    let mut waiting: Vec<String> = Vec::new();
    for state in view.states {
        match &state.health {
            Health::Progressing(where_) => waiting.push(format!("{}: {where_}", name(state))),
            Health::Settled | Health::Failed(_) if state.change == Change::Restart => {
                waiting.push(format!("{}: its change waits for its turn", name(state)));
            }
            Health::Settled | Health::Failed(_) => {}
        }
    }
    let counts = counts(view, groups);
    if waiting.is_empty() {
        return Summary { stage: Stage::Done, reason: "AllReady", message: format!("{counts}.") };
    }
    let rolling = view.states.iter().any(|state| state.change == Change::Restart);
    let reason = if rolling { "RollingOut" } else { "WaitingForPods" };
    let message = format!("{counts}. {}", waiting.join("; "));
    Summary { stage: Stage::Working, reason, message }
}

fn counts(view: &View, groups: &[GroupStatus]) -> String {
    let ready = groups.iter().filter(|group| group.master.is_some()).count();
    let name_servers = set(view, Part::NameServers).map_or(0, health::ready_pods);
    format!(
        "{name_servers} of {} NameServers and {ready} of {} broker groups are ready",
        view.cluster.name_servers.replicas,
        groups.len()
    )
}

fn writes(groups: &[GroupStatus]) -> Finding {
    let down: Vec<&str> =
        groups.iter().filter(|g| g.master.is_none()).map(|g| g.name.as_str()).collect();
    if down.is_empty() {
        let message = "Every broker group has a master that takes writes.";
        return Finding::new(condition::WRITES_AVAILABLE, true, "AllMastersUp", message);
    }
    let message = format!("No master takes writes in: {}.", down.join(", "));
    Finding::new(condition::WRITES_AVAILABLE, false, "MastersDown", message)
}

fn up_to_date(view: &View) -> Finding {
    let behind: Vec<String> = view
        .states
        .iter()
        .filter(|state| state.change != Change::None || state.health != Health::Settled)
        .map(|state| state.part.object(view.cluster))
        .collect();
    if behind.is_empty() {
        let message = "Everything runs as the spec says.";
        return Finding::new(condition::UP_TO_DATE, true, "UpToDate", message);
    }
    let message = format!("Not yet as the spec says: {}.", behind.join(", "));
    Finding::new(condition::UP_TO_DATE, false, "Behind", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cluster::validate::tests::valid, crd::Conditions};

    fn status(states: &[State], problem: Option<Problem>) -> BrokerClusterStatus {
        let cluster = valid("{}");
        let view = View {
            cluster: &cluster,
            states,
            stateful_sets: &BTreeMap::new(),
            addresses: &BTreeMap::new(),
            problem,
            paused: Paused::No,
        };
        of(&BrokerClusterStatus::default(), Some(3), &view, Timestamp::UNIX_EPOCH)
    }

    fn state(change: Change, health: Health) -> State {
        State { part: Part::Group(0), change, health }
    }

    /// (status of Ready, its reason, Reconciling, Stalled)
    fn verdict(status: &BrokerClusterStatus) -> (bool, String, bool, bool) {
        let ready = condition::find(&status.conditions, condition::READY).unwrap();
        (
            ready.status == "True",
            ready.reason.clone(),
            condition::is_true(&status.conditions, condition::RECONCILING),
            condition::is_true(&status.conditions, condition::STALLED),
        )
    }

    #[test]
    fn kstatus_gets_the_right_verdict_in_every_state() {
        let going = Health::Progressing("pod x".to_owned());
        let failed = Health::Failed("pod x".to_owned());
        let problem = Problem { reason: "NameTaken", message: String::new() };
        for (state, problem, wanted) in [
            (state(Change::None, Health::Settled), None, (true, "AllReady", false, false)),
            (state(Change::Create, going.clone()), None, (false, "WaitingForPods", true, false)),
            (state(Change::Restart, Health::Settled), None, (false, "RollingOut", true, false)),
            (state(Change::None, failed), None, (false, "PodsFailing", false, true)),
            (state(Change::None, going), Some(problem), (false, "NameTaken", false, true)),
        ] {
            let (ready, reason, reconciling, stalled) = wanted;
            assert_eq!(
                verdict(&status(&[state], problem)),
                (ready, reason.to_owned(), reconciling, stalled)
            );
        }
    }

    #[test]
    fn every_condition_of_the_default_status_is_always_set() {
        let problem = Problem { reason: "Invalid", message: String::new() };
        let stored = BrokerClusterStatus::default();
        let stopped = stopped(&stored, None, &problem, Timestamp::UNIX_EPOCH);
        for status in [status(&[], None), stopped] {
            for type_ in BrokerClusterStatus::TYPES {
                assert!(condition::find(&status.conditions, type_).is_some(), "{type_}");
            }
        }
    }

    #[test]
    fn the_status_of_the_same_view_is_the_same() {
        let first = status(&[state(Change::None, Health::Settled)], None);
        let cluster = valid("{}");
        let view = View {
            cluster: &cluster,
            states: &[state(Change::None, Health::Settled)],
            stateful_sets: &BTreeMap::new(),
            addresses: &BTreeMap::new(),
            problem: None,
            paused: Paused::No,
        };
        let later = Timestamp::from_second(9).unwrap();
        assert_eq!(of(&first, Some(3), &view, later), first);
    }
}
