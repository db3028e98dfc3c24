//! The process `gantry`.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    gantry_cli::run(gantry_cli::Args::parse())
}
