//! What to do next so that the brokers have a ConsumerGroup as its spec says. Pure.
//!
//! Settings that the spec leaves out stay as the broker has them.

use gantry_client::body::SubscriptionGroupConfig;
use gantry_model::Group;

use crate::{
    crd::{Adoption, Claim, ConsumerGroupSpec, DriftPolicy},
    declared::{Past, Policies, Verdict, WasSynced},
};

/// The group on one broker group, if it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The brokerName.
    pub broker: String,
    /// Its settings.
    pub config: Option<SubscriptionGroupConfig>,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store the claim, then look again.
    Claim(Claim),
    /// Give these brokers these settings, then look again.
    Write(Vec<(String, SubscriptionGroupConfig)>),
    /// Nothing now.
    Rest(Verdict),
}

/// The next step.
#[must_use]
pub fn next(
    group: &Group,
    spec: &ConsumerGroupSpec,
    policies: &Policies,
    lives: &[Live],
    past: Past,
) -> Step {
    if past.claim.is_none() {
        return claim(group, spec, policies.adoption, lives);
    }
    let writes: Vec<_> = lives.iter().filter_map(|live| correction(group, spec, live)).collect();
    if writes.is_empty() {
        return Step::Rest(Verdict::Synced);
    }
    if past.was_synced == WasSynced::Yes && policies.drift == DriftPolicy::Report {
        let brokers: Vec<&str> = writes.iter().map(|(broker, _)| broker.as_str()).collect();
        let message = format!("the settings on {} are not those of the spec", brokers.join(", "));
        return Step::Rest(Verdict::Drifted(message));
    }
    Step::Write(writes)
}

fn claim(group: &Group, spec: &ConsumerGroupSpec, adoption: Adoption, lives: &[Live]) -> Step {
    let found: Vec<&Live> = lives.iter().filter(|live| live.config.is_some()).collect();
    if found.is_empty() {
        return Step::Claim(Claim::Created);
    }
    let refusal = match adoption {
        Adoption::Adopt => None,
        Adoption::Refuse => Some("the spec says adoption: Refuse".to_owned()),
        Adoption::AdoptIfMatching => {
            found.iter().find(|live| correction(group, spec, live).is_some()).map(|live| {
                format!(
                    "its settings on {} are not those of the spec; write those, or adoption: Adopt",
                    live.broker
                )
            })
        }
    };
    match refusal {
        None => Step::Claim(Claim::Adopted),
        Some(why) => {
            let message = format!("group {group} exists: {why}");
            Step::Rest(Verdict::stuck("AlreadyExists", message))
        }
    }
}

/// The settings that the broker is to get; nothing if it has them.
fn correction(
    group: &Group,
    spec: &ConsumerGroupSpec,
    live: &Live,
) -> Option<(String, SubscriptionGroupConfig)> {
    let before = live.config.clone().unwrap_or_else(|| SubscriptionGroupConfig {
        group_name: group.to_string(),
        ..SubscriptionGroupConfig::default()
    });
    let number = |wanted: Option<u32>, old: i32| {
        wanted.map_or(old, |wanted| i32::try_from(wanted).unwrap_or(i32::MAX))
    };
    let wanted = SubscriptionGroupConfig {
        consume_enable: spec.consume_enabled.unwrap_or(before.consume_enable),
        consume_broadcast_enable: spec.broadcast_enabled.unwrap_or(before.consume_broadcast_enable),
        consume_from_min_enable: spec.consume_from_min.unwrap_or(before.consume_from_min_enable),
        retry_queue_nums: number(spec.retry.queues, before.retry_queue_nums),
        retry_max_times: number(spec.retry.max_times, before.retry_max_times),
        ..before
    };
    (live.config.as_ref() != Some(&wanted)).then(|| (live.broker.clone(), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::{DeletionPolicy, Retry};

    const POLICIES: Policies = Policies {
        adoption: Adoption::AdoptIfMatching,
        drift: DriftPolicy::Correct,
        deletion: DeletionPolicy::Retain,
    };

    fn group() -> Group {
        Group::new("billing").unwrap()
    }

    fn spec(max_times: u32) -> ConsumerGroupSpec {
        let retry = Retry { queues: None, max_times: Some(max_times) };
        ConsumerGroupSpec { retry, ..ConsumerGroupSpec::default() }
    }

    fn live(max_times: Option<i32>) -> Live {
        let config = max_times.map(|retry_max_times| SubscriptionGroupConfig {
            group_name: "billing".to_owned(),
            retry_max_times,
            consume_timeout_minute: 99,
            ..SubscriptionGroupConfig::default()
        });
        Live { broker: "b".to_owned(), config }
    }

    const OURS: Past = Past { claim: Some(Claim::Created), was_synced: WasSynced::No };
    const NEW: Past = Past { claim: None, was_synced: WasSynced::No };

    #[test]
    fn a_group_nobody_has_is_claimed_and_then_created() {
        let step = next(&group(), &spec(3), &POLICIES, &[live(None)], NEW);
        assert_eq!(step, Step::Claim(Claim::Created));
        let step = next(&group(), &spec(3), &POLICIES, &[live(None)], OURS);
        let Step::Write(writes) = step else { panic!("{step:?}") };
        assert_eq!(writes[0].1.retry_max_times, 3);
        assert_eq!(writes[0].1.group_name, "billing");
    }

    #[test]
    fn what_the_spec_leaves_out_stays_as_the_broker_has_it() {
        let step = next(&group(), &spec(3), &POLICIES, &[live(Some(5))], OURS);
        let Step::Write(writes) = step else { panic!("{step:?}") };
        assert_eq!((writes[0].1.retry_max_times, writes[0].1.consume_timeout_minute), (3, 99));
        let left_out = ConsumerGroupSpec::default();
        let step = next(&group(), &left_out, &POLICIES, &[live(Some(5))], OURS);
        assert_eq!(step, Step::Rest(Verdict::Synced));
    }

    #[test]
    fn a_group_that_exists_is_adopted_if_nothing_changes() {
        let step = next(&group(), &spec(5), &POLICIES, &[live(Some(5)), live(None)], NEW);
        assert_eq!(step, Step::Claim(Claim::Adopted));
        let step = next(&group(), &spec(3), &POLICIES, &[live(Some(5))], NEW);
        assert!(matches!(step, Step::Rest(Verdict::Stuck { .. })));
    }

    #[test]
    fn drift_is_reported_if_the_spec_says_so() {
        let policies = Policies { drift: DriftPolicy::Report, ..POLICIES };
        let past = Past { was_synced: WasSynced::Yes, ..OURS };
        let step = next(&group(), &spec(3), &policies, &[live(Some(5))], past);
        assert!(matches!(step, Step::Rest(Verdict::Drifted(_))));
    }
}
