//! The tables case by case, and their invariants after any history.

use proptest::prelude::*;

use super::{testing::QUEUES, *};

const T0: Millis = Millis(1_000_000);
const PLAIN: Policy =
    Policy { acting_master: false, registration_is_complete: false, announce_smallest: false };
const ACTING: Policy = Policy { acting_master: true, announce_smallest: true, ..PLAIN };

/// A member of group `a`.
fn broker(id: u64, addr: &'static str) -> Registration<'static> {
    Registration { addr, id: BrokerId(id), link: Link(id), ..testing::registration() }
}

fn newer(mut from: Registration<'static>) -> Registration<'static> {
    from.version.counter += 1;
    from
}

fn members(routes: &Routes) -> Vec<(u64, String)> {
    routes.members("a").into_iter().map(|(id, addr)| (id.0, addr.to_string())).collect()
}

fn perm(routes: &Routes, topic: &str) -> Option<Perm> {
    routes.route(topic, PLAIN)?.queues.first().map(|(_, queues)| queues.perm)
}

fn leave(addr: &'static str, epoch: Option<u32>) -> Departure<'static> {
    Departure { cluster: "c", group: "a", addr, epoch: epoch.map(Epoch) }
}

#[test]
fn a_registered_broker_is_found_through_all_tables() {
    let mut routes = Routes::default();
    let first = routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    assert_eq!(first, Registered { is_new: true, ..Registered::default() });
    let route = routes.route("orders", PLAIN).unwrap();
    assert_eq!(route.queues, [("a".into(), QUEUES)]);
    assert_eq!(route.groups.len(), 1);
    assert_eq!(&*route.groups[0].cluster, "c");
    assert_eq!(members(&routes), [(0, "m:1".into())]);
    assert_eq!(routes.all_topics(), ["a".into(), "orders".into()] as [Name; 2]);
    assert_eq!(routes.topics_of_cluster("c").len(), 2);
    assert_eq!(routes.topics_of_cluster("other"), [] as [Name; 0]);
    assert_eq!(routes.system_topics(), (vec!["c".into(), "a".into()], Some("m:1".into())));
    assert_eq!(routes.route("unknown", PLAIN), None);
    assert_eq!(routes.size(), Size { topics: 2, groups: 1, clusters: 1, brokers: 1 });
}

#[test]
fn a_first_registration_with_one_topic_is_refused_and_leaves_nothing() {
    let mut routes = Routes::default();
    let one = Registration { topics: vec![("orders", QUEUES)], ..broker(0, "m:1") };
    assert_eq!(routes.register(&one, PLAIN, T0), Err(Refused::SingleTopicFirst));
    assert_eq!(routes.size(), Size { topics: 0, groups: 0, clusters: 0, brokers: 0 });
    let none = Registration { topics: vec![], ..broker(0, "m:1") };
    assert!(routes.register(&none, PLAIN, T0).is_ok());
    assert!(routes.register(&newer(one), PLAIN, T0).is_ok());
    assert!(routes.route("orders", PLAIN).is_some());
}

#[test]
fn a_slave_learns_its_master_and_does_not_speak_for_topics() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    let slave = Registration {
        topics: vec![("orders", QUEUES), ("slaves", QUEUES)],
        ha: None,
        ..broker(1, "s:1")
    };
    let reply = routes.register(&slave, PLAIN, T0).unwrap();
    assert_eq!(reply.master.as_deref(), Some("m:1"));
    assert_eq!(reply.master_ha.as_deref(), Some("ha"));
    assert!(routes.route("slaves", PLAIN).is_none());
    assert_eq!(members(&routes), [(0, "m:1".into()), (1, "s:1".into())]);
}

#[test]
fn queues_change_only_with_a_new_data_version() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    let more = Queues { write: 8, ..QUEUES };
    let same_version = Registration {
        topics: vec![("orders", more), ("new", more), ("a", QUEUES)],
        ..broker(0, "m:1")
    };
    routes.register(&same_version, PLAIN, T0).unwrap();
    assert_eq!(routes.route("orders", PLAIN).unwrap().queues[0].1.write, 4);
    assert!(routes.route("new", PLAIN).is_some());
    routes.register(&newer(same_version), PLAIN, T0).unwrap();
    assert_eq!(routes.route("orders", PLAIN).unwrap().queues[0].1.write, 8);
}

#[test]
fn refused_writes_last_until_the_next_change_at_the_broker() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    assert_eq!(routes.allow_writes("a", Writes::Refused), 2);
    assert_eq!(routes.allow_writes("unknown", Writes::Refused), 0);
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ));
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ));
    assert_eq!(routes.allow_writes("a", Writes::Allowed), 2);
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ_WRITE));
    routes.allow_writes("a", Writes::Refused);
    routes.register(&newer(broker(0, "m:1")), PLAIN, T0).unwrap();
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ_WRITE));
}

#[test]
fn a_silent_broker_is_removed_after_its_own_time() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    let patient = Registration { timeout: Millis(50_000), ..broker(1, "s:1") };
    routes.register(&patient, PLAIN, T0).unwrap();
    assert_eq!(routes.expire(PLAIN, T0.plus(10_000)), (vec![], vec![]));
    assert_eq!(routes.expire(PLAIN, T0.plus(10_001)).0, [Link(0)]);
    assert_eq!(members(&routes), [(1, "s:1".into())]);
    routes.heartbeat("c", "s:1", None, T0.plus(40_000));
    assert_eq!(routes.expire(PLAIN, T0.plus(90_000)).0, []);
    assert_eq!(routes.expire(PLAIN, T0.plus(90_001)).0, [Link(1)]);
    assert_eq!(routes.size(), Size { topics: 0, groups: 0, clusters: 0, brokers: 0 });
}

#[test]
fn a_lost_connection_removes_who_registered_on_it_and_nobody_else() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    routes.register(&Registration { link: Link(9), ..broker(0, "m:1") }, PLAIN, T0).unwrap();
    routes.disconnected(Link(0), PLAIN, T0);
    assert_eq!(members(&routes), [(0, "m:1".into())]);
    routes.disconnected(Link(9), PLAIN, T0);
    assert!(routes.route("orders", PLAIN).is_none());
}

#[test]
fn an_address_has_one_id_and_one_name() {
    let mut routes = Routes::default();
    routes.register(&broker(1, "x:1"), PLAIN, T0).unwrap();
    routes.register(&broker(0, "x:1"), PLAIN, T0).unwrap();
    assert_eq!(members(&routes), [(0, "x:1".into())]);
    routes.register(&Registration { group: "b", ..broker(0, "x:1") }, PLAIN, T0).unwrap();
    assert_eq!(members(&routes), []);
    assert_eq!(routes.members("b").len(), 1);
    check_invariants(&routes);
}

#[test]
fn a_group_stays_in_its_cluster() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    let other = Registration { cluster: "d", ..broker(1, "s:1") };
    assert_eq!(
        routes.register(&other, PLAIN, T0),
        Err(Refused::OtherCluster { group: "a".into(), cluster: "c".into() })
    );
}

#[test]
fn without_epochs_the_newer_state_keeps_the_id() {
    let mut routes = Routes::default();
    let state = |addr, state| {
        let mut from = broker(0, addr);
        from.version.state = state;
        from
    };
    routes.register(&state("new:1", 2), PLAIN, T0).unwrap();
    assert_eq!(
        routes.register(&state("old:1", 1), PLAIN, T0),
        Err(Refused::LateState { group: "a".into(), holder: "new:1".into() })
    );
    routes.register(&state("next:1", 2), PLAIN, T0).unwrap();
    assert_eq!(members(&routes), [(0, "next:1".into())]);
    check_invariants(&routes);
}

#[test]
fn a_late_master_never_wins_even_at_the_shared_address() {
    let mut routes = Routes::default();
    let master = |epoch, link| Registration {
        epoch: Some(Epoch(epoch)),
        link: Link(link),
        ..broker(0, "svc:1")
    };
    routes.register(&master(1, 1), PLAIN, T0).unwrap();
    routes.register(&newer(master(2, 2)), PLAIN, T0).unwrap();
    let late = Refused::LateEpoch { group: "a".into(), seen: Epoch(2), given: Epoch(1) };
    assert_eq!(routes.register(&master(1, 1), PLAIN, T0), Err(late.clone()));
    let elsewhere = Registration { addr: "old:1", ..master(1, 1) };
    assert_eq!(routes.register(&elsewhere, PLAIN, T0), Err(late.clone()));

    // It neither removes the address nor keeps it alive, and its connection does not matter.
    routes.unregister(&[leave("svc:1", Some(1))], PLAIN, T0);
    routes.disconnected(Link(1), PLAIN, T0);
    routes.heartbeat("c", "svc:1", Some(Epoch(1)), T0.plus(9_000));
    assert_eq!(members(&routes), [(0, "svc:1".into())]);
    routes.expire(PLAIN, T0.plus(10_001));
    assert_eq!(members(&routes), []);

    // Nor does it come back in the gap before the new master does.
    assert_eq!(routes.register(&master(1, 1), PLAIN, T0.plus(20_000)), Err(late));
    routes.register(&master(2, 2), PLAIN, T0.plus(20_000)).unwrap();
    routes.unregister(&[leave("svc:1", Some(2))], PLAIN, T0.plus(20_000));
    assert_eq!(members(&routes), []);
    // A cluster that begins anew under the name is not shut out for ever.
    routes.expire(PLAIN, T0.plus(90_000));
    routes.register(&master(1, 1), PLAIN, T0.plus(90_000)).unwrap();
}

#[test]
fn a_slave_stands_in_for_a_missing_master() {
    let mut routes = Routes::default();
    let acting = |id, addr| Registration { acting_master: Some(true), ..broker(id, addr) };
    routes.register(&acting(0, "m:1"), ACTING, T0).unwrap();
    routes.register(&acting(1, "s:1"), ACTING, T0).unwrap();
    routes.register(&acting(2, "t:1"), ACTING, T0).unwrap();
    let told = routes.unregister(&[leave("m:1", None)], ACTING, T0);
    assert_eq!(
        told,
        [SmallestChanged {
            group: "a".into(),
            id: BrokerId(1),
            addr: "s:1".into(),
            left: Some("m:1".into()),
            ha: None,
            tell: vec!["s:1".into(), "t:1".into()],
        }]
    );
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ));
    let seen = routes.route("orders", ACTING).unwrap().groups[0].members.clone();
    assert_eq!(seen.into_keys().map(|id| id.0).collect::<Vec<_>>(), [0, 2]);
    let plain = routes.route("orders", PLAIN).unwrap().groups[0].members.clone();
    assert_eq!(plain.into_keys().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);

    // The slave's own registration stays without the right to write.
    routes.register(&newer(acting(1, "s:1")), ACTING, T0).unwrap();
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ));
    let back = routes.register(&newer(acting(0, "m:1")), ACTING, T0).unwrap();
    let announce = back.announce.unwrap();
    assert_eq!((announce.id.0, announce.tell), (0, vec!["s:1".into(), "t:1".into()]));
    assert_eq!(perm(&routes, "orders"), Some(Perm::READ_WRITE));
}

#[test]
fn topics_are_announced_and_removed_at_the_name_server() {
    let mut routes = Routes::default();
    routes.register(&broker(0, "m:1"), PLAIN, T0).unwrap();
    routes.register(&Registration { group: "b", ..broker(0, "b:1") }, PLAIN, T0).unwrap();
    assert_eq!(routes.add_topic("x", &[("a", QUEUES), ("no", QUEUES)]), Err("no".into()));
    assert!(routes.route("x", PLAIN).is_none());
    routes.add_topic("x", &[("a", QUEUES), ("b", QUEUES)]).unwrap();
    assert_eq!(routes.route("x", PLAIN).unwrap().groups.len(), 2);
    routes.remove_topic("x", Some("unknown"));
    assert!(routes.route("x", PLAIN).is_some());
    routes.remove_topic("x", Some("c"));
    assert!(routes.route("x", PLAIN).is_none());
    routes.remove_topic("orders", None);
    assert!(routes.route("orders", PLAIN).is_none());
    check_invariants(&routes);
}

#[test]
fn a_complete_registration_drops_topics_that_it_does_not_list() {
    let mut routes = Routes::default();
    let complete = Policy { registration_is_complete: true, ..PLAIN };
    routes.register(&broker(0, "m:1"), complete, T0).unwrap();
    let fewer = Registration { topics: vec![("a", QUEUES)], ..newer(broker(0, "m:1")) };
    routes.register(&fewer, complete, T0).unwrap();
    assert!(routes.route("orders", PLAIN).is_none());
    assert!(routes.route("a", PLAIN).is_some());
}

#[test]
fn filter_servers_are_shown_until_they_are_withdrawn() {
    let mut routes = Routes::default();
    let with = |servers| Registration { filter_servers: servers, ..broker(0, "m:1") };
    routes.register(&with(Some(vec!["f:1".into()])), PLAIN, T0).unwrap();
    routes.register(&with(None), PLAIN, T0).unwrap();
    let shown = routes.route("orders", PLAIN).unwrap().filter_servers;
    assert_eq!(shown, BTreeMap::from([("m:1".into(), vec!["f:1".into()])]));
    routes.register(&with(Some(vec![])), PLAIN, T0).unwrap();
    assert!(routes.route("orders", PLAIN).unwrap().filter_servers.is_empty());
}

#[test]
fn a_zone_sees_its_own_groups_and_those_without_a_master() {
    let mut routes = Routes::default();
    for (group, addr, id, zone) in
        [("a", "a:1", 0, "east"), ("b", "b:1", 0, "west"), ("d", "d:1", 0, "west")]
    {
        let from = Registration { group, zone: Some(zone), ..broker(id, addr) };
        routes.register(&from, PLAIN, T0).unwrap();
    }
    let slave = Registration { group: "d", zone: Some("west"), ..broker(1, "d:2") };
    routes.register(&slave, PLAIN, T0).unwrap();
    routes.unregister(&[Departure { group: "d", ..leave("d:1", None) }], PLAIN, T0);
    let route = in_zone(routes.route("orders", PLAIN).unwrap(), "EAST");
    let names: Vec<&str> = route.groups.iter().map(|g| &*g.name).collect();
    assert_eq!(names, ["a", "d"]);
    assert_eq!(route.queues.len(), 2);
}

#[test]
fn unit_topics_are_told_by_their_flags() {
    let mut routes = Routes::default();
    let flags = |sys_flag| Queues { sys_flag, ..QUEUES };
    let from = Registration {
        topics: vec![("unit", flags(1)), ("sub", flags(2)), ("both", flags(3)), ("no", flags(0))],
        ..broker(0, "m:1")
    };
    routes.register(&from, PLAIN, T0).unwrap();
    let listed = |which| routes.unit_topics(which).join(",");
    assert_eq!(listed(UnitTopics::Own), "both,unit");
    assert_eq!(listed(UnitTopics::Subscribed), "both,sub");
    assert_eq!(listed(UnitTopics::OnlySubscribed), "sub");
}

fn check_invariants(routes: &Routes) {
    for (name, topic) in &routes.topics {
        assert!(!topic.queues.is_empty(), "{name} has no queues");
        for group in topic.queues.keys() {
            assert!(routes.groups[group].topics.contains(name), "{group} does not know {name}");
        }
    }
    let mut members = 0;
    for (name, group) in &routes.groups {
        assert!(!group.members.is_empty(), "{name} is empty");
        assert!(routes.clusters[&group.cluster].contains(name));
        for topic in &group.topics {
            assert!(routes.topics[topic].queues.contains_key(name));
        }
        for (id, addr) in &group.members {
            let at = Address { cluster: group.cluster.clone(), addr: addr.clone() };
            let live = &routes.live[&at];
            assert_eq!((&live.group, live.id), (name, *id));
            members += 1;
        }
    }
    assert_eq!(members, routes.live.len());
    let listed: usize = routes.clusters.values().map(BTreeSet::len).sum();
    assert_eq!(listed, routes.groups.len());
    assert!(routes.clusters.values().all(|groups| !groups.is_empty()));
}

#[derive(Debug, Clone)]
enum Step {
    Register { group: usize, addr: usize, id: u64, epoch: Option<u32>, topics: u8, version: u64 },
    Unregister { group: usize, addr: usize, epoch: Option<u32> },
    Disconnect(u64),
    Heartbeat { addr: usize, epoch: Option<u32> },
    Expire,
    Writes(usize, bool),
    AddTopic(usize),
    RemoveTopic(usize),
}

const GROUPS: [&str; 2] = ["a", "b"];
const ADDRS: [&str; 4] = ["w:1", "x:1", "y:1", "z:1"];
const TOPICS: [&str; 4] = ["t0", "t1", "t2", "t3"];

fn step() -> impl Strategy<Value = Step> {
    let epoch = proptest::option::of(1..4_u32);
    prop_oneof![
        6 => (0..2_usize, 0..4_usize, 0..3_u64, epoch.clone(), any::<u8>(), 0..3_u64).prop_map(
            |(group, addr, id, epoch, topics, version)| Step::Register {
                group, addr, id, epoch, topics, version
            }
        ),
        2 => (0..2_usize, 0..4_usize, epoch.clone())
            .prop_map(|(group, addr, epoch)| Step::Unregister { group, addr, epoch }),
        1 => (0..4_u64).prop_map(Step::Disconnect),
        1 => (0..4_usize, epoch).prop_map(|(addr, epoch)| Step::Heartbeat { addr, epoch }),
        2 => Just(Step::Expire),
        1 => (0..2_usize, any::<bool>()).prop_map(|(group, allow)| Step::Writes(group, allow)),
        1 => (0..4_usize).prop_map(Step::AddTopic),
        1 => (0..4_usize).prop_map(Step::RemoveTopic),
    ]
}

fn apply(routes: &mut Routes, step: &Step, policy: Policy, now: Millis) {
    match *step {
        Step::Register { group, addr, id, epoch, topics, version } => {
            let listed = TOPICS.iter().enumerate().filter(|(bit, _)| topics >> bit & 1 == 1);
            let mut from = Registration {
                group: GROUPS[group],
                epoch: epoch.map(Epoch),
                topics: listed.map(|(_, topic)| (*topic, QUEUES)).collect(),
                acting_master: (topics & 16 != 0).then_some(topics & 32 != 0),
                link: Link(addr as u64),
                ..broker(id, ADDRS[addr])
            };
            from.version.counter = version;
            let before = format!("{routes:?}");
            if routes.register(&from, policy, now).is_err() {
                assert_eq!(before, format!("{routes:?}"), "a refusal changed something");
            }
        }
        Step::Unregister { group, addr, epoch } => {
            let epoch = epoch.map(Epoch);
            let gone = Departure { cluster: "c", group: GROUPS[group], addr: ADDRS[addr], epoch };
            routes.unregister(&[gone], policy, now);
        }
        Step::Disconnect(link) => drop(routes.disconnected(Link(link), policy, now)),
        Step::Heartbeat { addr, epoch } => {
            routes.heartbeat("c", ADDRS[addr], epoch.map(Epoch), now);
        }
        Step::Expire => drop(routes.expire(policy, now)),
        Step::Writes(group, allow) => {
            let writes = if allow { Writes::Allowed } else { Writes::Refused };
            routes.allow_writes(GROUPS[group], writes);
        }
        Step::AddTopic(topic) => drop(routes.add_topic(TOPICS[topic], &[("a", QUEUES)])),
        Step::RemoveTopic(topic) => routes.remove_topic(TOPICS[topic], None),
    }
}

proptest! {
    #[test]
    fn the_tables_agree_after_any_history(
        steps in proptest::collection::vec((step(), 0..8_000_u64), 1..60),
        acting: bool,
        registration_is_complete: bool,
    ) {
        let policy =
            Policy { acting_master: acting, registration_is_complete, announce_smallest: true };
        let mut routes = Routes::default();
        let mut now = T0;
        for (step, pause) in steps {
            now = now.plus(pause);
            let before = TOPICS.map(|topic| (routes.stamp(topic), routes.route(topic, policy)));
            apply(&mut routes, &step, policy, now);
            check_invariants(&routes);
            for (topic, (stamp, route)) in TOPICS.iter().zip(before) {
                if routes.stamp(topic) == stamp {
                    prop_assert_eq!(routes.route(topic, policy), route, "stale {}", topic);
                }
            }
        }
    }

    #[test]
    fn a_mastership_never_goes_back(
        steps in proptest::collection::vec((step(), 0..8_000_u64), 1..60),
    ) {
        let mut routes = Routes::default();
        let mut now = T0;
        // The highest epoch under which each group had a master, and when it had it last.
        let mut seen: HashMap<&str, (Epoch, Millis)> = HashMap::new();
        for (step, pause) in steps {
            now = now.plus(pause);
            apply(&mut routes, &step, PLAIN, now);
            for group in GROUPS {
                let Some(addr) = routes.members(group).get(&MASTER).cloned() else { continue };
                let Some(epoch) = routes.live[&address("c", &addr)].epoch else { continue };
                if let Some((highest, last)) = seen.get(group)
                    && now.since(*last) < EPOCH_MEMORY.0
                {
                    prop_assert!(epoch >= *highest, "{group}: {epoch} after {highest}");
                }
                seen.insert(group, (epoch, now));
            }
        }
    }
}
