//! What to do next so that the brokers have a Topic as its spec says. Pure.
//!
//! Every step follows from what the brokers have now. Queues grow in two steps: first every broker lets
//! consumers read the new queues; only when those have had time to notice do producers write them, for
//! a message must not lie where nobody reads. Queues never shrink here.

use gantry_client::body::TopicConfig;
use gantry_model::{Perm, Topic};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::{
    crd::{Adoption, Claim, DriftPolicy, TopicPermission},
    declared::{Past, Policies, Verdict, WasSynced},
};

/// How long consumers take to notice new queues: they ask for routes each 30 s and rebalance each 20 s.
pub const NOTICE: SignedDuration = SignedDuration::from_secs(50);

/// What the spec wants on each broker group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The topic.
    pub topic: Topic,
    /// Queues to read and to write.
    pub queues: u32,
    /// What clients may do.
    pub perm: Perm,
}

/// The topic on one broker group, if it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The brokerName.
    pub broker: String,
    /// Its settings.
    pub config: Option<TopicConfig>,
}

/// Whether anybody consumes the topic now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Members of some group are online.
    Present,
    /// Nobody, so nobody needs time to notice.
    Absent,
}

/// What is known beside the brokers' settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What earlier runs stored.
    pub past: Past,
    /// Since when consumers can read what producers may not yet write.
    pub readable_since: Option<Timestamp>,
    /// Whether anybody consumes the topic now.
    pub audience: Audience,
    /// The present.
    pub now: Timestamp,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Store the claim, then look again.
    Claim(Claim),
    /// Give these brokers these settings, then look again.
    Write(Vec<(String, TopicConfig)>),
    /// Store since when the new queues can be read, then look again.
    Readable,
    /// Nothing now.
    Rest(Verdict),
}

/// The permission bits of the spec's word.
#[must_use]
pub fn perm(permission: TopicPermission) -> Perm {
    match permission {
        TopicPermission::ReadWrite => Perm::READ_WRITE,
        TopicPermission::ReadOnly => Perm::READ,
        TopicPermission::WriteOnly => Perm::WRITE,
        TopicPermission::None => Perm::NONE,
    }
}

/// The next step.
#[must_use]
pub fn next(want: &Want, policies: &Policies, lives: &[Live], facts: &Facts) -> Step {
    let Some(_) = facts.past.claim else { return claim(want, policies.adoption, lives) };
    if let Some((live, config)) = configs(lives).find(|(_, c)| queues_of(c) > want.queues) {
        let message = format!(
            "{} has {} queues on {}, more than the spec's {}: set spec.queues to at least that, queues do not shrink in this version",
            want.topic,
            queues_of(config),
            live.broker,
            want.queues
        );
        return Step::Rest(Verdict::stuck("WouldShrink", message));
    }
    if facts.past.was_synced == WasSynced::Yes && policies.drift == DriftPolicy::Report {
        let differing = differences(want, lives);
        if !differing.is_empty() {
            return Step::Rest(Verdict::Drifted(differing.join("; ")));
        }
    }
    let first: Vec<_> = lives.iter().filter_map(|live| readable(want, live)).collect();
    if !first.is_empty() {
        return Step::Write(first);
    }
    let second: Vec<_> = lives.iter().filter_map(|live| writable(want, live)).collect();
    if second.is_empty() {
        return Step::Rest(Verdict::Synced);
    }
    match facts.readable_since {
        _ if facts.audience == Audience::Absent => Step::Write(second),
        None => Step::Readable,
        Some(since) if facts.now.duration_since(since) >= NOTICE => Step::Write(second),
        Some(_) => Step::Rest(Verdict::working(
            "WaitingForConsumers",
            format!(
                "Consumers can read {} queues; producers follow when consumers have noticed.",
                want.queues
            ),
        )),
    }
}

/// Whether the topic may be taken over, or is to be created.
fn claim(want: &Want, adoption: Adoption, lives: &[Live]) -> Step {
    let found: Vec<&str> = configs(lives).map(|(live, _)| live.broker.as_str()).collect();
    if found.is_empty() {
        return Step::Claim(Claim::Created);
    }
    let refusal = match adoption {
        Adoption::Adopt => None,
        Adoption::Refuse => Some("the spec says adoption: Refuse".to_owned()),
        Adoption::AdoptIfMatching => configs(lives)
            .find(|(_, config)| config.perm != want.perm || queues_of(config) > want.queues)
            .map(|(live, config)| {
                format!(
                    "on {} it has {} queues and permission {}; write that, or adoption: Adopt",
                    live.broker,
                    queues_of(config),
                    config.perm.bits()
                )
            }),
    };
    match refusal {
        None => Step::Claim(Claim::Adopted),
        Some(why) => {
            let message = format!("{} exists on {}: {why}", want.topic, found.join(", "));
            Step::Rest(Verdict::stuck("AlreadyExists", message))
        }
    }
}

fn configs(lives: &[Live]) -> impl Iterator<Item = (&Live, &TopicConfig)> {
    lives.iter().filter_map(|live| Some((live, live.config.as_ref()?)))
}

fn queues_of(config: &TopicConfig) -> u32 {
    config.read_queue_nums.max(config.write_queue_nums)
}

/// Settings with which consumers can read everything; nothing if they can.
fn readable(want: &Want, live: &Live) -> Option<(String, TopicConfig)> {
    let config = match &live.config {
        None => TopicConfig {
            topic_name: want.topic.to_string(),
            read_queue_nums: want.queues,
            write_queue_nums: want.queues,
            perm: want.perm,
            ..TopicConfig::default()
        },
        Some(config) if config.read_queue_nums < want.queues || config.perm != want.perm => {
            TopicConfig { read_queue_nums: want.queues, perm: want.perm, ..config.clone() }
        }
        Some(_) => return None,
    };
    Some((live.broker.clone(), config))
}

/// Settings with which producers use everything; nothing if they do.
fn writable(want: &Want, live: &Live) -> Option<(String, TopicConfig)> {
    let config = live.config.as_ref().filter(|c| c.write_queue_nums < want.queues)?;
    let config = TopicConfig { write_queue_nums: want.queues, ..config.clone() };
    Some((live.broker.clone(), config))
}

fn differences(want: &Want, lives: &[Live]) -> Vec<String> {
    lives
        .iter()
        .filter_map(|live| match &live.config {
            None => Some(format!("{} does not have it", live.broker)),
            Some(c)
                if c.read_queue_nums != want.queues
                    || c.write_queue_nums != want.queues
                    || c.perm != want.perm =>
            {
                Some(format!(
                    "{} has {} queues to read, {} to write and permission {}",
                    live.broker,
                    c.read_queue_nums,
                    c.write_queue_nums,
                    c.perm.bits()
                ))
            }
            Some(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::DeletionPolicy;

    const POLICIES: Policies = Policies {
        adoption: Adoption::AdoptIfMatching,
        drift: DriftPolicy::Correct,
        deletion: DeletionPolicy::Retain,
    };

    fn want(queues: u32) -> Want {
        Want { topic: Topic::new("orders").unwrap(), queues, perm: Perm::READ_WRITE }
    }

    fn live(read_write: Option<(u32, u32)>) -> Live {
        let config = read_write.map(|(read, write)| TopicConfig {
            topic_name: "orders".to_owned(),
            read_queue_nums: read,
            write_queue_nums: write,
            ..TopicConfig::default()
        });
        Live { broker: "b".to_owned(), config }
    }

    fn facts(claim: Option<Claim>) -> Facts {
        Facts {
            past: Past { claim, was_synced: WasSynced::No },
            readable_since: None,
            audience: Audience::Present,
            now: Timestamp::from_second(1000).unwrap(),
        }
    }

    /// The settings (read, write) that the step gives to each broker.
    fn writes(step: Step) -> Vec<(u32, u32)> {
        let Step::Write(writes) = step else { panic!("{step:?} is no write") };
        writes.iter().map(|(_, c)| (c.read_queue_nums, c.write_queue_nums)).collect()
    }

    #[test]
    fn a_topic_nobody_has_is_claimed_and_then_created_everywhere() {
        let nowhere = [live(None), live(None)];
        let step = next(&want(4), &POLICIES, &nowhere, &facts(None));
        assert_eq!(step, Step::Claim(Claim::Created));
        let step = next(&want(4), &POLICIES, &nowhere, &facts(Some(Claim::Created)));
        assert_eq!(writes(step), [(4, 4), (4, 4)]);
    }

    #[test]
    fn a_topic_that_exists_is_adopted_as_the_policy_says() {
        let step = |adoption, queues| {
            let policies = Policies { adoption, ..POLICIES };
            next(&want(queues), &policies, &[live(Some((4, 4)))], &facts(None))
        };
        let is_refused =
            |step| matches!(step, Step::Rest(Verdict::Stuck { reason: "AlreadyExists", .. }));
        assert_eq!(step(Adoption::AdoptIfMatching, 4), Step::Claim(Claim::Adopted));
        assert_eq!(step(Adoption::AdoptIfMatching, 8), Step::Claim(Claim::Adopted));
        assert!(is_refused(step(Adoption::AdoptIfMatching, 2)));
        assert!(is_refused(step(Adoption::Refuse, 4)));
        assert_eq!(step(Adoption::Adopt, 2), Step::Claim(Claim::Adopted));
    }

    #[test]
    fn queues_grow_for_consumers_first_and_for_producers_when_those_have_noticed() {
        let ours = facts(Some(Claim::Created));
        let want = want(8);
        let step = next(&want, &POLICIES, &[live(Some((4, 4))), live(Some((8, 4)))], &ours);
        assert_eq!(writes(step), [(8, 4)]);
        let read = [live(Some((8, 4))), live(Some((8, 4)))];
        assert_eq!(next(&want, &POLICIES, &read, &ours), Step::Readable);
        let since =
            |ago| Facts { readable_since: Some(ours.now - SignedDuration::from_secs(ago)), ..ours };
        let waiting = next(&want, &POLICIES, &read, &since(49));
        assert!(matches!(waiting, Step::Rest(Verdict::Working { .. })));
        assert_eq!(writes(next(&want, &POLICIES, &read, &since(50))), [(8, 8), (8, 8)]);
        let alone = Facts { audience: Audience::Absent, ..ours };
        assert_eq!(writes(next(&want, &POLICIES, &read, &alone)), [(8, 8), (8, 8)]);
        let grown = [live(Some((8, 8)))];
        assert_eq!(next(&want, &POLICIES, &grown, &ours), Step::Rest(Verdict::Synced));
    }

    #[test]
    fn queues_never_shrink() {
        let step = next(&want(2), &POLICIES, &[live(Some((4, 2)))], &facts(Some(Claim::Adopted)));
        assert!(matches!(step, Step::Rest(Verdict::Stuck { reason: "WouldShrink", .. })));
    }

    #[test]
    fn drift_is_corrected_or_reported_but_a_new_spec_is_always_applied() {
        let mut facts = facts(Some(Claim::Created));
        let report = Policies { drift: DriftPolicy::Report, ..POLICIES };
        let live = [live(None)];
        assert_eq!(writes(next(&want(4), &report, &live, &facts)), [(4, 4)]);
        facts.past.was_synced = WasSynced::Yes;
        assert_eq!(writes(next(&want(4), &POLICIES, &live, &facts)), [(4, 4)]);
        let step = next(&want(4), &report, &live, &facts);
        assert!(matches!(step, Step::Rest(Verdict::Drifted(_))));
    }
}
