//! The process `gantry-broker`: settings, telemetry, the admin port, and the end on a signal.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Parser;
use gantry_broker::{Settings, config};
use gantry_chassis::{
    Health, Tasks, admin, metrics,
    settings::Settings as _,
    shutdown, signal,
    telemetry::{self, LogArgs},
};
use prometheus::Registry;

/// Broker of a Gantry cluster: takes messages from RocketMQ producers, keeps them, and gives them to
/// consumers.
///
/// The configuration file is that of Apache RocketMQ: lines of `name=value`. Those most often set are
/// brokerClusterName, brokerName, namesrvAddr, storePathRootDir and flushDiskType.
#[derive(Parser)]
#[command(name = "gantry-broker", version)]
struct Args {
    /// Configuration file (broker.conf); without it everything has its default
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print all settings as they would be used, and end
    #[arg(short = 'p', long = "print-config")]
    print: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// How long the admin port may take to end, after everything else has.
const ENDING: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (settings, complaints) = load(&args)?;
    if args.print {
        use std::io::Write as _;
        std::io::stdout().lock().write_all(settings.print().as_bytes())?;
        return Ok(());
    }
    telemetry::init(&args.log)?;
    for complaint in complaints {
        tracing::warn!("{complaint}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(settings))
}

fn load(args: &Args) -> anyhow::Result<(Settings, Vec<String>)> {
    let Some(path) = &args.config else { return Ok((Settings::default(), Vec::new())) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    let (settings, complaints) = Settings::load(&text);
    let named = |complaint| format!("{}: {}", path.display(), config::sentence(complaint));
    Ok((settings, complaints.iter().map(named).collect()))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let terminated = signal::terminated()?;
    let (tasks, health, registry) = (Tasks::new("gantry-broker"), Health::new(), Registry::new());
    metrics::register(&registry, "gantry-broker", env!("CARGO_PKG_VERSION"))?;
    let host = settings.metrics_host.trim();
    let ip = if host.is_empty() { Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) } else { host.parse() };
    let ip = ip.with_context(|| format!("metricsPromExporterHost={host} is no IP address"))?;
    let admin = SocketAddr::new(ip, settings.metrics_port);
    let admin = admin::serve(admin, registry.clone(), health.clone(), &tasks).await?;
    let running = gantry_broker::start(settings, &tasks, &registry, &health)?;
    let address = running.address();
    tracing::info!(address = address.map(tracing::field::display), %admin, "gantry-broker is ready");

    let failed = tokio::select! {
        signal = terminated => {
            tracing::info!(signal, "stopping");
            false
        }
        () = running.failed() => true,
    };
    if failed {
        health.declare_broken("the disk has failed");
    }
    running.shutdown().await;
    if let Some(Err(stragglers)) =
        shutdown::within(ENDING, "admin port", tasks.shutdown(ENDING)).await
    {
        tracing::warn!(%stragglers, "stopped without waiting longer");
    }
    if failed {
        bail!("the disk has failed: nothing more can be stored until the process starts anew");
    }
    Ok(())
}
