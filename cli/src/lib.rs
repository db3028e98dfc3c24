//! `gantry`: the command for people. It administers clusters, Gantry's and Apache RocketMQ's alike, and
//! runs a whole server in one process for development.
//!
//! Invariant: what is printed goes through `output`, once, when all of it is known. A failure is one
//! sentence on standard error and exit code 1.

mod admin;
mod output;
mod standalone;

use clap::{Parser, Subcommand};
use gantry_chassis::telemetry::{self, Format, LogArgs};

/// Administer and run Gantry, the RocketMQ-compatible message broker.
#[derive(Parser)]
#[command(name = "gantry", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: admin::Common,
    /// What to log: a level (error, warn, info, debug, trace) or target=level, comma-separated
    #[arg(long, env = "RUST_LOG", value_name = "FILTER", default_value = "warn", global = true)]
    log: String,
}

#[derive(Subcommand)]
enum Command {
    /// Run a NameServer and a broker in this process, for development
    Standalone(standalone::Args),
    #[command(flatten)]
    Admin(admin::Command),
}

/// Does what the command line asks.
///
/// # Errors
/// With a sentence for the person who typed it.
pub fn run(args: Args) -> anyhow::Result<()> {
    telemetry::init(&LogArgs { filter: args.log, log_format: Format::Auto })?;
    match args.command {
        Command::Standalone(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(standalone::run(args))
        }
        Command::Admin(command) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(admin::run(command, args.common))
        }
    }
}
