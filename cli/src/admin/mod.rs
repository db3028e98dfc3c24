//! Commands that ask and change a running cluster.

mod cluster;
mod group;
mod message;
mod topic;

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;
use clap::Subcommand;
use gantry_chassis::Tasks;
use gantry_client::{Admin, Settings};

use crate::output::Format;

/// What every administrative command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// NameServers, host:port, `;` between them
    #[arg(
        short,
        long,
        env = "NAMESRV_ADDR",
        value_name = "ADDRESSES",
        default_value = "127.0.0.1:9876",
        global = true
    )]
    namesrv: String,
    /// How to show the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t, global = true)]
    output: Format,
}

/// Which topics or groups to list.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Only those of this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Also those that servers make for themselves
    #[arg(long)]
    all: bool,
}

impl Which {
    /// The masters that have them: broker name to address.
    async fn masters(&self, admin: &Admin) -> anyhow::Result<BTreeMap<String, String>> {
        match &self.cluster {
            Some(named) => {
                let cluster = cluster(admin, Some(named.clone())).await?;
                Ok(admin.masters(&cluster).await?)
            }
            None => masters(admin).await,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Clusters and their brokers
    Cluster {
        #[command(subcommand)]
        command: cluster::Command,
    },
    /// Topics
    Topic {
        #[command(subcommand)]
        command: topic::Command,
    },
    /// Consumer groups
    Group {
        #[command(subcommand)]
        command: group::Command,
    },
    /// Messages
    Message {
        #[command(subcommand)]
        command: message::Command,
    },
}

/// How long connections may take to end.
const ENDING: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: Command, common: Common) -> anyhow::Result<()> {
    let tasks = Tasks::new("gantry");
    let settings = Settings::new(&common.namesrv);
    let admin = Admin::new(settings, tasks.tracker(), tasks.token());
    let format = common.output;
    let result = match command {
        Command::Cluster { command } => cluster::run(command, &admin, format).await,
        Command::Topic { command } => topic::run(command, &admin, format).await,
        Command::Group { command } => group::run(command, &admin, format).await,
        Command::Message { command } => message::run(command, &admin, format).await,
    };
    if let Err(stragglers) = tasks.shutdown(ENDING).await {
        tracing::debug!(%stragglers, "connections left behind");
    }
    result
}

/// The cluster that is meant: the one named, or the only one there is.
async fn cluster(admin: &Admin, named: Option<String>) -> anyhow::Result<String> {
    let clusters = admin.cluster_info().await?.cluster_addr_table;
    match named {
        Some(name) if clusters.contains_key(&name) => Ok(name),
        Some(name) => bail!("there is no cluster {name}; there {}", there_are(clusters.keys())),
        None => match clusters.keys().collect::<Vec<_>>().as_slice() {
            [only] => Ok((*only).clone()),
            [] => bail!("no broker is registered with the NameServer"),
            _ => bail!("name one with --cluster: there {}", there_are(clusters.keys())),
        },
    }
}

fn there_are<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    match names.as_slice() {
        [] => "is none".into(),
        [only] => format!("is {only}"),
        many => format!("are {}", many.join(", ")),
    }
}

/// The masters of all clusters: broker name to address.
async fn masters(admin: &Admin) -> anyhow::Result<BTreeMap<String, String>> {
    let mut masters = BTreeMap::new();
    for cluster in admin.cluster_info().await?.cluster_addr_table.keys() {
        masters.extend(admin.masters(cluster).await?);
    }
    Ok(masters)
}

/// Whether a topic or group is one that servers make for themselves.
fn is_internal(name: &str) -> bool {
    const EXACT: [&str; 12] = [
        "TBW102",
        "BenchmarkTest",
        "OFFSET_MOVED_EVENT",
        "SELF_TEST_TOPIC",
        "SCHEDULE_TOPIC_XXXX",
        "TOOLS_CONSUMER",
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_PERMISSION",
        "CID_ONSAPI_OWNER",
        "CID_ONSAPI_PULL",
    ];
    let prefixed = ["%RETRY%", "%DLQ%", "rmq_sys_", "RMQ_SYS_", "CID_RMQ_SYS_", "TRANS_"];
    EXACT.contains(&name)
        || name.ends_with("_REPLY_TOPIC")
        || prefixed.iter().any(|prefix| name.starts_with(prefix))
}

/// How long ago a time in milliseconds since 1970 was, for people.
fn ago(millis: Option<u64>) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    match millis.filter(|at| *at > 0) {
        Some(at) => format!("{} ago", span(now.saturating_sub(at) / 1000)),
        None => "-".into(),
    }
}

/// Seconds as the largest two units say it.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        let spans = [5, 65, 3_700, 90_000].map(span);
        assert_eq!(spans, ["5s", "1m5s", "1h1m", "1d1h"]);
        assert_eq!(ago(Some(0)), "-");
    }

    #[test]
    fn internal_names_are_told_from_users() {
        for name in ["TBW102", "%RETRY%g", "rmq_sys_REVIVE", "c_REPLY_TOPIC", "CID_RMQ_SYS_TRANS"] {
            assert!(is_internal(name), "{name}");
        }
        assert!(!is_internal("orders"));
    }
}
