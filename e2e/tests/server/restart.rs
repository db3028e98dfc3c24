//! Restarts: what was told to the broker before is known after.

use anyhow::ensure;
use gantry_e2e::rig::{Client, Setup, Stage, consume, keys as keys_of, produce};
use serde_json::json;

/// How the broker ends before it starts again.
#[derive(Clone, Copy)]
enum End {
    Stopped,
    Killed,
}

fn restart(stage: &mut Stage, end: End) -> anyhow::Result<()> {
    match end {
        End::Stopped => stage.server_mut().stop_broker()?,
        End::Killed => stage.server_mut().kill_broker()?,
    }
    stage.server_mut().start_broker()
}

/// Produces, consumes half, restarts, and goes on: three times with each client.
fn goes_on(client: Client, end: End) -> anyhow::Result<()> {
    let mut stage = Stage::open(Setup::default().with("flushConsumerOffsetInterval", "200"))?;
    let topic = stage.topic(client, "restart", 2)?;
    let other = "restart-only-a-topic";
    let created = stage.topic(client, other, 3)?;
    for round in 0..3 {
        let peer = stage.peer(client)?;
        let keys = format!("round{round}");
        let sent = produce(peer, json!({"topic": topic, "keys": keys, "count": 30}))?;
        let name = format!("restart-{round}");
        let consumer = consume(peer, json!({"name": name, "group": "restart", "topic": topic}))?;
        let got = consumer.take("got", 30)?;
        ensure!(keys_of(&got) == keys_of(&sent), "round {round}: {:?}", keys_of(&got));
        stage.committed(&topic, "restart", &got)?;
        peer.call("stop", json!({"name": name}))?;
        // The broker writes offsets at intervals, too; a kill may lose the last of them.
        peer.call("sleep", json!({"millis": 500}))?;
        restart(&mut stage, end)?;
    }
    let sent = produce(stage.peer(client)?, json!({"topic": created, "keys": "k", "count": 9}))?;
    let queues: std::collections::BTreeSet<i64> =
        sent.iter().map(|event| event.number("queueId")).collect();
    ensure!(queues.len() == 3, "the topic has changed: {queues:?}");
    Ok(())
}

#[test]
fn offsets_and_topics_survive_a_stop() -> anyhow::Result<()> {
    goes_on(Client::Java55, End::Stopped)
}

#[test]
fn offsets_and_topics_survive_a_kill() -> anyhow::Result<()> {
    goes_on(Client::Go, End::Killed)
}

#[test]
fn a_consumer_outlives_its_broker() -> anyhow::Result<()> {
    let mut stage = Stage::open(Setup::default())?;
    let topic = stage.topic(Client::Java49, "outlives", 2)?;
    let peer = stage.peer(Client::Java49)?;
    produce(peer, json!({"topic": topic, "keys": "before", "count": 20}))?;
    let consumer = consume(peer, json!({"name": "c", "group": "outlives", "topic": topic}))?;
    consumer.take("got", 20)?;
    restart(&mut stage, End::Killed)?;
    let peer = stage.peer(Client::Java49)?;
    // The producer may meet its old connection first, and tries again.
    let arguments = json!({"topic": topic, "keys": "after", "count": 20});
    let sent = produce(peer, arguments)?;
    let mut late: Vec<String> = sent.iter().map(|event| event.text("key").to_owned()).collect();
    while !late.is_empty() {
        // What was not committed before the kill may come again.
        for event in consumer.take("got", 1)? {
            late.retain(|key| key != event.text("key"));
        }
    }
    peer.call("stop", json!({"name": "c"}))?;
    Ok(())
}
