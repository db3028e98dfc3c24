//! A NameServer and a broker in one process: what a developer needs on a laptop.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gantry_chassis::{Health, Tasks, admin, metrics, shutdown, signal};
use prometheus::Registry;

use crate::output;

/// How it runs.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where messages, topics and offsets are kept; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "gantry-data")]
    data_dir: PathBuf,
    /// Address that clients are to use; anything but a loopback address listens on all interfaces
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Port of the NameServer; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 9876)]
    namesrv_port: u16,
    /// Port of the broker; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 10911)]
    broker_port: u16,
    /// Port of /livez, /readyz and /metrics; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = admin::DEFAULT_PORT)]
    admin_port: u16,
}

/// How long the rest may take to end, after broker and NameServer have.
const ENDING: Duration = Duration::from_secs(2);
/// How long the start may take: recovery of a large log included.
const STARTING: Duration = Duration::from_secs(600);

/// Runs until Ctrl-C or SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let began = Instant::now();
    let terminated = signal::terminated()?;
    let (tasks, health, registry) = (Tasks::new("gantry"), Health::new(), Registry::new());
    metrics::register(&registry, "gantry", env!("CARGO_PKG_VERSION"))?;

    let bind = bind_address(args.host);
    let admin = SocketAddr::new(bind, args.admin_port);
    let admin = admin::serve(admin, registry.clone(), health.clone(), &tasks)
        .await
        .context("--admin-port takes another")?;
    let namesrv = gantry_namesrv::start(namesrv(&args, bind), &tasks, &registry, &health)?;
    let at = SocketAddr::new(args.host, namesrv.address().port());
    let settings = broker(&args, bind, at);
    let broker = gantry_broker::start(settings, &tasks, &registry, &health)?;
    let port = broker.address().map_or(args.broker_port, |address| address.port());
    tokio::time::timeout(STARTING, health.until_ready())
        .await
        .with_context(|| format!("still waiting for: {}", health.missing().join(", ")))?;
    output::print(&greeting(&args, at, port, admin, began.elapsed()))?;

    let failed = tokio::select! {
        signal = terminated => {
            tracing::info!(signal, "stopping");
            false
        }
        () = broker.failed() => true,
    };
    broker.shutdown().await;
    namesrv.shutdown().await;
    let ended = shutdown::within(ENDING, "admin port", tasks.shutdown(ENDING)).await;
    if let Some(Err(stragglers)) = ended {
        tracing::warn!(%stragglers, "stopped without waiting longer");
    }
    anyhow::ensure!(!failed, "the disk failed; what was acknowledged is safe, start again");
    Ok(())
}

fn bind_address(host: IpAddr) -> IpAddr {
    if host.is_loopback() { host } else { Ipv4Addr::UNSPECIFIED.into() }
}

fn namesrv(args: &Args, bind: IpAddr) -> gantry_namesrv::Settings {
    let dir = args.data_dir.join("namesrv");
    gantry_namesrv::Settings {
        bind: bind.to_string(),
        port: args.namesrv_port,
        kv_path: dir.join("kvConfig.json"),
        store_path: dir.join("namesrv.properties"),
        ..gantry_namesrv::Settings::default()
    }
}

fn broker(args: &Args, bind: IpAddr, namesrv: SocketAddr) -> gantry_broker::Settings {
    gantry_broker::Settings {
        bind: bind.to_string(),
        port: args.broker_port,
        ip: args.host.to_string(),
        namesrv: namesrv.to_string(),
        root: args.data_dir.display().to_string(),
        ..gantry_broker::Settings::default()
    }
}

fn greeting(
    args: &Args,
    namesrv: SocketAddr,
    broker_port: u16,
    admin: SocketAddr,
    took: Duration,
) -> String {
    let broker = SocketAddr::new(args.host, broker_port);
    format!(
        "Gantry is ready after {} ms: NameServer {namesrv}, broker {broker}, metrics http://{admin}/metrics, data in {}\n\
         Press Ctrl-C to stop.\n",
        took.as_millis(),
        args.data_dir.display(),
    )
}
