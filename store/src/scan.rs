//! Reads the log forward record by record, across files, through a buffer: a mapping would turn a bad sector into a signal.
//!
//! A record's CRC covers its body only. The rest of a torn one is found by what a tear leaves: files are zero before they are
//! written, so the end of the properties, or a whole sector of them, is zero.

use std::io;

use gantry_model::record::{Check, ParseError, Record, Unit};

use crate::{disk::Wait, log::Log};

/// Bytes read at once; more where a record is longer, since records may have been stored under another limit.
const WINDOW: usize = 4 << 20;
/// Longest record that is believed in: what claims more is no record.
const RECORD_MAX: usize = 256 << 20;

/// Where and why a scan ended.
pub(crate) struct End {
    pub(crate) position: u64,
    pub(crate) cause: String,
}

/// A position in the log and the bytes around it.
pub(crate) struct Scan<'a> {
    log: &'a Log,
    position: u64,
    /// Bytes of the log from `buffer_at` on.
    buffer: Vec<u8>,
    buffer_at: u64,
    next: u64,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(log: &'a Log, position: u64) -> Self {
        Self { log, position, buffer: Vec::new(), buffer_at: position, next: position }
    }

    /// The next record and where it is; its CRC fits and it says its own position.
    pub(crate) fn next(&mut self) -> io::Result<Result<(u64, Record<'_>), End>> {
        self.position = self.next;
        let mut asked = 0;
        loop {
            let position = self.position;
            let Some(segment) = self.log.segment_of(position) else {
                return Ok(Err(End { position, cause: "the last file is full".into() }));
            };
            let within = usize::try_from(position - self.buffer_at).unwrap_or(usize::MAX);
            let at_hand = self.buffer.get(within..).unwrap_or_default();
            let outcome = Unit::parse(at_hand, Check::Trust);
            let file_end = segment.base + self.log.segment_size;
            match outcome {
                Err(ParseError::Short { need, .. }) if need > asked && need <= RECORD_MAX => {
                    self.fill(position, file_end, need)?;
                    asked = need;
                }
                Ok(Unit::Blank { len }) if position + len as u64 == file_end => {
                    self.position = file_end;
                    self.next = file_end;
                    asked = 0;
                    self.buffer.clear();
                    self.buffer_at = file_end;
                }
                _ => break,
            }
        }
        let position = self.position;
        let within = usize::try_from(position - self.buffer_at).unwrap_or(usize::MAX);
        let at_hand = self.buffer.get(within..).unwrap_or_default();
        match Unit::parse(at_hand, Check::Crc) {
            Ok(Unit::Record(record)) if is_torn(&record) => {
                Ok(Err(End { position, cause: "a torn record".into() }))
            }
            Ok(Unit::Record(record)) if record.position.0 == position => {
                self.next = position + record.len as u64;
                Ok(Ok((position, record)))
            }
            Ok(Unit::Record(record)) => {
                let cause =
                    format!("a record of position {} and {} bytes", record.position, record.len);
                Ok(Err(End { position, cause }))
            }
            Ok(Unit::Blank { len }) => Ok(Err(End {
                position,
                cause: format!("a filler of {len} bytes that ends in the file"),
            })),
            Err(e) => Ok(Err(End { position, cause: e.to_string() })),
        }
    }

    fn fill(&mut self, position: u64, file_end: u64, need: usize) -> io::Result<()> {
        let window = WINDOW.max(need);
        let len = usize::try_from(file_end - position).unwrap_or(usize::MAX).min(window);
        self.buffer.resize(len, 0);
        self.buffer_at = position;
        let Some(segment) = self.log.segment_of(position) else { return Ok(()) };
        let file = segment.file(&*self.log.disk, Wait::Disk)?;
        file.read_at(position - segment.base, &mut self.buffer, Wait::Disk)
    }
}

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// Whether topic or properties were not wholly written.
fn is_torn(record: &Record<'_>) -> bool {
    let properties = record.properties.as_bytes();
    let end = record.position.0 + record.len as u64;
    let mut at = end - properties.len() as u64;
    let mut rest = properties;
    let mut lost = properties.last() == Some(&0) || record.topic.contains('\0');
    while !rest.is_empty() && !lost {
        let to_sector_end = usize::try_from(SECTOR - at % SECTOR).unwrap_or(usize::MAX);
        let (sector, later) = rest.split_at(to_sector_end.min(rest.len()));
        lost = sector.iter().all(|byte| *byte == 0);
        at += sector.len() as u64;
        rest = later;
    }
    lost
}
