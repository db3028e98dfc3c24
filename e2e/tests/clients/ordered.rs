//! Orderly consumption: one at a time in each queue, in its order, whoever holds it.

use std::collections::BTreeMap;

use anyhow::ensure;
use gantry_e2e::rig::{Client, Event, Stage, consume, places, produce};
use serde_json::json;

crate::cases! {
    each_queue_keeps_its_order: Java55 Java49 Go;
    a_refused_message_holds_its_queue_back: Java55 Java49;
    a_shard_stays_in_its_queue: Java55 Java49 Go;
}

/// Expects the offsets of each queue in rising order.
fn in_order(got: &[Event]) -> anyhow::Result<()> {
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    for event in got {
        let (queue, offset) = (event.number("queueId"), event.number("queueOffset"));
        let before = last.insert(queue, offset);
        ensure!(before.is_none_or(|before| before < offset), "{before:?} before {}", event.0);
    }
    Ok(())
}

fn each_queue_keeps_its_order(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "ordered", 4)?;
    let peer = stage.peer(client)?;
    let arguments =
        json!({"topic": topic, "keys": "k", "mode": "ordered", "shards": 4, "count": 200});
    let sent = produce(peer, arguments)?;
    let name = format!("ordered-{}", client.word());
    let arguments = json!({"name": name, "group": name, "topic": topic, "ordered": true});
    let consumer = consume(peer, arguments)?;
    let got = consumer.take("got", 200)?;
    in_order(&got)?;
    ensure!(places(&got)? == places(&sent)?);
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_refused_message_holds_its_queue_back(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "refused", 2)?;
    let peer = stage.peer(client)?;
    produce(peer, json!({"topic": topic, "keys": "k", "count": 10}))?;
    let name = format!("refused-{}", client.word());
    let arguments =
        json!({"name": name, "group": name, "topic": topic, "ordered": true, "failures": 1});
    let consumer = consume(peer, arguments)?;
    // Each comes twice, since it is refused once.
    let got = consumer.take("got", 20)?;
    let taken: Vec<Event> = got.into_iter().filter(|event| !event.flag("refused")).collect();
    ensure!(taken.len() == 10);
    in_order(&taken)?;
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_shard_stays_in_its_queue(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "shard", 4)?;
    let arguments =
        json!({"topic": topic, "keys": "k", "mode": "ordered", "shards": 8, "count": 80});
    let sent = produce(stage.peer(client)?, arguments)?;
    let mut queues: BTreeMap<usize, i64> = BTreeMap::new();
    for (index, event) in sent.iter().enumerate() {
        let queue = *queues.entry(index % 8).or_insert_with(|| event.number("queueId"));
        ensure!(event.number("queueId") == queue, "shard {} left queue {queue}", index % 8);
    }
    Ok(())
}
