//! Bounds of everything that peers can make grow.

use gantry_model::Millis;

/// Brokers that may be registered at once.
pub const BROKERS_MAX: usize = 20_000;
/// Topics that may be known at once.
pub const TOPICS_MAX: usize = 4_000_000;
/// The shortest silence after which a broker is removed; shorter wishes are raised to it.
pub const SILENCE_MIN: Millis = Millis(1_000);
/// The longest silence after which a broker is removed; longer wishes are cut to it.
pub const SILENCE_MAX: Millis = Millis(24 * 3_600_000);
/// Silence after which a broker is removed that named none.
pub const SILENCE_DEFAULT: Millis = Millis(120_000);
/// Bytes of encoded routes that are kept for the next who asks.
pub const ROUTE_CACHE_BYTES: usize = 64 << 20;
/// Bytes of keys and values that the key-value configuration may hold.
pub const KV_BYTES: usize = 16 << 20;
/// Changes of files, and changes of smallest ids, that may wait.
pub const WAITING: usize = 256;
