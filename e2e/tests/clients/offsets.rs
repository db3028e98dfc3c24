//! Offsets by queue and by time, messages by id.

use std::time::Duration;

use anyhow::{Context, ensure};
use gantry_e2e::rig::{Client, Stage, consume, produce};
use serde_json::json;

crate::cases! {
    smallest_and_largest_offsets: Java55 Java49;
    an_offset_by_time: Java55 Java49;
    a_message_by_its_offset_id: Java55 Java49;
}

fn smallest_and_largest_offsets(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "range", 2)?;
    let peer = stage.peer(client)?;
    for queue in peer.call("offsets", json!({"topic": topic}))? {
        ensure!(queue.number("min") == 0 && queue.number("max") == 0, "empty: {}", queue.0);
    }
    let arguments = json!({
        "topic": topic, "keys": "k", "mode": "queue", "broker": "broker-a", "queueId": 1, "count": 7,
    });
    produce(peer, arguments)?;
    let group = format!("range-{}", client.word());
    let queues = peer.call("offsets", json!({"topic": topic, "group": group}))?;
    let max: Vec<i64> = queues.iter().map(|queue| queue.number("max")).collect();
    ensure!(max == [0, 7], "{max:?}");
    let earliest = queues[1].number("earliestMillis");
    ensure!(earliest > 1_600_000_000_000, "earliest {earliest}");
    Ok(())
}

fn an_offset_by_time(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "time", 1)?;
    let peer = stage.peer(client)?;
    for round in 0..3 {
        produce(peer, json!({"topic": topic, "keys": format!("r{round}"), "count": 3}))?;
        // Store times must differ.
        peer.call("sleep", json!({"millis": 20}))?;
    }
    let name = format!("time-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    let mut got = consumer.take("got", 9)?;
    peer.call("stop", json!({"name": name}))?;
    got.sort_by_key(|event| event.number("queueOffset"));
    let times: Vec<i64> = got.iter().map(|event| event.number("storeMillis")).collect();
    let last = *times.last().context("no messages")?;
    for time in [0, times[0], times[3], times[3] - 1, times[8], last + 60_000] {
        let expected = times.iter().position(|stored| *stored >= time).unwrap_or(times.len());
        let found = peer.call("offsets", json!({"topic": topic, "atMillis": time}))?;
        ensure!(
            found[0].number("at") == i64::try_from(expected)?,
            "at {time}: {}, not {expected}, of {times:?}",
            found[0].0
        );
    }
    Ok(())
}

fn a_message_by_its_offset_id(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "view", 2)?;
    let peer = stage.peer(client)?;
    let arguments = json!({"topic": topic, "keys": "v", "tags": ["red"], "size": 500, "count": 4});
    for sent in produce(peer, arguments)? {
        let id = sent.text("offsetMsgId");
        let got = peer.call("view", json!({"topic": topic, "msgId": id}))?;
        ensure!(got.len() == 1 && got[0].flag("intact"), "{got:?}");
        for field in ["key", "tag"] {
            ensure!(got[0].text(field) == sent.text(field), "{}", got[0].0);
        }
        ensure!(got[0].number("queueOffset") == sent.number("queueOffset"), "{}", got[0].0);
    }
    // An id behind the end is refused, not waited for.
    let before = std::time::Instant::now();
    let id = "7F00000100002A9F7000000000000000";
    ensure!(peer.call("view", json!({"topic": topic, "msgId": id})).is_err());
    ensure!(before.elapsed() < Duration::from_secs(30));
    Ok(())
}
