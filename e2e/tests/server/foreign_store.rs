//! Store directories change hands: our broker starts on one that Apache RocketMQ has left, and the other way round; each
//! serves what is in it, and goes on.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context, ensure};
use gantry_e2e::rig::{Client, Event, Setup, Stage, consume, places, produce};
use serde_json::json;

/// A message that was put off for two hours when the directory was made: it may come by now, or not.
const PUT_OFF: &str = "delayed-0";

/// What was acknowledged in topic `golden` when the directory was made.
fn promised(golden: &Path) -> anyhow::Result<BTreeMap<(i64, i64), String>> {
    let events = fs::read_to_string(golden.join("store.events.jsonl"))?;
    let events: Vec<Event> = events
        .lines()
        .map(|line| Ok(Event(serde_json::from_str(line)?)))
        .collect::<anyhow::Result<_>>()?;
    let sent = events.into_iter().filter(|event| event.name() == "sent");
    let own = sent.filter(|event| !["delayed-0", "refused-0"].contains(&event.text("key")));
    places(&own.collect::<Vec<_>>())
}

#[test]
fn the_broker_goes_on_with_a_store_of_apache_rocketmq() -> anyhow::Result<()> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/golden");
    let setup = Setup::default()
        .with("mappedFileSizeCommitLog", "16384")
        .with("mappedFileSizeConsumeQueue", "2000")
        .with("maxHashSlotNum", "100")
        .with("maxIndexNum", "400");
    let mut stage = Stage::open(setup)?;
    stage.server_mut().stop_broker()?;
    let store = stage.server().store();
    fs::remove_dir_all(&store)?;
    let copied =
        Command::new("cp").arg("-r").arg(golden.join("java-5.5.0")).arg(&store).status()?;
    ensure!(copied.success());
    stage.server_mut().start_broker()?;

    let promised = promised(&golden)?;
    ensure!(promised.len() > 50, "only {} messages in the golden store", promised.len());
    let peer = stage.peer(Client::Java55)?;
    let arguments = json!({"name": "heir", "group": "heir", "topic": "golden"});
    let consumer = consume(peer, arguments)?;
    let mut got = consumer.take("got", promised.len())?;
    if got.iter().any(|event| event.text("key") == PUT_OFF) {
        got.extend(consumer.take("got", 1)?);
        got.retain(|event| event.text("key") != PUT_OFF);
    }
    ensure!(got.iter().all(|event| event.flag("intact")), "a message is torn");
    ensure!(places(&got)? == promised);
    let sent = produce(peer, json!({"topic": "golden", "keys": "new", "count": 40, "size": 600}))?;
    let next = sent.iter().map(|event| event.number("queueOffset")).min().context("none sent")?;
    ensure!(next > 0, "the queues begin again");
    let mut waiting: Vec<&str> = sent.iter().map(|event| event.text("key")).collect();
    while !waiting.is_empty() {
        for event in consumer.take("got", 1)? {
            waiting.retain(|key| *key != event.text("key"));
        }
    }
    peer.call("stop", json!({"name": "heir"}))?;
    Ok(())
}

#[test]
fn apache_rocketmq_goes_on_with_our_store() -> anyhow::Result<()> {
    let mut stage = Stage::open(Setup::default())?;
    let topic = stage.topic(Client::Java55, "heritage", 2)?;
    let peer = stage.peer(Client::Java55)?;
    let arguments =
        json!({"topic": topic, "keys": "k", "tags": ["red", "blue"], "count": 50, "size": 500});
    let mut sent = produce(peer, arguments)?;
    let batch = json!({"topic": topic, "keys": "b", "mode": "batch", "batch": 5, "count": 10});
    sent.extend(produce(peer, batch)?);
    // One group has taken all of it before the change of hands.
    let first = consume(peer, json!({"name": "first", "group": "first", "topic": topic}))?;
    let got = first.take("got", 60)?;
    stage.committed(&topic, "first", &got)?;
    peer.call("stop", json!({"name": "first"}))?;
    stage.server_mut().stop_broker()?;

    stage.server_mut().start_foreign_broker()?;
    let peer = stage.peer(Client::Java55)?;
    let heir = consume(peer, json!({"name": "heir", "group": "heir", "topic": topic}))?;
    let got = heir.take("got", 60)?;
    ensure!(got.iter().all(|event| event.flag("intact")), "a message is torn");
    ensure!(places(&got)? == places(&sent)?);
    let late = produce(peer, json!({"topic": topic, "keys": "late", "count": 6}))?;
    let again = consume(peer, json!({"name": "again", "group": "first", "topic": topic}))?;
    ensure!(places(&again.take("got", 6)?)? == places(&late)?, "the group began elsewhere");
    for name in ["heir", "again"] {
        peer.call("stop", json!({"name": name}))?;
    }
    // And back.
    stage.server_mut().stop_broker()?;
    stage.server_mut().start_broker()?;
    let peer = stage.peer(Client::Java55)?;
    let last = consume(peer, json!({"name": "last", "group": "last", "topic": topic}))?;
    sent.extend(late);
    ensure!(places(&last.take("got", 66)?)? == places(&sent)?);
    peer.call("stop", json!({"name": "last"}))?;
    Ok(())
}
