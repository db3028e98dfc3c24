//! The `checkpoint` file: 4096 bytes, big-endian. The first 40 are Java's (`StoreCheckpoint`), the rest it leaves alone:
//!
//! ```text
//!   0 time of the last record flushed u64 ms   8 the same of queue files   16 the same of the index
//!  24 master's flushed position                32 confirmed position
//! 512 magic "GANTRYcp"   520 CRC-32 of the 56 bytes that follow, as u64
//! 528 boot id u128   544 written u64   552 durable u64   560 copies of the words at 0 and 8   576 log end u64 (0: unclean)
//! ```
//!
//! Below `written`, every record has its unit in a queue file; below `durable`, records and units are on the disk. Both are
//! true or an understatement, never ahead. `written` counts only while the machine has not been started anew. If Java has
//! written since, its times differ from our copies and only they count.

use gantry_model::Millis;

const LEN: usize = 4096;
const OWN: usize = 512;
const MAGIC: u64 = u64::from_be_bytes(*b"GANTRYcp");

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Checkpoint {
    /// Store time of the last record that is durable.
    pub(crate) log_time: Millis,
    /// Store time of the last record whose unit is durable.
    pub(crate) queue_time: Millis,
    /// Java's three other words, kept as they are.
    pub(crate) index_time: u64,
    pub(crate) master_flushed: u64,
    pub(crate) confirmed: u64,
    /// Our own part; none if it is missing, damaged or older than Java's.
    pub(crate) own: Option<Own>,
}

/// The part that only we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Own {
    pub(crate) boot_id: u128,
    pub(crate) written: u64,
    pub(crate) durable: u64,
    /// End of the log if the store was shut down properly.
    pub(crate) clean_end: Option<u64>,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let chunk = bytes.get(at..).and_then(|rest| rest.first_chunk());
    chunk.map_or(0, |chunk| u64::from_be_bytes(*chunk))
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        let java = [
            self.log_time.0,
            self.queue_time.0,
            self.index_time,
            self.master_flushed,
            self.confirmed,
        ];
        bytes.extend(java.into_iter().flat_map(u64::to_be_bytes));
        bytes.resize(OWN, 0);
        if let Some(own) = self.own {
            let mut words = own.boot_id.to_be_bytes().to_vec();
            let end = own.clean_end.unwrap_or(0);
            let rest = [own.written, own.durable, self.log_time.0, self.queue_time.0, end];
            words.extend(rest.into_iter().flat_map(u64::to_be_bytes));
            bytes.extend(MAGIC.to_be_bytes());
            bytes.extend(u64::from(crc32fast::hash(&words)).to_be_bytes());
            bytes.extend(words);
        }
        bytes.resize(LEN, 0);
        bytes
    }

    /// Reads a file's bytes, however many there are; what is missing counts as zero.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (log_time, queue_time) = (Millis(word(bytes, 0)), Millis(word(bytes, 8)));
        Self {
            log_time,
            queue_time,
            index_time: word(bytes, 16),
            master_flushed: word(bytes, 24),
            confirmed: word(bytes, 32),
            own: own(bytes).filter(|_| {
                (word(bytes, OWN + 48), word(bytes, OWN + 56)) == (log_time.0, queue_time.0)
            }),
        }
    }
}

fn own(bytes: &[u8]) -> Option<Own> {
    let words = bytes.get(OWN + 16..OWN + 72)?;
    let sound =
        word(bytes, OWN) == MAGIC && word(bytes, OWN + 8) == u64::from(crc32fast::hash(words));
    sound.then(|| Own {
        boot_id: u128::from(word(words, 0)) << 64 | u128::from(word(words, 8)),
        written: word(words, 16),
        durable: word(words, 24),
        clean_end: Some(word(words, 48)).filter(|end| *end > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let own = Own { boot_id: u128::MAX / 3, written: 900, durable: 800, clean_end: Some(900) };
        Checkpoint {
            log_time: Millis(0x0102_0304),
            queue_time: Millis(0x0506),
            index_time: 3,
            master_flushed: 4,
            confirmed: 5,
            own: Some(own),
        }
    }

    #[test]
    fn the_head_is_java_s() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), 4096);
        let mut head = vec![0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 5, 6];
        head.extend([3_u64, 4, 5].into_iter().flat_map(u64::to_be_bytes));
        assert_eq!(bytes[..40], head);
        assert_eq!(Checkpoint::decode(&bytes), sample());
    }

    #[test]
    fn our_part_is_void_once_java_has_written_or_a_byte_is_damaged() {
        for at in [3, 15, 512, 520, 530, 545, 560, 583] {
            let mut bytes = sample().encode();
            bytes[at] ^= 1;
            assert_eq!(Checkpoint::decode(&bytes).own, None, "byte {at}");
        }
        assert_eq!(Checkpoint::decode(&sample().encode()[..40]).own, None);
        assert_eq!(Checkpoint::decode(&[]), Checkpoint::default());
    }

    #[test]
    fn a_file_of_java_has_times_and_no_part_of_ours() {
        let bytes = include_bytes!("../tests/golden/java-5.5.0/checkpoint");
        let checkpoint = Checkpoint::decode(bytes);
        assert!(checkpoint.log_time.0 > 1_700_000_000_000, "{checkpoint:?}");
        // Java writes this one only when it has flushed its queues once a minute.
        assert_eq!(checkpoint.queue_time, Millis::ZERO);
        assert_eq!(checkpoint.own, None);
        assert_eq!(checkpoint.encode()[..40], bytes[..40]);
    }
}
