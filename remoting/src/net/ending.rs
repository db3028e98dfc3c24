//! How connections end, and the one log line about it.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::time::Instant;

use crate::wire::FrameError;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    #[error("closed by the peer")]
    Eof,
    #[error("closed by the peer within a frame")]
    EofInFrame,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("broken frame: {0}")]
    Frame(#[from] FrameError),
    #[error("the peer speaks TLS, which this listener does not")]
    Tls,
    #[error("nothing came or went for {0} s")]
    Idle(u64),
    #[error("a frame took longer than {0} s to arrive")]
    SlowFrame(u64),
    #[error("the peer does not read: {0} bytes wait to be written")]
    SlowReader(usize),
    #[error("closed on this side")]
    Asked,
    #[error("drained")]
    Drained,
    #[error("drained with {0} requests unanswered")]
    DrainCut(usize),
}

impl Ending {
    /// Endings that are worth a warning have a place in the table of the last warnings.
    fn kind(&self) -> Option<usize> {
        match self {
            Self::Frame(_) => Some(0),
            Self::Tls => Some(1),
            Self::SlowFrame(_) => Some(2),
            Self::SlowReader(_) => Some(3),
            Self::EofInFrame => Some(4),
            Self::DrainCut(_) => Some(5),
            Self::Eof | Self::Io(_) | Self::Idle(_) | Self::Asked | Self::Drained => None,
        }
    }

    /// Whether answers that were written should still reach the peer.
    pub(super) fn is_orderly(&self) -> bool {
        match self {
            Self::Drained | Self::DrainCut(_) | Self::Asked => true,
            // What came before the broken frame was answered.
            Self::Frame(_) | Self::Tls => true,
            Self::Eof | Self::EofInFrame | Self::Io(_) => false,
            Self::Idle(_) | Self::SlowFrame(_) | Self::SlowReader(_) => false,
        }
    }
}

/// The kind of a connection that was not let in.
const REFUSED: usize = 6;
const KINDS: usize = 7;

/// At most one warning a second of each kind; the next one says how many there were between.
#[derive(Debug)]
pub(super) struct EndingLog {
    start: Instant,
    /// The second of the last warning, from 1 on, and how many were held back since.
    kinds: [(AtomicU64, AtomicU64); KINDS],
}

impl EndingLog {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), kinds: Default::default() }
    }

    pub(super) fn ended(&self, remote: SocketAddr, ending: &Ending) {
        match ending.kind() {
            Some(kind) => self.warn(kind, remote, format_args!("connection ended: {ending}")),
            None => tracing::debug!(%remote, "connection ended: {ending}"),
        }
    }

    pub(super) fn refused(&self, remote: SocketAddr, limit: usize) {
        self.warn(REFUSED, remote, format_args!("connection refused: there are {limit} already"));
    }

    fn warn(&self, kind: usize, remote: SocketAddr, what: fmt::Arguments<'_>) {
        let Some((last, held_back)) = self.kinds.get(kind) else { return };
        let second = self.start.elapsed().as_secs() + 1;
        if last.swap(second, Ordering::Relaxed) == second {
            held_back.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let like_it_before = held_back.swap(0, Ordering::Relaxed);
        tracing::warn!(%remote, like_it_before, "{what}");
    }
}
