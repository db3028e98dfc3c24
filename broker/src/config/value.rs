//! The types of values in `broker.conf` that only brokers have.

use gantry_chassis::settings::Value;
use gantry_model::Perm;

/// When an answer to a producer may leave (`FlushDiskType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushDisk {
    /// As soon as the message is written.
    Async,
    /// When the message is on the disk.
    Sync,
}

/// Part in replication (`BrokerRole`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers without waiting for replicas.
    AsyncMaster,
    /// Answers when the replicas have the message.
    SyncMaster,
    /// Copies a master.
    Slave,
}

/// A permission, written as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits(pub Perm);

macro_rules! names {
    ($type:ident, $wants:literal, $($variant:ident = $name:literal),*) => {
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(concat!("must be ", $wants).into()),
                }
            }

            fn print(&self) -> String {
                match self {
                    $(Self::$variant => $name.into(),)*
                }
            }
        }
    };
}
names!(FlushDisk, "ASYNC_FLUSH or SYNC_FLUSH", Async = "ASYNC_FLUSH", Sync = "SYNC_FLUSH");
names!(
    Role,
    "ASYNC_MASTER, SYNC_MASTER or SLAVE",
    AsyncMaster = "ASYNC_MASTER",
    SyncMaster = "SYNC_MASTER",
    Slave = "SLAVE"
);

/// Hours of the day, written as two digits each and separated by `;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours(pub Vec<u8>);

impl Value for Hours {
    fn parse(text: &str) -> Result<Self, String> {
        let hour = |hour: &str| hour.trim().parse().ok().filter(|hour| *hour < 24);
        let hours = text.split(';').filter(|part| !part.trim().is_empty()).map(hour);
        hours
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| "must be hours of the day from 00 to 23, separated by ;".into())
    }

    fn print(&self) -> String {
        let hours: Vec<_> = self.0.iter().map(|hour| format!("{hour:02}")).collect();
        hours.join(";")
    }
}

impl Value for Bits {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<u32>()
            .ok()
            .and_then(|bits| Perm::try_from(bits).ok())
            .map(Self)
            .ok_or_else(|| "must be 2 (write), 4 (read) or 6 (both)".into())
    }

    fn print(&self) -> String {
        self.0.bits().to_string()
    }
}

/// Java's default of `storePathRootDir`: `store` in the home directory.
pub(super) fn home_store() -> String {
    let home = std::env::var("HOME").unwrap_or_else(|_| ".".into());
    format!("{home}/store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_checked_and_survive_printing() {
        assert_eq!(Hours::parse("04;16"), Ok(Hours(vec![4, 16])));
        assert_eq!(Hours(vec![4, 16]).print(), "04;16");
        for bad in ["24", "4 o'clock", "04,16"] {
            assert!(Hours::parse(bad).is_err(), "{bad}");
        }
    }
}
