//! Permission bits of topics and brokers (`PermName` in Apache RocketMQ): 4 read, 2 write, 1 inherit.

use serde::{Deserialize, Serialize};

/// What may be done with a topic or a broker. Bits other than the three below are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Perm(u8);

impl Perm {
    /// Nothing is allowed.
    pub const NONE: Self = Self(0);
    /// Other topics may be created from this one as their template.
    pub const INHERIT: Self = Self(1);
    /// Producers may send.
    pub const WRITE: Self = Self(2);
    /// Consumers may read.
    pub const READ: Self = Self(4);
    /// The permission of an ordinary topic.
    pub const READ_WRITE: Self = Self(6);

    /// The bits, 0 to 7.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn allows(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that both have.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The bits that either has.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// A permission outside 0..=7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("permission {0} is not in 0..=7 (4 read, 2 write, 1 inherit)")]
pub struct BadPerm(pub u32);

impl TryFrom<u32> for Perm {
    type Error = BadPerm;

    fn try_from(bits: u32) -> Result<Self, BadPerm> {
        match u8::try_from(bits) {
            Ok(small) if small <= 7 => Ok(Self(small)),
            _ => Err(BadPerm(bits)),
        }
    }
}

impl From<Perm> for u32 {
    fn from(perm: Perm) -> Self {
        Self::from(perm.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_bits_are_accepted() {
        assert_eq!(Perm::try_from(6), Ok(Perm::READ_WRITE));
        assert_eq!(Perm::try_from(8), Err(BadPerm(8)));
        assert_eq!(Perm::try_from(262), Err(BadPerm(262)));
    }

    #[test]
    fn a_template_gives_its_permission_without_inherit() {
        let template = Perm::READ_WRITE.or(Perm::INHERIT);
        assert_eq!(template.bits(), 7);
        assert_eq!(template.without(Perm::INHERIT), Perm::READ_WRITE);
        assert!(!Perm::READ.allows(Perm::READ_WRITE));
    }
}
