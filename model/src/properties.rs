//! The property string of a message: `name 0x01 value 0x02`, repeated, UTF-8. Some writers leave the last 0x02 out.
//!
//! Read as leniently as `MessageDecoder.string2messageProperties` does: a pair without a name, a value or a separator
//! is skipped, and the last of several pairs with one name wins. Works on the bytes as they came: nothing is copied, and
//! bytes that are not UTF-8 only hide the pair they are in.

/// Most bytes of a property string, since its length is stored as a signed short.
pub const PROPERTIES_MAX: usize = 32_767;

const NAME_END: u8 = 1;
const PAIR_END: u8 = 2;

/// Names of properties that a broker reads or writes (`MessageConst` of Apache RocketMQ).
pub mod name {
    /// Index keys, separated by single spaces.
    pub const KEYS: &str = "KEYS";
    /// The tags that subscriptions select by.
    pub const TAGS: &str = "TAGS";
    /// `false`: the answer need not wait for disk or replicas.
    pub const WAIT: &str = "WAIT";
    /// Delay level, 1 to 18.
    pub const DELAY: &str = "DELAY";
    /// The topic that a retried message had first.
    pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
    /// The target topic of a delayed or half message.
    pub const REAL_TOPIC: &str = "REAL_TOPIC";
    /// The target queue of a delayed or half message.
    pub const REAL_QID: &str = "REAL_QID";
    /// `true` marks a half message.
    pub const TRAN_MSG: &str = "TRAN_MSG";
    /// Producer group of a transaction.
    pub const PGROUP: &str = "PGROUP";
    /// The message id of the first copy of a retried message.
    pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
    /// The broker's region.
    pub const MSG_REGION: &str = "MSG_REGION";
    /// Whether the client is to trace.
    pub const TRACE_ON: &str = "TRACE_ON";
    /// The client's message id, indexed.
    pub const UNIQ_KEY: &str = "UNIQ_KEY";
    /// The broker's cluster.
    pub const CLUSTER: &str = "CLUSTER";
    /// Receipt of a popped message.
    pub const POP_CK: &str = "POP_CK";
    /// How often the message was to be consumed again.
    pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
    /// How often it may be.
    pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
    /// Arbitrary delay in seconds.
    pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
    /// Arbitrary delay in milliseconds.
    pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
    /// Absolute time of delivery.
    pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
}

/// A property string, not validated: any bytes will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Takes the bytes as they are.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes as they are stored.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// All readable pairs in their order; a name may come twice, the later one counts.
    #[must_use]
    pub const fn pairs(self) -> Pairs<'a> {
        Pairs { rest: self.0 }
    }

    /// The value of a property. Reads the string once; to look several up, go over [`Self::pairs`].
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.pairs().filter(|(candidate, _)| *candidate == name).last().map(|(_, value)| value)
    }
}

/// The pairs of a property string.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let end = memchr::memchr(PAIR_END, self.rest).unwrap_or(self.rest.len());
            let (pair, rest) = self.rest.split_at(end);
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(found) = split_pair(pair) {
                return Some(found);
            }
        }
        None
    }
}

fn split_pair(pair: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = pair.split_at(memchr::memchr(NAME_END, pair)?);
    let value = value.get(1..)?;
    if name.is_empty() || value.is_empty() {
        return None;
    }
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
}

/// Appends one pair, so that it is read as the name's value, whatever stood before. A name or value that is empty or
/// holds a separator can't be expressed; it is left out and the answer is false.
pub fn append(out: &mut Vec<u8>, name: &str, value: &str) -> bool {
    let expressible =
        |text: &str| !text.is_empty() && !text.bytes().any(|b| matches!(b, NAME_END | PAIR_END));
    if !expressible(name) || !expressible(value) {
        return false;
    }
    write_pair(out, name, value);
    true
}

/// Appends every readable pair whose name `keep` accepts.
pub fn append_where(out: &mut Vec<u8>, from: Properties<'_>, keep: impl Fn(&str) -> bool) {
    for (name, value) in from.pairs().filter(|(name, _)| keep(name)) {
        // Not `append`: a value may hold 0x01; it was readable, so it is written as it was.
        write_pair(out, name, value);
    }
}

fn write_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    if out.last().is_some_and(|last| *last != PAIR_END) {
        out.push(PAIR_END);
    }
    out.reserve(name.len() + value.len() + 2);
    out.extend_from_slice(name.as_bytes());
    out.push(NAME_END);
    out.extend_from_slice(value.as_bytes());
    out.push(PAIR_END);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, pairs: &[(&str, &str)]) {
        let read: Vec<_> = Properties::new(text.as_bytes()).pairs().collect();
        assert_eq!(read, pairs, "{text:?}");
    }

    #[test]
    fn broken_pairs_are_skipped_as_java_does() {
        check("", &[]);
        check("\u{2}\u{2}", &[]);
        check("a\u{1}b", &[("a", "b")]);
        check("a\u{1}b\u{2}", &[("a", "b")]);
        check("a\u{1}\u{2}c\u{1}d\u{2}", &[("c", "d")]);
        check("\u{1}b\u{2}c\u{1}d", &[("c", "d")]);
        check("nothing\u{2}c\u{1}d\u{2}", &[("c", "d")]);
        check("a\u{1}b\u{1}c\u{2}", &[("a", "b\u{1}c")]);
    }

    #[test]
    fn the_last_pair_of_a_name_wins() {
        let properties = Properties::new(b"TAGS\x01one\x02TAGS\x01two\x02");
        assert_eq!(properties.get(name::TAGS), Some("two"));
        assert_eq!(properties.get(name::KEYS), None);
    }

    #[test]
    fn a_missing_last_separator_is_made_up_before_appending() {
        let mut out = b"a\x01b".to_vec();
        assert!(append(&mut out, "c", "d"));
        assert_eq!(out, b"a\x01b\x02c\x01d\x02");
        assert!(!append(&mut out, "c", ""));
        assert!(!append(&mut out, "c", "x\u{2}y"));
        assert_eq!(out, b"a\x01b\x02c\x01d\x02");
    }

    #[test]
    fn bytes_that_are_not_utf8_hide_only_their_pair() {
        let properties = Properties::new(b"a\x01\xff\xfe\x02c\x01d\x02");
        assert_eq!(properties.pairs().collect::<Vec<_>>(), [("c", "d")]);
    }

    #[test]
    fn pairs_can_be_left_out() {
        let mut out = Vec::new();
        append_where(&mut out, Properties::new(b"a\x01b\x01c\x02POP_CK\x01x\x02d\x01e"), |name| {
            name != name::POP_CK
        });
        assert_eq!(out, b"a\x01b\x01c\x02d\x01e\x02");
    }

    proptest! {
        #[test]
        fn what_is_appended_is_read(pairs in prop::collection::vec(("[^\u{1}\u{2}]{1,9}", "[^\u{1}\u{2}]{1,9}"), 0..9)) {
            let mut out = Vec::new();
            let mut expected = HashMap::new();
            for (name, value) in &pairs {
                prop_assert!(append(&mut out, name, value));
                expected.insert(name.as_str(), value.as_str());
            }
            for (name, value) in expected {
                prop_assert_eq!(Properties::new(&out).get(name), Some(value));
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for (name, value) in Properties::new(&bytes).pairs() {
                prop_assert!(!name.is_empty() && !value.is_empty());
            }
        }
    }
}
