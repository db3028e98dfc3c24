//! mqadmin 5.5.0 against the server: what it prints.

use anyhow::{Context, ensure};
use gantry_e2e::rig::{Client, Server, Stage, consume, produce};
use serde_json::json;

crate::cases! {
    the_cluster_is_listed: Java55;
    a_topic_lives: Java55;
    a_group_lives: Java55;
    progress_and_connections_are_shown: Java55;
    the_broker_tells_of_itself: Java55;
    write_permission_is_wiped_and_restored: Java55;
}

/// Runs an mqadmin command and gives what it printed; its failures are printed, too.
fn mqadmin(stage: &Stage, args: &[&str]) -> anyhow::Result<String> {
    let events = stage.peer(Client::Java55)?.call("mqadmin", json!({"args": args}))?;
    let printed = events.first().context("nothing printed")?.text("text").to_owned();
    ensure!(!printed.contains("Exception"), "mqadmin {args:?}:\n{printed}");
    Ok(printed)
}

fn expect(printed: &str, words: &[&str]) -> anyhow::Result<()> {
    for word in words {
        ensure!(printed.contains(word), "no {word:?} in:\n{printed}");
    }
    Ok(())
}

fn the_cluster_is_listed(stage: &Stage, _: Client) -> anyhow::Result<()> {
    let broker = stage.server().broker().to_string();
    let printed = mqadmin(stage, &["clusterList"])?;
    expect(&printed, &[Server::CLUSTER, Server::BROKER, &broker])?;
    expect(&mqadmin(stage, &["topicList"])?, &["TBW102", Server::BROKER])?;
    Ok(())
}

fn a_topic_lives(stage: &Stage, _: Client) -> anyhow::Result<()> {
    let topic = "admin-topic";
    let cluster = Server::CLUSTER;
    let set = ["updateTopic", "-c", cluster, "-t", topic, "-r", "3", "-w", "3"];
    expect(&mqadmin(stage, &set)?, &["create topic to", "success", "readQueueNums=3"])?;
    let route = mqadmin(stage, &["topicRoute", "-t", topic])?;
    expect(&route, &["\"readQueueNums\":3", "\"perm\":6", &stage.server().broker().to_string()])?;
    let sent =
        produce(stage.peer(Client::Java55)?, json!({"topic": topic, "keys": "k", "count": 9}))?;
    ensure!(sent.len() == 9);
    let status = mqadmin(stage, &["topicStatus", "-t", topic])?;
    ensure!(
        status.lines().filter(|line| line.starts_with(Server::BROKER)).count() == 3,
        "{status}"
    );
    let more = ["updateTopic", "-c", cluster, "-t", topic, "-r", "5", "-w", "5"];
    expect(&mqadmin(stage, &more)?, &["readQueueNums=5"])?;
    expect(&mqadmin(stage, &["topicRoute", "-t", topic])?, &["\"writeQueueNums\":5"])?;
    expect(&mqadmin(stage, &["topicClusterList", "-t", topic])?, &[cluster])?;
    expect(&mqadmin(stage, &["deleteTopic", "-c", cluster, "-t", topic])?, &["success"])?;
    ensure!(mqadmin(stage, &["topicRoute", "-t", topic]).is_err(), "the route is still there");
    Ok(())
}

fn a_group_lives(stage: &Stage, _: Client) -> anyhow::Result<()> {
    let (cluster, group) = (Server::CLUSTER, "admin-group");
    let set = ["updateSubGroup", "-c", cluster, "-g", group, "-r", "3", "-q", "2"];
    expect(&mqadmin(stage, &set)?, &["success", "retryMaxTimes=3", "retryQueueNums=2"])?;
    expect(&mqadmin(stage, &["deleteSubGroup", "-c", cluster, "-g", group])?, &["success"])?;
    Ok(())
}

fn progress_and_connections_are_shown(stage: &Stage, client: Client) -> anyhow::Result<()> {
    let topic = stage.topic(client, "progress", 2)?;
    let peer = stage.peer(client)?;
    produce(peer, json!({"topic": topic, "keys": "k", "count": 10}))?;
    let group = "progress-group";
    let consumer = consume(peer, json!({"name": group, "group": group, "topic": topic}))?;
    consumer.take("got", 10)?;
    let connection = mqadmin(stage, &["consumerConnection", "-g", group])?;
    expect(&connection, &["127.0.0.1@progress-group", &topic, "CLUSTERING", "V5_5_0"])?;
    let producers = ["producerConnection", "-g", "e2e-producers", "-t", &topic];
    expect(&mqadmin(stage, &producers)?, &["127.0.0.1@producer-e2e-producers"])?;
    peer.call("stop", json!({"name": group}))?;
    produce(peer, json!({"topic": topic, "keys": "late", "count": 4}))?;
    // Stopping has committed everything before; the four since are the lag.
    let progress = mqadmin(stage, &["consumerProgress", "-g", group])?;
    expect(&progress, &["Diff Total: 4", &topic])?;
    ensure!(mqadmin(stage, &["consumerConnection", "-g", group]).is_err(), "still connected");
    expect(&mqadmin(stage, &["consumerProgress"])?, &[group])?;
    Ok(())
}

fn the_broker_tells_of_itself(stage: &Stage, _: Client) -> anyhow::Result<()> {
    let broker = stage.server().broker().to_string();
    let status = mqadmin(stage, &["brokerStatus", "-b", &broker])?;
    expect(&status, &["brokerVersionDesc", "msgPutTotalTodayNow", "commitLogMaxOffset", "putTps"])?;
    let config = mqadmin(stage, &["getBrokerConfig", "-b", &broker])?;
    expect(&config, &["brokerName", Server::BROKER, "flushDiskType"])?;
    let set = ["updateBrokerConfig", "-b", &broker, "-k", "shortPollingTimeMills", "-v", "1071"];
    expect(&mqadmin(stage, &set)?, &["success"])?;
    let config = mqadmin(stage, &["getBrokerConfig", "-b", &broker])?;
    let line = config.lines().find(|line| line.starts_with("shortPollingTimeMills"));
    ensure!(line.is_some_and(|line| line.contains("1071")), "{line:?}");
    let namesrv = stage.server().namesrv();
    expect(&mqadmin(stage, &["getNamesrvConfig"])?, &[&namesrv.port().to_string()])?;
    Ok(())
}

fn write_permission_is_wiped_and_restored(_: &Stage, client: Client) -> anyhow::Result<()> {
    // On a server of its own: the others want to write.
    let stage = Stage::open(gantry_e2e::rig::Setup::default())?;
    let topic = stage.topic(client, "wiped", 2)?;
    let route = |perm: &str| -> anyhow::Result<()> {
        expect(&mqadmin(&stage, &["topicRoute", "-t", &topic])?, &[perm])
    };
    route("\"perm\":6")?;
    expect(&mqadmin(&stage, &["wipeWritePerm", "-b", Server::BROKER])?, &["OK"])?;
    route("\"perm\":4")?;
    expect(&mqadmin(&stage, &["addWritePerm", "-b", Server::BROKER])?, &["OK"])?;
    route("\"perm\":6")
}
