//! The process `gantry`.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

fn main() -> ExitCode {
    match gantry_cli::run(gantry_cli::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence, whatever RUST_BACKTRACE says. If it cannot be written, the code still tells.
            let _unwritten = writeln!(io::stderr(), "gantry: {error:#}");
            ExitCode::FAILURE
        }
    }
}
