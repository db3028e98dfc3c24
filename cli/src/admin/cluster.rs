//! `gantry cluster`.

use gantry_client::{Admin, admin::Properties};
use serde::Serialize;

use crate::output::{self, Format, Row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List brokers with what they do
    List,
}

pub(super) async fn run(command: Command, admin: &Admin, format: Format) -> anyhow::Result<()> {
    match command {
        Command::List => list(admin, format).await,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Broker {
    cluster: String,
    broker: String,
    id: u64,
    address: String,
    #[serde(flatten)]
    state: State,
}

#[derive(Serialize)]
#[serde(untagged)]
enum State {
    #[serde(rename_all = "camelCase")]
    Alive {
        version: Option<String>,
        in_per_second: Option<f64>,
        out_per_second: Option<f64>,
        disk_ratio: Option<f64>,
    },
    Unreachable {
        error: String,
    },
}

impl State {
    fn alive(info: &Properties) -> Self {
        // Rates are three numbers with blanks between; the first is that of the last ten seconds.
        let first = |name: &str| info.get(name)?.split(' ').next()?.parse::<f64>().ok();
        Self::Alive {
            version: info.get("brokerVersionDesc").cloned(),
            in_per_second: first("putTps"),
            out_per_second: first("getTransferredTps").or_else(|| first("getTransferedTps")),
            disk_ratio: first("commitLogDiskRatio"),
        }
    }
}

impl Row for Broker {
    const TITLES: &'static [&'static str] =
        &["CLUSTER", "BROKER", "ID", "ADDRESS", "VERSION", "IN/S", "OUT/S", "DISK"];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            self.cluster.clone(),
            self.broker.clone(),
            self.id.to_string(),
            self.address.clone(),
        ];
        match &self.state {
            State::Alive { version, in_per_second, out_per_second, disk_ratio } => {
                let number = |n: &Option<f64>| n.map_or_else(|| "-".into(), |n| format!("{n:.0}"));
                cells.push(version.clone().unwrap_or_else(|| "-".into()));
                cells.push(number(in_per_second));
                cells.push(number(out_per_second));
                cells.push(disk_ratio.map_or_else(|| "-".into(), |r| format!("{:.0}%", r * 100.0)));
            }
            State::Unreachable { .. } => {
                cells.push("unreachable".into());
                cells.extend(std::iter::repeat_n("-".to_owned(), 3));
            }
        }
        cells
    }
}

async fn list(admin: &Admin, format: Format) -> anyhow::Result<()> {
    let info = admin.cluster_info().await?;
    let mut brokers = Vec::new();
    for (cluster, names) in &info.cluster_addr_table {
        for name in names {
            let Some(group) = info.broker_addr_table.get(name) else { continue };
            for (id, address) in &group.broker_addrs {
                let state = match admin.broker(address).runtime_info().await {
                    Ok(info) => State::alive(&info),
                    Err(error) => State::Unreachable { error: error.to_string() },
                };
                brokers.push(Broker {
                    cluster: cluster.clone(),
                    broker: name.clone(),
                    id: id.0,
                    address: address.clone(),
                    state,
                });
            }
        }
    }
    output::rows(format, &brokers, "No broker is registered with the NameServer.")
}
