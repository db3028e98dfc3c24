//! Lite pull consumers: with a subscription, and with queues taken by hand.

use anyhow::ensure;
use gantry_e2e::rig::{Client, Stage, places, produce};
use serde_json::json;

crate::cases! {
    a_subscription_polls_everything_and_commits: Java55 Java49;
    assigned_queues_can_be_read_again: Java55 Java49;
}

fn a_subscription_polls_everything_and_commits(
    stage: &Stage,
    client: Client,
) -> anyhow::Result<()> {
    let topic = stage.topic(client, "lite", 4)?;
    let peer = stage.peer(client)?;
    let sent = produce(peer, json!({"topic": topic, "keys": "k", "count": 100}))?;
    let name = format!("lite-{}", client.word());
    let lite = peer.begin("litePull", json!({"name": name, "group": name, "topic": topic}))?;
    ensure!(places(&lite.take("got", 100)?)? == places(&sent)?);
    peer.call("stop", json!({"name": name}))?;
    lite.done()?;
    for queue in peer.call("offsets", json!({"topic": topic, "group": name}))? {
        ensure!(queue.number("committed") == queue.number("max"), "{}", queue.0);
    }
    Ok(())
}

fn assigned_queues_can_be_read_again(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "assign", 4)?;
    let peer = stage.peer(client)?;
    let sent = produce(peer, json!({"topic": topic, "keys": "k", "count": 60}))?;
    let group = format!("assign-{}", client.word());
    for round in ["1", "2"] {
        let name = format!("{group}-{round}");
        let arguments = json!({"name": name, "group": group, "topic": topic, "assign": true});
        let lite = peer.begin("litePull", arguments)?;
        ensure!(places(&lite.take("got", 60)?)? == places(&sent)?);
        peer.call("stop", json!({"name": name}))?;
        lite.done()?;
    }
    Ok(())
}
