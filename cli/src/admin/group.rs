//! `gantry group`.

use std::collections::BTreeMap;

use gantry_client::{
    Admin, ClientError, Group, ResponseCode, Topic,
    body::{ConsumeStats, ConsumerConnection},
};
use serde::Serialize;

use super::{Which, ago, is_internal, masters};
use crate::output::{self, Format, Row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List consumer groups
    List(Which),
    /// Show how far a group is behind in each queue
    Lag {
        /// Its name
        group: String,
        /// Only in this topic
        #[arg(long)]
        topic: Option<String>,
    },
}

pub(super) async fn run(command: Command, admin: &Admin, format: Format) -> anyhow::Result<()> {
    match command {
        Command::List(which) => list(admin, which, format).await,
        Command::Lag { group, topic } => {
            let topic = topic.map(|topic| Topic::new(&topic)).transpose()?;
            lag(admin, &Group::new(&group)?, topic.as_ref(), format).await
        }
    }
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Listed {
    group: String,
    brokers: usize,
    members: usize,
    topics: Vec<String>,
    max_retries: i32,
}

impl Row for Listed {
    const TITLES: &'static [&'static str] = &["GROUP", "BROKERS", "MEMBERS", "RETRIES", "TOPICS"];

    fn cells(&self) -> Vec<String> {
        let topics = if self.topics.is_empty() { "-".to_owned() } else { self.topics.join(",") };
        vec![
            self.group.clone(),
            self.brokers.to_string(),
            self.members.to_string(),
            self.max_retries.to_string(),
            topics,
        ]
    }
}

impl Listed {
    /// Members connect to every broker: the broker that knows most knows all.
    fn join(&mut self, connection: Option<ConsumerConnection>) {
        self.brokers += 1;
        let Some(connection) = connection else { return };
        self.members = self.members.max(connection.connection_set.len());
        let topics = connection.subscription_table.into_keys();
        self.topics.extend(topics.filter(|topic| !is_internal(topic)));
        self.topics.sort_unstable();
        self.topics.dedup();
    }
}

async fn list(admin: &Admin, which: Which, format: Format) -> anyhow::Result<()> {
    let masters = which.masters(admin).await?;
    let mut groups: BTreeMap<String, Listed> = BTreeMap::new();
    for address in masters.values() {
        let broker = admin.broker(address);
        for (name, config) in broker.groups().await?.subscription_group_table {
            if !which.all && is_internal(&name) {
                continue;
            }
            let Ok(group) = Group::new(&name) else { continue };
            let connection = broker.consumer_connection(&group).await?;
            let listed = groups.entry(name.clone()).or_default();
            listed.group = name;
            listed.max_retries = config.retry_max_times;
            listed.join(connection);
        }
    }
    let groups: Vec<Listed> = groups.into_values().collect();
    output::rows(format, &groups, "No consumer groups.")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueLag {
    topic: String,
    broker: String,
    queue: u32,
    /// `null` when the group has not committed anything in this queue.
    committed: Option<u64>,
    end: u64,
    lag: u64,
    last_consumed_millis: Option<u64>,
}

impl Row for QueueLag {
    const TITLES: &'static [&'static str] =
        &["TOPIC", "BROKER", "QUEUE", "COMMITTED", "END", "LAG", "LAST CONSUMED STORED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.broker.clone(),
            self.queue.to_string(),
            self.committed.map_or_else(|| "-".into(), |offset| offset.to_string()),
            self.end.to_string(),
            self.lag.to_string(),
            ago(self.last_consumed_millis),
        ]
    }
}

fn lags(stats: ConsumeStats) -> impl Iterator<Item = QueueLag> {
    stats.offset_table.into_iter().map(|(queue, offsets)| {
        let end = offsets.broker_offset.get().unwrap_or_default();
        let committed = offsets.consumer_offset.get();
        QueueLag {
            topic: queue.topic,
            broker: queue.broker_name,
            queue: queue.queue_id.0,
            committed: committed.map(|offset| offset.0),
            end: end.0,
            lag: end.since(committed.unwrap_or_default()),
            last_consumed_millis: offsets.last_timestamp.get().map(|t| t.0).filter(|t| *t > 0),
        }
    })
}

async fn lag(
    admin: &Admin,
    group: &Group,
    topic: Option<&Topic>,
    format: Format,
) -> anyhow::Result<()> {
    let mut queues: Vec<QueueLag> = Vec::new();
    for address in masters(admin).await?.values() {
        match admin.broker(address).consume_stats(group, topic).await {
            Ok(stats) => queues.extend(lags(stats)),
            Err(error) if is_unknown_here(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    queues.sort_by(|a, b| (&a.topic, &a.broker, a.queue).cmp(&(&b.topic, &b.broker, b.queue)));
    let total: u64 = queues.iter().map(|queue| queue.lag).sum();
    output::rows(format, &queues, &format!("Group {group} has not consumed anything."))?;
    if format == Format::Table && !queues.is_empty() {
        output::line(&format!("{total} messages behind in {} queues", queues.len()))?;
    }
    Ok(())
}

/// A broker that the group has never been on is no failure.
fn is_unknown_here(error: &ClientError) -> bool {
    error.is(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST) || error.is(ResponseCode::TOPIC_NOT_EXIST)
}

#[cfg(test)]
mod tests {
    use gantry_client::{
        QueueId, QueueOffset,
        body::{MessageQueue, OffsetWrapper},
    };

    use super::*;

    #[test]
    fn the_lag_is_from_the_committed_offset_to_the_end() {
        let queue =
            MessageQueue { broker_name: "a".into(), queue_id: QueueId(3), topic: "orders".into() };
        let offsets = OffsetWrapper {
            broker_offset: QueueOffset(10).into(),
            consumer_offset: QueueOffset(4).into(),
            ..OffsetWrapper::default()
        };
        let stats = ConsumeStats { offset_table: [(queue, offsets)].into(), consume_tps: 0.0 };
        let lag = lags(stats).next().unwrap();
        assert_eq!((lag.committed, lag.end, lag.lag), (Some(4), 10, 6));
        assert_eq!(lag.cells(), ["orders", "a", "3", "4", "10", "6", "-"]);
    }
}
