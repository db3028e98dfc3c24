//! `gantry topic`.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use gantry_client::{
    Admin, Topic,
    body::{TopicConfig, TopicRouteData},
};
use gantry_model::Perm;
use serde::Serialize;

use super::{Which, ago, cluster, is_internal};
use crate::output::{self, Format, Row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List topics
    List(Which),
    /// Create a topic on all masters of a cluster, or change it
    Create {
        /// Its name
        topic: String,
        /// Queues on each broker
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65_535))]
        queues: u32,
        /// What clients may do: rw, r or w
        #[arg(long, default_value = "rw", value_parser = perm)]
        perm: Perm,
        /// An attribute, name=value; several are allowed
        #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
        attributes: Vec<(String, String)>,
        /// The cluster, if there are several
        #[arg(long)]
        cluster: Option<String>,
    },
    /// Show where a topic is
    Route {
        /// Its name
        topic: String,
    },
    /// Delete a topic and its messages
    Delete {
        /// Its name
        topic: String,
        /// The cluster, if there are several
        #[arg(long)]
        cluster: Option<String>,
        /// Really: its messages cannot be brought back
        #[arg(long)]
        yes: bool,
    },
    /// Show how many messages each queue of a topic has
    Stats {
        /// Its name
        topic: String,
    },
}

fn perm(text: &str) -> Result<Perm, String> {
    match text {
        "rw" => Ok(Perm::READ_WRITE),
        "r" => Ok(Perm::READ),
        "w" => Ok(Perm::WRITE),
        _ => Err("must be rw, r or w".into()),
    }
}

fn shown(perm: Perm) -> String {
    let letters = [(Perm::READ, 'r'), (Perm::WRITE, 'w')];
    let set: String =
        letters.iter().filter(|(bit, _)| perm.allows(*bit)).map(|(_, letter)| *letter).collect();
    if set.is_empty() { "-".into() } else { set }
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(command: Command, admin: &Admin, format: Format) -> anyhow::Result<()> {
    match command {
        Command::List(which) => list(admin, which, format).await,
        Command::Create { topic, queues, perm, attributes, cluster: named } => {
            let config = TopicConfig {
                topic_name: Topic::new(&topic)?.to_string(),
                read_queue_nums: queues,
                write_queue_nums: queues,
                perm,
                attributes: attributes.into_iter().collect(),
                ..TopicConfig::default()
            };
            let cluster = cluster(admin, named).await?;
            let brokers = admin.masters(&cluster).await?.len();
            ensure!(brokers > 0, "cluster {cluster} has no master");
            admin.upsert_topic(&cluster, &config).await?;
            let each = if brokers == 1 { "the broker" } else { "each broker" };
            output::line(&format!("Topic {topic} has {queues} queues on {each} of {cluster}."))
        }
        Command::Route { topic } => route(admin, &Topic::new(&topic)?, format).await,
        Command::Delete { topic, cluster: named, yes } => {
            let topic = Topic::new(&topic)?;
            let cluster = cluster(admin, named).await?;
            if !yes {
                bail!(
                    "deleting {topic} from {cluster} deletes its messages; add --yes if you mean it"
                );
            }
            admin.delete_topic(&cluster, &topic).await?;
            output::line(&format!("Topic {topic} is deleted from {cluster}."))
        }
        Command::Stats { topic } => stats(admin, &Topic::new(&topic)?, format).await,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    topic: String,
    brokers: usize,
    read_queues: u32,
    write_queues: u32,
    perm: String,
}

impl Row for Listed {
    const TITLES: &'static [&'static str] =
        &["TOPIC", "BROKERS", "READ QUEUES", "WRITE QUEUES", "PERM"];

    fn cells(&self) -> Vec<String> {
        let Self { topic, brokers, read_queues, write_queues, perm } = self;
        vec![
            topic.clone(),
            brokers.to_string(),
            read_queues.to_string(),
            write_queues.to_string(),
            perm.clone(),
        ]
    }
}

async fn list(admin: &Admin, which: Which, format: Format) -> anyhow::Result<()> {
    let masters = which.masters(admin).await?;
    let info = admin.cluster_info().await?;
    let mut topics: BTreeMap<String, Listed> = BTreeMap::new();
    for address in masters.values() {
        for (topic, config) in admin.broker(address).topics().await?.topic_config_table {
            // Every broker has topics named like its cluster and itself.
            let is_own = info.cluster_addr_table.contains_key(&topic)
                || info.broker_addr_table.contains_key(&topic);
            if !which.all && (is_internal(&topic) || is_own) {
                continue;
            }
            let perm = shown(config.perm);
            let listed = topics.entry(topic.clone()).or_insert_with(|| Listed {
                topic,
                brokers: 0,
                read_queues: 0,
                write_queues: 0,
                perm: perm.clone(),
            });
            listed.brokers += 1;
            listed.read_queues += config.read_queue_nums;
            listed.write_queues += config.write_queue_nums;
            if listed.perm != perm {
                listed.perm = "differs".into();
            }
        }
    }
    let topics: Vec<Listed> = topics.into_values().collect();
    output::rows(format, &topics, "No topics.")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    cluster: String,
    broker: String,
    addresses: BTreeMap<u64, String>,
    read_queues: u32,
    write_queues: u32,
    perm: String,
}

impl Row for Place {
    const TITLES: &'static [&'static str] =
        &["CLUSTER", "BROKER", "ADDRESSES", "READ QUEUES", "WRITE QUEUES", "PERM"];

    fn cells(&self) -> Vec<String> {
        let addresses: Vec<String> =
            self.addresses.iter().map(|(id, address)| format!("{id}={address}")).collect();
        vec![
            self.cluster.clone(),
            self.broker.clone(),
            addresses.join(" "),
            self.read_queues.to_string(),
            self.write_queues.to_string(),
            self.perm.clone(),
        ]
    }
}

async fn route(admin: &Admin, topic: &Topic, format: Format) -> anyhow::Result<()> {
    let route = admin.route(topic).await?;
    output::rows(format, &places(&route), "The route is empty.")
}

fn places(route: &TopicRouteData) -> Vec<Place> {
    let place = |queues: &gantry_client::body::QueueData| {
        let broker = route.broker_datas.iter().find(|b| b.broker_name == queues.broker_name)?;
        let addresses = broker.broker_addrs.iter();
        Some(Place {
            cluster: broker.cluster.clone(),
            broker: broker.broker_name.clone(),
            addresses: addresses.map(|(id, address)| (id.0, address.clone())).collect(),
            read_queues: queues.read_queue_nums,
            write_queues: queues.write_queue_nums,
            perm: shown(queues.perm),
        })
    };
    route.queue_datas.iter().filter_map(place).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueStats {
    broker: String,
    queue: u32,
    first: u64,
    end: u64,
    messages: u64,
    last_stored_millis: Option<u64>,
}

impl Row for QueueStats {
    const TITLES: &'static [&'static str] =
        &["BROKER", "QUEUE", "FIRST", "END", "MESSAGES", "LAST STORED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.broker.clone(),
            self.queue.to_string(),
            self.first.to_string(),
            self.end.to_string(),
            self.messages.to_string(),
            ago(self.last_stored_millis),
        ]
    }
}

async fn stats(admin: &Admin, topic: &Topic, format: Format) -> anyhow::Result<()> {
    let mut queues = Vec::new();
    for address in masters_of(&*admin.route(topic).await?) {
        let table = admin.broker(&address).topic_stats(topic).await?.offset_table;
        queues.extend(table.into_iter().map(|(queue, offsets)| {
            let (first, end) = (offsets.min_offset.get(), offsets.max_offset.get());
            let (first, end) = (first.unwrap_or_default(), end.unwrap_or_default());
            QueueStats {
                broker: queue.broker_name,
                queue: queue.queue_id.0,
                first: first.0,
                end: end.0,
                messages: end.since(first),
                last_stored_millis: offsets.last_update_timestamp.get().map(|t| t.0),
            }
        }));
    }
    queues.sort_by(|a, b| (&a.broker, a.queue).cmp(&(&b.broker, b.queue)));
    let total: u64 = queues.iter().map(|queue| queue.messages).sum();
    output::rows(format, &queues, "The topic has no queues.")?;
    if format == Format::Table {
        output::line(&format!("{total} messages in {} queues", queues.len()))?;
    }
    Ok(())
}

/// The masters that have queues of a topic.
fn masters_of(route: &TopicRouteData) -> Vec<String> {
    let master = gantry_model::BrokerId(0);
    route.broker_datas.iter().filter_map(|b| b.broker_addrs.get(&master).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_go_both_ways() {
        for text in ["rw", "r", "w"] {
            assert_eq!(perm(text).map(shown).as_deref(), Ok(text));
        }
        assert!(perm("x").is_err());
        assert_eq!(shown(Perm::NONE), "-");
    }
}
