//! `broker.conf`: Java property names (`BrokerConfig`, `MessageStoreConfig`, `NettyServerConfig`), with
//! Java's defaults.
//!
//! Invariant: a property is in exactly one of three places: the table below (it works), `IGNORED`
//! (Java has it, it has no effect here) or nowhere (unknown). Nothing is dropped in silence: what was
//! not used is named at the start and in the answer to an update. A value that cannot be read keeps the
//! default and is named too.

use gantry_chassis::settings::{Complaint, Effect, Problem, Settings as _};
use gantry_model::Perm;

mod ignored;
mod value;

pub use value::{Bits, FlushDisk, Hours, Role};

gantry_chassis::settings! {
    /// The broker's configuration. Every field is a property of `broker.conf`.
    pub struct Settings {
        /// Name of the cluster this broker belongs to.
        restart "brokerClusterName" cluster: String = "DefaultCluster".into(),
        /// Name of the broker group; clients see it as the name of the broker.
        restart "brokerName" name: String = "broker-a".into(),
        /// Id in the group; 0 is the master.
        restart "brokerId" id: u64 = 0,
        /// The address that clients reach this broker at. Empty: the address of the first interface.
        restart "brokerIP1" ip: String = String::new(),
        /// The address that slaves reach this broker at. Empty: as `brokerIP1`.
        restart "brokerIP2" ha_ip: String = String::new(),
        /// The address to listen at.
        restart "bindAddress" bind: String = "0.0.0.0".into(),
        /// Port for clients; 0 takes any free port (and then there is no VIP port).
        restart "listenPort" port: u16 = 10911,
        /// Port that slaves connect to; registered with the NameServer.
        restart "haListenPort" ha_port: u16 = 10912,
        /// NameServers, `host:port` separated by `;`. Every address behind each name is registered with.
        dynamic "namesrvAddr" namesrv: String = String::new(),
        /// What clients may do with this broker: 4 read, 2 write.
        dynamic "brokerPermission" permission: Bits = Bits(Perm::READ_WRITE),
        /// Queues of the template for topics that are created on first use.
        restart "defaultTopicQueueNums" default_queues: u32 [1..=65_536] = 8,
        /// Whether a topic is created when a producer first sends to it.
        dynamic "autoCreateTopicEnable" auto_create_topic: bool = true,
        /// Whether the topic named like the cluster may be read and written.
        restart "clusterTopicEnable" cluster_topic: bool = true,
        /// Whether the topic named like the broker may be read and written.
        restart "brokerTopicEnable" broker_topic: bool = true,
        /// Whether a consumer group is created when it is first seen.
        dynamic "autoCreateSubscriptionGroup" auto_create_group: bool = true,
        /// Whether the topic for message traces exists.
        restart "traceTopicEnable" trace_topic: bool = false,
        /// Name of the topic for message traces.
        restart "msgTraceTopicName" trace_topic_name: String = "RMQ_SYS_TRACE_TOPIC".into(),
        /// Queues of the pop revive topic, which Java brokers expect to exist.
        restart "reviveQueueNum" revive_queues: u32 [1..=1024] = 8,
        /// Written into each message as `MSG_REGION`.
        restart "regionId" region: String = "DefaultRegion".into(),
        /// Whether clients trace their messages.
        restart "traceOn" trace_on: bool = true,
        /// Milliseconds between two writes of consumerOffset.json.
        restart "flushConsumerOffsetInterval" flush_offsets: u64 [100..=u64::MAX] = 5_000,
        /// Milliseconds between two registrations with the NameServers; kept within 10 s and 60 s.
        restart "registerNameServerPeriod" register_period: u64 = 30_000,
        /// Milliseconds that one registration may take.
        restart "registerBrokerTimeoutMills" register_timeout: u64 [100..=600_000] = 24_000,
        /// Whether a pull that finds nothing waits for the next message.
        dynamic "longPollingEnable" long_polling: bool = true,
        /// Milliseconds that a pull waits when `longPollingEnable` is off.
        dynamic "shortPollingTimeMills" short_polling: u64 = 1_000,
        /// Whether members of a group are told when their group changes.
        dynamic "notifyConsumerIdsChangedEnable" notify_ids_changed: bool = true,
        /// Whether `LITE_PULL_MESSAGE` is served.
        dynamic "litePullMessageEnable" lite_pull: bool = true,
        /// Sends are refused before this moment (milliseconds since 1970).
        dynamic "startAcceptSendRequestTimeStamp" accept_sends_from: u64 = 0,
        /// Whether names of system topics are refused when topics are updated.
        dynamic "validateSystemTopicWhenUpdateTopic" guard_system_topics: bool = true,
        /// Milliseconds after which a silent client is forgotten.
        restart "channelExpiredTimeout" channel_expiry: u64 [1_000..=u64::MAX] = 120_000,
        /// Seconds after which a silent connection is closed.
        restart "serverChannelMaxIdleTimeSeconds" idle_timeout: u64 [1..=86_400] = 120,
        /// Directory of all that this broker keeps.
        restart "storePathRootDir" root: String = value::home_store(),
        /// Directory of the log. Empty: `commitlog` under the root.
        restart "storePathCommitLog" commit_log_path: String = String::new(),
        /// Bytes of one file of the log.
        restart "mappedFileSizeCommitLog" commit_log_size: u64 [(1 << 12)..=(1 << 31)] = 1 << 30,
        /// Bytes of one file of a consume queue.
        restart "mappedFileSizeConsumeQueue" consume_queue_size: u64 [20..=(1 << 30)] = 6_000_000,
        /// Whether an answer waits until the message is on the disk.
        restart "flushDiskType" flush: FlushDisk = FlushDisk::Async,
        /// Milliseconds that an answer waits for the disk under SYNC_FLUSH.
        restart "syncFlushTimeout" sync_flush_timeout: u64 = 5_000,
        /// Milliseconds between two flushes under ASYNC_FLUSH.
        restart "flushIntervalCommitLog" flush_interval: u64 [1..=60_000] = 500,
        /// Part in replication.
        restart "brokerRole" role: Role = Role::AsyncMaster,
        /// Longest message body in bytes.
        restart "maxMessageSize" max_message: u32 [1..=(15 << 20)] = 4 << 20,
        /// Hours that messages are kept.
        restart "fileReservedTime" reserved_hours: u64 = 72,
        /// Hours of the day, `;`-separated, at which expired files are deleted.
        restart "deleteWhen" delete_when: Hours = Hours(vec![4]),
        /// Percent of the disk in use from which expired files are deleted at any hour.
        restart "diskMaxUsedSpaceRatio" disk_max_used: u8 [10..=95] = 75,
        /// Percent of the disk in use from which unexpired files are deleted.
        restart "diskSpaceCleanForciblyRatio" disk_clean_forcibly: u8 [30..=85] = 85,
        /// Percent of the disk in use from which sends are refused.
        restart "diskSpaceWarningLevelRatio" disk_warning: u8 [35..=90] = 90,
        /// Whether unexpired files may be deleted when the disk is full.
        restart "cleanFileForciblyEnable" clean_forcibly: bool = true,
        /// Delays of the delay levels.
        restart "messageDelayLevel" delay_levels: String = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".into(),
        /// Most messages in the answer to a pull.
        dynamic "maxTransferCountOnMessageInMemory" pull_count: u32 [1..=4096] = 32,
        /// Most bytes in the answer to a pull.
        dynamic "maxTransferBytesOnMessageInMemory" pull_bytes: u32 = 256 << 10,
        /// Percent of the machine's memory from the log's end back that counts as recent.
        restart "accessMessageInMemoryMaxRatio" hot_percent: u8 [1..=90] = 40,
        /// Address to serve metrics and health at. Empty: all.
        restart "metricsPromExporterHost" metrics_host: String = String::new(),
        /// Port for metrics and health; 0 takes any free port.
        restart "metricsPromExporterPort" metrics_port: u16 = 5557,
        /// Properties that the network may neither read nor change, `;`-separated.
        restart "configBlackList" config_black_list: String = "configBlackList;brokerConfigPath".into(),
    }
}

/// Why an update of the configuration at run time was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// A property that the network may not touch.
    #[error("Can not update config in black list.")]
    Forbidden,
    /// The property takes effect at start only.
    #[error("{0} takes effect at the start of the broker only: change broker.conf and restart it")]
    NeedsRestart(&'static str),
    /// The value cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// A complaint about a property, as the log shows it.
#[must_use]
pub fn sentence(complaint: &Complaint) -> String {
    match complaint.problem {
        Problem::Unknown if ignored::IGNORED.contains(&complaint.name.as_str()) => {
            format!("line {}: {} has no effect in this broker", complaint.line, complaint.name)
        }
        Problem::Unknown | Problem::Unusable { .. } => complaint.to_string(),
    }
}

impl Settings {
    /// The settings after an `UPDATE_BROKER_CONFIG`. All or nothing: a value that cannot be used, a
    /// property of the black list or one that needs a restart refuses the whole. Unknown properties are
    /// let pass, as in Java, and returned as complaints.
    pub fn updated(&self, text: &str) -> Result<(Self, Vec<Complaint>), UpdateError> {
        let entries = gantry_chassis::properties::parse(text);
        if entries.iter().any(|entry| self.is_hidden(&entry.key)) {
            return Err(UpdateError::Forbidden);
        }
        let update = self.update(text);
        let unusable = |complaint: &&Complaint| complaint.problem != Problem::Unknown;
        if let Some(complaint) = update.complaints.iter().find(unusable) {
            return Err(UpdateError::Unusable(complaint.to_string()));
        }
        if let Some(change) = update.changes.iter().find(|change| change.effect == Effect::Restart)
        {
            return Err(UpdateError::NeedsRestart(change.name));
        }
        Ok((update.settings, update.complaints))
    }

    /// Whether the network may not change this property.
    #[must_use]
    pub fn is_hidden(&self, key: &str) -> bool {
        self.config_black_list.split(';').any(|hidden| hidden == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_java() {
        let settings = Settings::default();
        for (key, value) in [
            ("listenPort", "10911"),
            ("brokerPermission", "6"),
            ("defaultTopicQueueNums", "8"),
            ("autoCreateTopicEnable", "true"),
            ("flushDiskType", "ASYNC_FLUSH"),
            ("deleteWhen", "04"),
            ("brokerRole", "ASYNC_MASTER"),
            ("mappedFileSizeCommitLog", "1073741824"),
            ("fileReservedTime", "72"),
            ("metricsPromExporterPort", "5557"),
        ] {
            assert_eq!(settings.text(key).as_deref(), Some(value), "{key}");
        }
    }

    #[test]
    fn every_property_survives_showing_and_reading() {
        let settings = Settings {
            name: "prod-0".into(),
            flush: FlushDisk::Sync,
            port: 0,
            role: Role::SyncMaster,
            permission: Bits(Perm::READ),
            ..Settings::default()
        };
        assert_eq!(Settings::load(&settings.print()), (settings, vec![]));
    }

    #[test]
    fn no_working_property_is_listed_as_ignored() {
        for property in Settings::PROPERTIES {
            assert!(!ignored::IGNORED.contains(&property.name), "{}", property.name);
        }
    }

    #[test]
    fn what_is_not_used_is_named() {
        let (settings, complaints) = Settings::load(
            "listenPort=70000\nsendMessageThreadPoolNums=16\nautoCreateTopicEnabled=false\n\
             flushDiskType=SYNC_FLUSH\n",
        );
        assert_eq!((settings.port, settings.flush), (10911, FlushDisk::Sync));
        assert_eq!(
            complaints.iter().map(sentence).collect::<Vec<_>>(),
            [
                "line 1: listenPort=70000: must be a whole number in 0..=65535; using 10911",
                "line 2: sendMessageThreadPoolNums has no effect in this broker",
                "line 3: autoCreateTopicEnabled is not a known property; it has no effect",
            ]
        );
    }

    #[test]
    fn an_update_is_all_or_nothing() {
        let settings = Settings::default();
        let (next, complaints) = settings.updated("brokerPermission=4\ntraceOn=true").unwrap();
        assert_eq!((next.permission, complaints), (Bits(Perm::READ), vec![]));
        assert_eq!(
            settings.updated("brokerPermission=4\nlistenPort=1"),
            Err(UpdateError::NeedsRestart("listenPort"))
        );
        assert_eq!(settings.updated("brokerConfigPath=/x"), Err(UpdateError::Forbidden));
        assert!(matches!(
            settings.updated("autoCreateTopicEnable=maybe"),
            Err(UpdateError::Unusable(_))
        ));
    }
}
