//! What opening a directory finds, or why it refuses.

use std::{io, path::PathBuf};

use gantry_model::PhysicalOffset;

/// Why a directory can't be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// No room for the first log file.
    #[error("no room for a log file of {bytes} bytes in {dir}")]
    DiskFull {
        /// The log's directory.
        dir: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A log file is missing between others.
    #[error("{0} is missing: the log goes on behind it")]
    Missing(PathBuf),
    /// A log file has another length than the setting says.
    #[error("{file} is {len} bytes long, mappedFileSizeCommitLog says {expected}")]
    Length {
        /// The file.
        file: PathBuf,
        /// Its length.
        len: u64,
        /// The setting.
        expected: u64,
    },
    /// A record in the middle of the log can't be read.
    #[error(
        "{file} is damaged at byte {offset} ({cause}), and there are messages behind it. Restore the file from a replica or \
         a backup, or move it and the files behind it away to go on without their messages"
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Byte in the file.
        offset: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// The disk failed.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// The disk's error.
        #[source]
        source: io::Error,
    },
    /// A background thread could not be started.
    #[error("starting a thread: {0}")]
    Thread(#[source] io::Error),
}

/// What opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The directory was closed properly.
    pub clean: bool,
    /// Where the scan began.
    pub scanned_from: PhysicalOffset,
    /// The end of the log.
    pub end: PhysicalOffset,
    /// Records in between.
    pub records: u64,
    /// Queues did not reach to where the scan began, so that all of the log was scanned.
    pub rebuilt: bool,
    /// What was cut off at the end.
    pub cut: Option<Cut>,
}

/// Bytes behind the end of the log that were no records or followed such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: PathBuf,
    /// Byte in the file.
    pub offset: u64,
    /// Why the log ends there.
    pub cause: String,
    /// Files in `aside/` with what followed; none if nothing readable did.
    pub aside: Vec<PathBuf>,
}
