//! Push consumers: everything once, shared and not, filtered, and where they go on.

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use gantry_e2e::rig::{Call, Client, Event, Stage, consume, keys, places, produce};
use serde_json::json;

crate::cases! {
    a_backlog_arrives_once: Java55 Java49 Go;
    a_waiting_consumer_gets_it_at_once: Java55 Java49 Go;
    two_consumers_share_the_queues: Java55 Java49;
    broadcasting_gives_everyone_everything: Java55 Java49 Go;
    only_wanted_tags_arrive: Java55 Java49 Go;
    a_new_group_on_a_young_topic_starts_at_its_beginning: Java55 Java49 Go;
    a_group_goes_on_where_it_stopped: Java55 Java49 Go;
    a_refused_message_comes_again: Java55 Java49 Go;
}

/// Long enough for a second delivery to show.
const QUIET: Duration = Duration::from_millis(300);

fn nothing_more(consumer: &Call) -> anyhow::Result<()> {
    let more = consumer.drain("got", QUIET)?;
    ensure!(more.is_empty(), "more than was sent: {:?}", keys(&more));
    Ok(())
}

fn a_backlog_arrives_once(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "backlog", 4)?;
    let peer = stage.peer(client)?;
    let arguments = json!({"topic": topic, "keys": "k", "mode": "async", "count": 1000});
    let sent = produce(peer, arguments)?;
    let name = format!("backlog-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    let got = consumer.take("got", 1000)?;
    nothing_more(&consumer)?;
    ensure!(places(&got)? == places(&sent)?);
    let ids = |events: &[Event]| -> BTreeSet<String> {
        events.iter().map(|event| event.text("msgId").to_owned()).collect()
    };
    ensure!(ids(&got) == ids(&sent));
    ensure!(got.iter().all(|event| event.flag("intact")));
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_waiting_consumer_gets_it_at_once(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "waiting", 1)?;
    let peer = stage.peer(client)?;
    produce(peer, json!({"topic": topic, "keys": "first", "count": 1}))?;
    let name = format!("waiting-{}", client.word());
    let consumer = consume(peer, json!({"name": name, "group": name, "topic": topic}))?;
    consumer.take("got", 1)?;
    for round in 0..5 {
        let before = std::time::Instant::now();
        produce(peer, json!({"topic": topic, "keys": format!("then-{round}"), "count": 1}))?;
        consumer.take("got", 1)?;
        // A poll that is not woken takes five seconds at least.
        ensure!(before.elapsed() < Duration::from_secs(3), "took {:?}", before.elapsed());
    }
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

/// Waits for a consumer to hold a number of queues.
fn holds(consumer: &Call, count: usize) -> anyhow::Result<BTreeSet<String>> {
    loop {
        for event in consumer.take("assigned", 1)? {
            let queues: BTreeSet<String> =
                serde_json::from_value(event.0.get("queues").cloned().unwrap_or_default())?;
            if queues.len() == count {
                return Ok(queues);
            }
        }
    }
}

fn two_consumers_share_the_queues(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "shared", 4)?;
    let peer = stage.peer(client)?;
    let group = format!("shared-{}", client.word());
    let (one, two) = (format!("{group}-1"), format!("{group}-2"));
    let first = consume(peer, json!({"name": one, "group": group, "topic": topic}))?;
    holds(&first, 4)?;
    let second = consume(peer, json!({"name": two, "group": group, "topic": topic}))?;
    let (left, right) = (holds(&first, 2)?, holds(&second, 2)?);
    ensure!(left.is_disjoint(&right), "both hold {left:?} and {right:?}");
    let sent = produce(peer, json!({"topic": topic, "keys": "k", "count": 100}))?;
    let mut got = first.take("got", 50)?;
    got.extend(second.take("got", 50)?);
    ensure!(places(&got)? == places(&sent)?);
    // The one that stays takes over at once, since the broker tells it.
    peer.call("stop", json!({"name": two}))?;
    let before = std::time::Instant::now();
    holds(&first, 4)?;
    ensure!(before.elapsed() < Duration::from_secs(5), "took {:?}", before.elapsed());
    peer.call("stop", json!({"name": one}))?;
    Ok(())
}

fn broadcasting_gives_everyone_everything(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "broadcast", 4)?;
    let peer = stage.peer(client)?;
    let sent = produce(peer, json!({"topic": topic, "keys": "k", "count": 60}))?;
    let group = format!("broadcast-{}", client.word());
    for member in ["1", "2"] {
        let name = format!("{group}-{member}");
        let arguments = json!({"name": name, "group": group, "topic": topic, "broadcasting": true});
        let consumer = consume(peer, arguments)?;
        let got = consumer.take("got", 60)?;
        nothing_more(&consumer)?;
        ensure!(places(&got)? == places(&sent)?);
        peer.call("stop", json!({"name": name}))?;
    }
    Ok(())
}

fn only_wanted_tags_arrive(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "tags", 4)?;
    let peer = stage.peer(client)?;
    // "Aa" and "BB" have one hash: the broker lets both through, the client tells them apart.
    let arguments = json!({
        "topic": topic, "keys": "t", "tags": ["red", "Aa", "green", "BB"], "count": 80,
    });
    let sent = produce(peer, arguments)?;
    let name = format!("tags-{}", client.word());
    let arguments = json!({"name": name, "group": name, "topic": topic, "expression": "red || Aa"});
    let consumer = consume(peer, arguments)?;
    let got = consumer.take("got", 40)?;
    nothing_more(&consumer)?;
    let wanted: Vec<Event> =
        sent.into_iter().filter(|event| ["red", "Aa"].contains(&event.text("tag"))).collect();
    ensure!(places(&got)? == places(&wanted)?);
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_new_group_on_a_young_topic_starts_at_its_beginning(
    stage: &Stage,
    client: Client,
) -> anyhow::Result<()> {
    let topic = stage.topic(client, "young", 2)?;
    let peer = stage.peer(client)?;
    let sent = produce(peer, json!({"topic": topic, "keys": "k", "count": 20}))?;
    let name = format!("young-{}", client.word());
    let arguments = json!({"name": name, "group": name, "topic": topic, "from": "last"});
    let consumer = consume(peer, arguments)?;
    ensure!(places(&consumer.take("got", 20)?)? == places(&sent)?);
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}

fn a_group_goes_on_where_it_stopped(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "resume", 4)?;
    let peer = stage.peer(client)?;
    let group = format!("resume-{}", client.word());
    for round in 0..3 {
        let keys = format!("round{round}");
        let sent = produce(peer, json!({"topic": topic, "keys": keys, "count": 40}))?;
        let name = format!("{group}-{round}");
        let consumer = consume(peer, json!({"name": name, "group": group, "topic": topic}))?;
        let got = consumer.take("got", 40)?;
        nothing_more(&consumer)?;
        ensure!(places(&got)? == places(&sent)?, "round {round}");
        peer.call("stop", json!({"name": name}))?;
    }
    Ok(())
}

fn a_refused_message_comes_again(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "again", 2)?;
    let peer = stage.peer(client)?;
    let arguments = json!({"topic": topic, "keys": "k", "tags": ["red"], "count": 6});
    let sent = produce(peer, arguments)?;
    let name = format!("again-{}", client.word());
    let arguments =
        json!({"name": name, "group": name, "topic": topic, "expression": "red", "failures": 1});
    let consumer = consume(peer, arguments)?;
    // After ten seconds, from the group's retry topic, under the name of its own.
    let got = consumer.take("got", 12)?;
    let (refused, taken): (Vec<Event>, Vec<Event>) =
        got.into_iter().partition(|event| event.flag("refused"));
    ensure!(keys(&refused) == keys(&sent) && keys(&taken) == keys(&sent));
    for event in &taken {
        ensure!(event.number("reconsumeTimes") == 1 && event.flag("intact"), "{}", event.0);
        ensure!(event.text("topic") == topic && event.text("tag") == "red", "{}", event.0);
    }
    peer.call("stop", json!({"name": name}))?;
    Ok(())
}
