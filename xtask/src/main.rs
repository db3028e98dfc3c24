//! `cargo xtask`: what generates files of this repository and what checks rules that clippy cannot.
//!
//! Every generator has a `--check` form that writes nothing and fails when the file on disk differs.

mod crds;
mod generated;
mod tidy;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Generators and checks of the Gantry repository")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks dependency edges, pure modules, file heads and lengths, names, and generated files.
    Tidy,
    /// Writes the generated files: CRDs and the table of requests.
    Generate {
        /// Write nothing; fail when a file is not what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut findings = Vec::new();
    match Args::parse().command {
        Command::Tidy => {
            tidy::check(&root, &mut findings)?;
            generated::bring_up_to_date(&root, generated::Mode::Check, &mut findings)?;
        }
        Command::Generate { check: true } => {
            generated::bring_up_to_date(&root, generated::Mode::Check, &mut findings)?;
        }
        Command::Generate { check: false } => {
            generated::bring_up_to_date(&root, generated::Mode::Write, &mut findings)?;
        }
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
