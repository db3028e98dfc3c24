//! Logs: readable text on a terminal, one JSON object a line elsewhere, both on standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, filter::ParseError, util::TryInitError};
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The flags that a binary flattens into its own.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace) or target=level, comma-separated
    #[arg(long = "log", env = "RUST_LOG", value_name = "FILTER", default_value = "info")]
    pub filter: String,
    /// How to write the log; auto is text on a terminal and JSON elsewhere
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Auto)]
    pub log_format: Format,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter does not parse.
    #[error("the log filter {filter:?} is not understood: {source}")]
    Filter {
        /// The text that was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logging was started before.
    #[error("logging is already set up: {0}")]
    Twice(#[from] TryInitError),
}

/// Starts logging for the whole process. Called once, by `main`.
///
/// # Errors
/// When the filter does not parse or logging was started before.
pub fn init(args: &LogArgs) -> Result<(), InitError> {
    let filter = EnvFilter::try_new(&args.filter)
        .map_err(|source| InitError::Filter { filter: args.filter.clone(), source })?;
    let terminal = io::stderr().is_terminal();
    let json = match args.log_format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(terminal);
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry.with(lines.json().flatten_event(true)).try_init()?;
    } else {
        registry.with(lines.with_target(false)).try_init()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_filter_is_named() {
        let args = LogArgs { filter: "info,=what=".into(), log_format: Format::Json };
        let error = init(&args).unwrap_err().to_string();
        assert!(error.contains("info,=what="), "{error}");
    }
}
