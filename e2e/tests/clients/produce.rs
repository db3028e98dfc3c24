//! Sending: every way, and what the acknowledgement says.

use std::collections::BTreeSet;

use anyhow::ensure;
use gantry_e2e::rig::{Client, Stage, consume, keys, places, produce, whole_queues};
use serde_json::json;

crate::cases! {
    sync_sends_fill_the_queues_in_turn: Java55 Java49 Go;
    async_sends_are_all_acknowledged: Java55 Java49 Go;
    oneway_sends_arrive: Java55 Java49 Go;
    a_batch_lands_in_one_queue: Java55 Java49 Go;
    a_long_body_arrives_whole: Java55 Java49 Go;
    an_unknown_topic_is_created: Java55 Java49 Go;
    a_chosen_queue_gets_it: Java55 Java49;
}

fn sync_sends_fill_the_queues_in_turn(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "sync", 4)?;
    let sent = produce(stage.peer(client)?, json!({"topic": topic, "keys": "s", "count": 40}))?;
    ensure!(keys(&sent).len() == 40);
    ensure!(whole_queues(&sent)? == BTreeSet::from([0, 1, 2, 3]));
    for event in &sent {
        ensure!(event.text("broker") == "broker-a", "{}", event.0);
        ensure!(event.text("offsetMsgId").len() == 32, "{}", event.0);
        // Twice as long from a machine with IPv6 only.
        ensure!([32, 56].contains(&event.text("msgId").len()), "{}", event.0);
    }
    Ok(())
}

fn async_sends_are_all_acknowledged(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "async", 4)?;
    let arguments = json!({"topic": topic, "keys": "a", "mode": "async", "count": 2000});
    let sent = produce(stage.peer(client)?, arguments)?;
    let distinct: BTreeSet<String> = keys(&sent).into_iter().collect();
    ensure!(sent.len() == 2000 && distinct.len() == 2000);
    whole_queues(&sent)?;
    Ok(())
}

fn oneway_sends_arrive(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "oneway", 4)?;
    let peer = stage.peer(client)?;
    produce(peer, json!({"topic": topic, "keys": "o", "mode": "oneway", "count": 50}))?;
    let name = format!("oneway-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    let got = consumer.take("got", 50)?;
    let distinct: BTreeSet<String> = keys(&got).into_iter().collect();
    ensure!(distinct.len() == 50, "{:?}", keys(&got));
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_batch_lands_in_one_queue(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "batch", 4)?;
    let peer = stage.peer(client)?;
    let arguments = json!({
        "topic": topic, "keys": "b", "mode": "batch", "batch": 8, "count": 24, "tags": ["red", "blue"],
        "property": "dark",
    });
    let sent = produce(peer, arguments)?;
    for batch in sent.chunks(8) {
        let queues: BTreeSet<i64> = batch.iter().map(|event| event.number("queueId")).collect();
        ensure!(queues.len() == 1, "a batch in queues {queues:?}");
    }
    whole_queues(&sent)?;
    let name = format!("batch-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    let got = consumer.take("got", 24)?;
    ensure!(places(&got)? == places(&sent)?);
    for event in &got {
        ensure!(event.flag("intact") && event.text("shade") == "dark", "{}", event.0);
        ensure!(["red", "blue"].contains(&event.text("tag")), "{}", event.0);
    }
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_long_body_arrives_whole(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "long", 1)?;
    let peer = stage.peer(client)?;
    // Clients compress from 4 KiB on.
    let sizes = [1, 4_000, 5_000, 300_000, 3_000_000];
    for size in sizes {
        let arguments =
            json!({"topic": topic, "keys": format!("l{size}"), "size": size, "count": 1});
        produce(peer, arguments)?;
    }
    let name = format!("long-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    for event in consumer.take("got", sizes.len())? {
        ensure!(event.flag("intact"), "{}", event.0);
    }
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn an_unknown_topic_is_created(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = format!("auto-{}", client.word());
    let peer = stage.peer(client)?;
    let sent = produce(peer, json!({"topic": topic, "keys": "u", "count": 40}))?;
    ensure!(whole_queues(&sent)? == BTreeSet::from([0, 1, 2, 3]), "not four queues");
    Ok(())
}

fn a_chosen_queue_gets_it(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "chosen", 4)?;
    let arguments = json!({
        "topic": topic, "keys": "c", "mode": "queue", "broker": "broker-a", "queueId": 2, "count": 5,
    });
    let sent = produce(stage.peer(client)?, arguments)?;
    ensure!(whole_queues(&sent)? == BTreeSet::from([2]));
    Ok(())
}
