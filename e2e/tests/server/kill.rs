//! Kill -9 under load: every message that was acknowledged is in its queue, at its offset, exactly once.

use std::collections::BTreeSet;

use anyhow::ensure;
use gantry_e2e::rig::{Client, Event, Setup, Stage, consume, places, whole_queues};
use serde_json::json;

/// How many acknowledgements are waited for before each kill.
const BEFORE: usize = 1_500;
/// How many messages are sent in all; the producer is still at it when the last kill comes.
const COUNT: usize = 12_000;

#[test]
fn the_broker_is_killed_while_it_flushes_when_it_likes() -> anyhow::Result<()> {
    killed_under_load(Setup::default().with("flushDiskType", "ASYNC_FLUSH"), "async")
}

#[test]
fn the_broker_is_killed_while_it_flushes_before_it_answers() -> anyhow::Result<()> {
    killed_under_load(Setup::default().with("flushDiskType", "SYNC_FLUSH"), "async")
}

/// Kills the broker twice while a producer sends, and consumes all of it afterwards.
fn killed_under_load(setup: Setup, mode: &str) -> anyhow::Result<()> {
    let mut stage = Stage::open(setup)?;
    let topic = stage.topic(Client::Java55, "load", 4)?;
    let arguments = json!({
        "topic": topic, "keys": "k", "mode": mode, "count": COUNT, "size": 300, "retries": 0,
        "group": "load", "name": "load",
    });
    let producing = stage.peer(Client::Java55)?.begin("produce", arguments)?;
    let mut acknowledged = Vec::new();
    for _ in 0..2 {
        acknowledged.extend(producing.take("sent", BEFORE)?);
        stage.server_mut().kill_broker()?;
        stage.server_mut().start_broker()?;
    }
    acknowledged.extend(producing.take("sent", BEFORE)?);
    stage.peer(Client::Java55)?.call("stop", json!({"name": "load"}))?;
    acknowledged.extend(producing.done()?.into_iter().filter(|event| event.name() == "sent"));
    ensure!(acknowledged.iter().all(|event| event.text("status") == "SEND_OK"));
    let got = everything(&stage, &topic)?;
    holds_all(&got, &acknowledged)
}

/// Consumes a topic from its beginning to its end.
fn everything(stage: &Stage, topic: &str) -> anyhow::Result<Vec<Event>> {
    let peer = stage.peer(Client::Java55)?;
    let queues = peer.call("offsets", json!({"topic": topic}))?;
    let stored: i64 = queues.iter().map(|queue| queue.number("max")).sum();
    let consumer = consume(peer, json!({"name": "audit", "group": "audit", "topic": topic}))?;
    let got = consumer.take("got", usize::try_from(stored)?)?;
    peer.call("stop", json!({"name": "audit"}))?;
    Ok(got)
}

/// Every acknowledged message is where its acknowledgement said, whole, and queues have neither holes nor doubles.
fn holds_all(got: &[Event], acknowledged: &[Event]) -> anyhow::Result<()> {
    ensure!(got.iter().all(|event| event.flag("intact")), "a message was torn");
    whole_queues(got)?;
    let (got, promised) = (places(got)?, places(acknowledged)?);
    let mut keys = BTreeSet::new();
    for (place, key) in &promised {
        ensure!(got.get(place) == Some(key), "{place:?}: promised {key}, is {:?}", got.get(place));
        ensure!(keys.insert(key), "{key} was acknowledged twice");
    }
    // An unanswered send may be stored, once: its key has no second place.
    let distinct: BTreeSet<&String> = got.values().collect();
    ensure!(distinct.len() == got.len(), "a message is stored twice");
    Ok(())
}
