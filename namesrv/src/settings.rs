//! `namesrv.conf`: the properties of Java's `NamesrvConfig` and `NettyServerConfig`, with Java's defaults.
//!
//! Invariant: a property works, or is in `IGNORED` (Java has it, it has no effect here), or is unknown.
//! What was not used is named at the start and in the log of an update.

use std::path::PathBuf;

use gantry_chassis::settings::{Complaint, Effect, Problem, Settings as _};

use crate::routes::Policy;

gantry_chassis::settings! {
    /// The NameServer's configuration. Every field is a property of `namesrv.conf`.
    pub struct Settings {
        /// Address to listen at.
        restart "bindAddress" bind: String = "0.0.0.0".into(),
        /// Port for brokers and clients; 0 takes any free one.
        restart "listenPort" port: u16 = 9876,
        /// Seconds after which a silent connection is closed.
        restart "serverChannelMaxIdleTimeSeconds" idle_seconds: u64 [1..=86_400] = 120,
        /// Port of /livez, /readyz and /metrics; 0 takes any free one.
        restart "metricsPromExporterPort" admin_port: u16 = 5557,
        /// Where Java finds its own files; shown, not used.
        restart "rocketmqHome" home: String = String::new(),
        /// File of the key-value configuration.
        restart "kvConfigPath" kv_path: PathBuf = in_home("kvConfig.json"),
        /// File that changes made at run time are written to.
        restart "configStorePath" store_path: PathBuf = in_home("namesrv.properties"),
        /// Properties that may not be changed at run time, `;` between them.
        restart "configBlackList" black_list: String =
            "configBlackList;configStorePath;kvConfigPath;rocketmqHome".into(),
        /// Whether routes say how orderly topics are spread over brokers.
        dynamic "orderMessageEnable" order_messages: bool = false,
        /// Whether a broker that registers is told about orderly topics.
        dynamic "returnOrderTopicConfigToBroker" order_to_broker: bool = true,
        /// Milliseconds between two searches for silent brokers.
        dynamic "scanNotActiveBrokerInterval" scan_interval: u64 [100..=600_000] = 5_000,
        /// Whether a slave may stand in for a missing master.
        dynamic "supportActingMaster" acting_master: bool = false,
        /// Whether the list of all topics may be asked for.
        dynamic "enableAllTopicList" all_topic_list: bool = true,
        /// Whether the lists of a cluster's and of units' topics may be asked for.
        dynamic "enableTopicList" topic_list: bool = true,
        /// Whether the members of a group are told when its smallest broker id changes.
        dynamic "notifyMinBrokerIdChanged" announce_smallest: bool = false,
        /// Whether routes are refused for the first seconds, until brokers have registered.
        dynamic "needWaitForService" wait_for_service: bool = false,
        /// How many seconds that are.
        dynamic "waitSecondsForService" wait_seconds: u64 [0..=3_600] = 45,
        /// Whether topics that a registration does not list are removed.
        dynamic "deleteTopicWithBrokerRegistration" registration_is_complete: bool = false,
    }
}

fn in_home(file: &str) -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/".into());
    PathBuf::from(home).join("namesrv").join(file)
}

/// Properties of Java that have no effect here, in alphabetical order: there are no thread pools, and the
/// controller is the operator.
const IGNORED: &[&str] = &[
    "clientRequestThreadPoolNums",
    "clientRequestThreadPoolQueueCapacity",
    "clusterTest",
    "defaultThreadPoolNums",
    "defaultThreadPoolQueueCapacity",
    "enableControllerInNamesrv",
    "enableShutdownGracefully",
    "productEnvName",
    "serverAsyncSemaphoreValue",
    "serverCallbackExecutorThreads",
    "serverNettyWorkerGroupEnable",
    "serverOnewaySemaphoreValue",
    "serverPooledByteBufAllocatorEnable",
    "serverSelectorThreads",
    "serverSocketBacklog",
    "serverSocketRcvBufSize",
    "serverSocketSndBufSize",
    "serverWorkerThreads",
    "shutdownWaitTimeSeconds",
    "unRegisterBrokerQueueCapacity",
    "useEpollNativeSelector",
    "writeBufferHighWaterMark",
    "writeBufferLowWaterMark",
];

/// Why an update was refused; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A property that the network may not touch.
    #[error("Can not update config in black list.")]
    Forbidden,
    /// The property counts at start only.
    #[error(
        "{0} takes effect at the start of the name server only: change its file and restart it"
    )]
    NeedsRestart(&'static str),
    /// The value cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// A complaint about a property, as the log shows it.
#[must_use]
pub fn sentence(complaint: &Complaint) -> String {
    match complaint.problem {
        Problem::Unknown if IGNORED.contains(&complaint.name.as_str()) => {
            format!("line {}: {} has no effect in this name server", complaint.line, complaint.name)
        }
        Problem::Unknown | Problem::Unusable { .. } => complaint.to_string(),
    }
}

impl Settings {
    /// What the route tables must know.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy {
            acting_master: self.acting_master,
            registration_is_complete: self.registration_is_complete,
            announce_smallest: self.announce_smallest,
        }
    }

    /// The settings after an UPDATE_NAMESRV_CONFIG: all of it or nothing. Unknown properties are let
    /// pass, as in Java, and returned.
    ///
    /// # Errors
    /// See [`UpdateError`].
    pub fn updated(&self, text: &str) -> Result<(Self, Vec<Complaint>), UpdateError> {
        let entries = gantry_chassis::properties::parse(text);
        if entries.iter().any(|entry| self.black_list.split(';').any(|key| key == entry.key)) {
            return Err(UpdateError::Forbidden);
        }
        let update = self.update(text);
        let is_unusable = |complaint: &&Complaint| complaint.problem != Problem::Unknown;
        if let Some(complaint) = update.complaints.iter().find(is_unusable) {
            return Err(UpdateError::Unusable(complaint.to_string()));
        }
        if let Some(change) = update.changes.iter().find(|change| change.effect == Effect::Restart)
        {
            return Err(UpdateError::NeedsRestart(change.name));
        }
        Ok((update.settings, update.complaints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_working_property_is_listed_as_ignored() {
        for property in Settings::PROPERTIES {
            assert!(!IGNORED.contains(&property.name), "{}", property.name);
        }
        assert!(IGNORED.is_sorted());
    }

    #[test]
    fn what_is_not_used_is_named() {
        let (_, complaints) =
            Settings::load("serverWorkerThreads=8\nlistenPrt=1\nlistenPort=x\nbindAddress=::\n");
        assert_eq!(
            complaints.iter().map(sentence).collect::<Vec<_>>(),
            [
                "line 1: serverWorkerThreads has no effect in this name server",
                "line 2: listenPrt is not a known property; it has no effect",
                "line 3: listenPort=x: must be a whole number in 0..=65535; using 9876",
            ]
        );
    }

    #[test]
    fn an_update_is_all_or_nothing() {
        let before = Settings::default();
        let (after, _) = before.updated("orderMessageEnable=true\nnoSuch=1").unwrap();
        assert!(after.order_messages);
        for (text, error) in [
            ("orderMessageEnable=true\nkvConfigPath=/x", UpdateError::Forbidden),
            ("listenPort=1", UpdateError::NeedsRestart("listenPort")),
        ] {
            assert_eq!(before.updated(text), Err(error));
        }
        assert!(before.updated("listenPort=9876").is_ok());
        assert!(matches!(
            before.updated("waitSecondsForService=-1"),
            Err(UpdateError::Unusable(_))
        ));
    }
}
