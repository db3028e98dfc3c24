//! Which StatefulSets may be applied now. Pure.
//!
//! What does not exist is made at once, and what restarts no pod is applied at once. A change that
//! restarts pods goes to one workload at a time, NameServers first, and only while everything else
//! runs: a change that breaks one broker group stops there. A workload that is down already comes
//! first, since changing it costs nothing and may heal it.

use super::build::Part;

/// What applying a workload would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Create it.
    Create,
    /// Replace its pods.
    Restart,
    /// Change it without touching its pods.
    InPlace,
    /// Nothing.
    None,
}

/// How the workload's pods are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All run the StatefulSet's newest revision and are ready.
    Settled,
    /// They are on their way; the text says where.
    Progressing(String),
    /// They will not get there by themselves; the text says why.
    Failed(String),
}

/// A workload as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Which one.
    pub part: Part,
    /// What applying it would do.
    pub change: Change,
    /// How its pods are.
    pub health: Health,
}

/// The workloads to apply now. `states` is in the order in which changes are rolled out.
#[must_use]
pub fn next(states: &[State]) -> Vec<Part> {
    let free = |state: &&State| matches!(state.change, Change::Create | Change::InPlace);
    let mut parts: Vec<Part> = states.iter().filter(free).map(|state| state.part).collect();
    parts.extend(next_restart(states));
    parts
}

fn next_restart(states: &[State]) -> Option<Part> {
    let mut waiting = states.iter().filter(|state| state.change == Change::Restart);
    let down = |state: &&State| state.health != Health::Settled;
    if let Some(broken) = waiting.clone().find(down) {
        return Some(broken.part);
    }
    let all_run = states.iter().all(|state| state.health == Health::Settled);
    if all_run { waiting.next().map(|state| state.part) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(part: Part, change: Change) -> State {
        State { part, change, health: Health::Settled }
    }

    fn down(part: Part, change: Change) -> State {
        State { part, change, health: Health::Progressing(String::new()) }
    }

    use Change::{Create, InPlace, None, Restart};
    use Part::{Group, NameServers};

    #[test]
    fn a_new_cluster_is_created_at_once() {
        let states = [down(NameServers, Create), down(Group(0), Create), down(Group(1), Create)];
        assert_eq!(next(&states), [NameServers, Group(0), Group(1)]);
    }

    #[test]
    fn name_servers_are_restarted_first_and_groups_one_at_a_time() {
        let states = [settled(NameServers, Restart), settled(Group(0), Restart)];
        assert_eq!(next(&states), [NameServers]);
        let states = [down(NameServers, None), settled(Group(0), Restart)];
        assert_eq!(next(&states), []);
        let states =
            [settled(NameServers, None), settled(Group(0), Restart), settled(Group(1), Restart)];
        assert_eq!(next(&states), [Group(0)]);
        let states = [settled(NameServers, None), down(Group(0), None), settled(Group(1), Restart)];
        assert_eq!(next(&states), []);
    }

    #[test]
    fn a_group_that_failed_stops_the_roll_and_gets_the_next_change_first() {
        let failed = |change| State {
            part: Group(1),
            change,
            health: Health::Failed("image not found".to_owned()),
        };
        assert_eq!(next(&[settled(Group(0), Restart), failed(None)]), []);
        assert_eq!(next(&[settled(Group(0), Restart), failed(Restart)]), [Group(1)]);
    }

    #[test]
    fn what_restarts_nothing_is_never_held_back() {
        let states = [down(NameServers, InPlace), down(Group(0), None), down(Group(1), Create)];
        assert_eq!(next(&states), [NameServers, Group(1)]);
    }
}
