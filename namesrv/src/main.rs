//! The process `gantry-namesrv`: settings, telemetry, the admin port, and the end on a signal.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::Parser;
use gantry_chassis::{
    Health, Tasks, admin, metrics,
    settings::Settings as _,
    shutdown, signal,
    telemetry::{self, LogArgs},
};
use gantry_namesrv::{Settings, settings};
use prometheus::Registry;

/// NameServer of a Gantry cluster: tells RocketMQ clients which brokers have a topic.
///
/// Brokers register with every NameServer; NameServers know nothing of each other, so run as many as
/// you like. The configuration file is that of Apache RocketMQ: lines of `name=value`, of which
/// listenPort (9876) is the one most often set.
#[derive(Parser)]
#[command(name = "gantry-namesrv", version)]
struct Args {
    /// Configuration file (namesrv.conf); without it everything has its default
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
    let (mut settings, complaints) = Settings::load(&text);
    if settings.store_path == Settings::default().store_path {
        // As in Java: what is changed at run time goes back to the file it came from.
        settings.store_path.clone_from(path);
    }
    let named = |c| format!("{}: {}", path.display(), settings::sentence(c));
    Ok((settings, complaints.iter().map(named).collect()))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let terminated = signal::terminated()?;
    let (tasks, health, registry) = (Tasks::new("gantry-namesrv"), Health::new(), Registry::new());
    metrics::register(&registry, "gantry-namesrv", env!("CARGO_PKG_VERSION"))?;
    let Ok(ip) = settings.bind.parse() else {
        bail!("bindAddress={} is no IP address", settings.bind);
    };
    let admin = SocketAddr::new(ip, settings.admin_port);
    let admin = admin::serve(admin, registry.clone(), health.clone(), &tasks).await?;
    let running = gantry_namesrv::start(settings, &tasks, &registry, &health)?;
    tracing::info!(address = %running.address(), %admin, "gantry-namesrv is ready");

    let signal = terminated.await;
    tracing::info!(signal, "stopping");
    running.shutdown().await;
    if let Some(Err(stragglers)) =
        shutdown::within(ENDING, "admin port", tasks.shutdown(ENDING)).await
    {
        tracing::warn!(%stragglers, "stopped without waiting longer");
    }
    Ok(())
}
