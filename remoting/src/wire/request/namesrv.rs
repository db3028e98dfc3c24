//! Requests that a NameServer serves: registrations of brokers, routes, and what administrators ask.

use gantry_model::{BrokerId, Epoch, Millis, PhysicalOffset};

use super::headers;
use crate::wire::MaybeNegative;

headers! {
    /// GET_ROUTEINFO_BY_TOPIC.
    pub struct GetRouteInfo<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// Whether the client reads only standard JSON, with quoted keys.
        b"acceptStandardJsonOnly" accept_standard_json_only: bool,
    }

    /// REGISTER_BROKER.
    pub struct RegisterBroker<'a> {
        /// The broker group's name.
        b"brokerName" broker_name: &'a str,
        /// The address that clients are to use.
        b"brokerAddr" broker_addr: &'a str,
        /// The cluster.
        b"clusterName" cluster_name: &'a str,
        /// The address that slaves are to use.
        b"haServerAddr" ha_server_addr: Option<&'a str>,
        /// 0 is the master.
        b"brokerId" broker_id: BrokerId,
        /// After how long a silence the broker counts as gone.
        b"heartbeatTimeoutMillis" heartbeat_timeout: Option<Millis>,
        /// Whether a slave may stand in for an absent master.
        b"enableActingMaster" enable_acting_master: Option<bool>,
        /// Whether the body is compressed.
        b"compressed" compressed: bool,
        /// CRC-32 of the body as it is on the wire; 0 or absent is not checked.
        b"bodyCrc32" body_crc32: Option<MaybeNegative<u32>>,
        /// The broker's availability zone.
        b"__ZONE_NAME" zone: Option<&'a str>,
        /// The mastership that the broker serves under. Not sent by Apache RocketMQ.
        b"epoch" epoch: Option<Epoch>,
    }

    /// The answer to REGISTER_BROKER.
    pub struct RegisterBrokerReply<'a> {
        /// Of a slave's master: where to replicate from.
        b"haServerAddr" ha_server_addr: Option<&'a str>,
        /// Of a slave's master: its address for clients.
        b"masterAddr" master_addr: Option<&'a str>,
    }

    /// UNREGISTER_BROKER and QUERY_DATA_VERSION.
    pub struct OfBroker<'a> {
        /// The broker group's name.
        b"brokerName" broker_name: &'a str,
        /// The broker's address.
        b"brokerAddr" broker_addr: &'a str,
        /// The cluster.
        b"clusterName" cluster_name: &'a str,
        /// The replica.
        b"brokerId" broker_id: BrokerId,
        /// The mastership that the broker serves under. Not sent by Apache RocketMQ.
        b"epoch" epoch: Option<Epoch>,
    }

    /// The answer to QUERY_DATA_VERSION.
    pub struct QueryDataVersionReply {
        /// Whether the NameServer's version differs from the broker's.
        b"changed" changed: bool,
    }

    /// BROKER_HEARTBEAT, to a NameServer or to the controller.
    pub struct BrokerHeartbeat<'a> {
        /// The cluster.
        b"clusterName" cluster_name: &'a str,
        /// The broker's address.
        b"brokerAddr" broker_addr: &'a str,
        /// The broker group's name.
        b"brokerName" broker_name: &'a str,
        /// The replica.
        b"brokerId" broker_id: Option<BrokerId>,
        /// The replica's mastership.
        b"epoch" epoch: Option<Epoch>,
        /// The end of the replica's log.
        b"maxOffset" max_offset: Option<MaybeNegative<PhysicalOffset>>,
        /// Up to where the replica's log is confirmed.
        b"confirmOffset" confirm_offset: Option<MaybeNegative<PhysicalOffset>>,
        /// After how long a silence the broker counts as gone. Java spells it so.
        b"heartbeatTimeoutMills" heartbeat_timeout: Option<Millis>,
        /// Who is elected first.
        b"electionPriority" election_priority: Option<i32>,
    }

    /// GET_BROKER_MEMBER_GROUP.
    pub struct GetBrokerMemberGroup<'a> {
        /// The cluster.
        b"clusterName" cluster_name: &'a str,
        /// The broker group's name.
        b"brokerName" broker_name: &'a str,
    }

    /// PUT_KV_CONFIG.
    pub struct PutKvConfig<'a> {
        /// The table.
        b"namespace" namespace: &'a str,
        /// The key.
        b"key" key: &'a str,
        /// The value.
        b"value" value: &'a str,
    }

    /// GET_KV_CONFIG and DELETE_KV_CONFIG.
    pub struct KvKey<'a> {
        /// The table.
        b"namespace" namespace: &'a str,
        /// The key.
        b"key" key: &'a str,
    }

    /// The answer to GET_KV_CONFIG.
    pub struct GetKvConfigReply<'a> {
        /// The value.
        b"value" value: Option<&'a str>,
    }

    /// GET_KVLIST_BY_NAMESPACE.
    pub struct KvNamespace<'a> {
        /// The table.
        b"namespace" namespace: &'a str,
    }

    /// REGISTER_TOPIC_IN_NAMESRV.
    pub struct RegisterTopic<'a> {
        /// The topic.
        b"topic" topic: &'a str,
    }

    /// DELETE_TOPIC_IN_NAMESRV.
    pub struct DeleteTopicInNamesrv<'a> {
        /// The topic.
        b"topic" topic: &'a str,
        /// Only in this cluster.
        b"clusterName" cluster_name: Option<&'a str>,
    }

    /// WIPE_WRITE_PERM_OF_BROKER and ADD_WRITE_PERM_OF_BROKER.
    pub struct WritePermOfBroker<'a> {
        /// The broker group's name.
        b"brokerName" broker_name: &'a str,
    }

    /// The answer to WIPE_WRITE_PERM_OF_BROKER.
    pub struct WipeWritePermReply {
        /// Topics that lost it.
        b"wipeTopicCount" wipe_topic_count: u32,
    }

    /// The answer to ADD_WRITE_PERM_OF_BROKER.
    pub struct AddWritePermReply {
        /// Topics that got it back.
        b"addTopicCount" add_topic_count: u32,
    }

    /// GET_TOPICS_BY_CLUSTER.
    pub struct GetTopicsByCluster<'a> {
        /// The cluster.
        b"cluster" cluster: &'a str,
    }

    /// NOTIFY_MIN_BROKER_ID_CHANGE, from a NameServer to brokers, oneway.
    pub struct NotifyMinBrokerIdChange<'a> {
        /// The least id that is online.
        b"minBrokerId" min_broker_id: Option<BrokerId>,
        /// The broker group's name.
        b"brokerName" broker_name: Option<&'a str>,
        /// The address of the least id.
        b"minBrokerAddr" min_broker_addr: Option<&'a str>,
        /// The address that went away.
        b"offlineBrokerAddr" offline_broker_addr: Option<&'a str>,
        /// The address that slaves are to use.
        b"haBrokerAddr" ha_broker_addr: Option<&'a str>,
    }
}
