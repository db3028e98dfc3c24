//! Bits of a message's system flag (`MessageSysFlag` and `CompressionType` of Apache RocketMQ). Unknown bits travel
//! untouched.

/// A message's system flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SysFlag(pub u32);

/// What part a message plays in a transaction (bits 2 and 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// An ordinary message.
    None,
    /// A half message, not visible to consumers.
    Prepared,
    /// A message whose transaction was committed.
    Commit,
    /// The mark of a transaction that was rolled back; never visible.
    Rollback,
}

impl SysFlag {
    /// No bit set.
    pub const NONE: Self = Self(0);
    /// The body is compressed.
    pub const COMPRESSED: Self = Self(0x1);
    /// The topic was declared as one with several tags; changes nothing here.
    pub const MULTI_TAGS: Self = Self(0x2);
    /// The born host is an IPv6 address.
    pub const BORN_HOST_V6: Self = Self(0x10);
    /// The store host is an IPv6 address.
    pub const STORE_HOST_V6: Self = Self(0x20);
    /// An inner batch that the client must unwrap.
    pub const NEED_UNWRAP: Self = Self(0x40);
    /// The record holds a batch of messages.
    pub const INNER_BATCH: Self = Self(0x80);

    const TRANSACTION_MASK: u32 = 0xC;

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This and the bits of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The message's part in a transaction.
    #[must_use]
    pub const fn transaction(self) -> Transaction {
        match self.0 & Self::TRANSACTION_MASK {
            0x4 => Transaction::Prepared,
            0x8 => Transaction::Commit,
            0xC => Transaction::Rollback,
            _ => Transaction::None,
        }
    }

    /// This with another part in a transaction.
    #[must_use]
    pub const fn with_transaction(self, part: Transaction) -> Self {
        let bits = match part {
            Transaction::None => 0,
            Transaction::Prepared => 0x4,
            Transaction::Commit => 0x8,
            Transaction::Rollback => 0xC,
        };
        Self((self.0 & !Self::TRANSACTION_MASK) | bits)
    }

    /// Whether the message takes a place in its queue: half messages and rollbacks don't.
    #[must_use]
    pub const fn is_queued(self) -> bool {
        matches!(self.transaction(), Transaction::None | Transaction::Commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_bits_are_a_field_of_two_bits() {
        let flag = SysFlag(0x301).with_transaction(Transaction::Rollback);
        assert_eq!(flag, SysFlag(0x30D));
        assert_eq!(flag.transaction(), Transaction::Rollback);
        assert!(!flag.is_queued());
        assert!(!flag.with_transaction(Transaction::Prepared).is_queued());
        assert!(flag.with_transaction(Transaction::Commit).is_queued());
        assert_eq!(flag.with_transaction(Transaction::None), SysFlag(0x301));
    }

    #[test]
    fn bits_are_set_and_cleared_alone() {
        let flag = SysFlag::COMPRESSED.with(SysFlag::BORN_HOST_V6);
        assert_eq!(flag.0, 0x11);
        assert!(flag.has(SysFlag::BORN_HOST_V6) && !flag.has(SysFlag::STORE_HOST_V6));
        assert_eq!(flag.without(SysFlag::COMPRESSED), SysFlag::BORN_HOST_V6);
    }
}
