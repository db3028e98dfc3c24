//! The signals that ask the process to end.

use std::{future::Future, io};

use tokio::signal::unix::{SignalKind, signal};

/// Installs the handlers at once; the future ends at the first SIGTERM or SIGINT and tells which.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn terminated() -> io::Result<impl Future<Output = &'static str> + Send> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        }
    })
}
