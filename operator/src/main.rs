//! `gantry-operator`: flags, logs, signals, exit code. All else is in the library.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use gantry_chassis::{Tasks, signal, telemetry};
use gantry_operator::{
    run::{RunError, run},
    settings::Settings,
};
use kube::Client;
use prometheus::Registry;

/// How long all tasks may take to end.
const DRAIN: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    if let Err(error) = telemetry::init(&settings.log) {
        eprintln!("gantry-operator: {error}");
        return ExitCode::from(2);
    }
    match serve(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "operator ends");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn serve(settings: &Settings) -> Result<(), RunError> {
    let terminated = signal::terminated()?;
    let client = Client::try_default().await.map_err(|e| RunError::Kubernetes(Box::new(e)))?;
    let registry = Registry::new();
    gantry_chassis::metrics::register(&registry, "gantry-operator", env!("CARGO_PKG_VERSION"))?;
    let tasks = Tasks::new("operator");
    let token = tasks.token().clone();
    tasks.spawn("signals", {
        let token = token.clone();
        async move {
            tokio::select! {
                signal = terminated => {
                    tracing::info!(signal, "ending");
                    token.cancel();
                }
                () = token.cancelled() => {}
            }
        }
    });
    let ended = Box::pin(run(settings, client, &tasks, &registry)).await;
    if let Err(stragglers) = tasks.shutdown(DRAIN).await {
        tracing::warn!(%stragglers, "tasks cut off");
    }
    ended
}
