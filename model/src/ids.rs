//! Ids, positions and times as types. Conversion to and from the wire's `i64`/`i32` happens in
//! `remoting::wire` only; inside the system a negative offset cannot exist.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl $name {
            /// The smallest value.
            pub const ZERO: Self = Self(0);
        }
    };
}

number! {
    /// A byte position in a broker group's CommitLog; the same on every replica.
    PhysicalOffset(u64)
}
number! {
    /// A position in one queue, counted in messages. A consumer's offset is the next one it wants.
    QueueOffset(u64)
}
number! {
    /// A queue of a topic on one broker group, counted from 0.
    QueueId(u32)
}
number! {
    /// A replica's id in its broker group. The NameServer shows the master as 0.
    BrokerId(u64)
}
number! {
    /// A mastership: every change of master raises it by one or more.
    Epoch(u32)
}
number! {
    /// Milliseconds since 1970-01-01 UTC, or a span of milliseconds.
    Millis(u64)
}

macro_rules! position {
    ($name:ident, $unit:literal) => {
        impl $name {
            #[doc = concat!("The position `n` ", $unit, " further on; saturates at the end of the range.")]
            #[must_use]
            pub const fn plus(self, n: u64) -> Self {
                Self(self.0.saturating_add(n))
            }

            #[doc = concat!("How many ", $unit, " lie between `earlier` and this; 0 if `earlier` is not earlier.")]
            #[must_use]
            pub const fn since(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }
    };
}
position!(PhysicalOffset, "bytes");
position!(QueueOffset, "messages");
position!(Millis, "milliseconds");
