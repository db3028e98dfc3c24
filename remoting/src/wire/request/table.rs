//! Every request code by name, and which process of ours serves it with which typed header.

use std::fmt::{self, Write};

use super::{RequestError, admin, client, consume, namesrv, send};
use crate::wire::{Frame, NoFields};

/// What is asked. Codes without a name here are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestCode(pub i32);

macro_rules! codes {
    ($($name:ident = $code:literal;)*) => {
        impl RequestCode {
            $(#[doc = concat!("Code ", $code, ".")] pub const $name: Self = Self($code);)*

            /// Every code with a name, by number.
            pub const ALL: &[Self] = &[$(Self($code),)*];

            /// Java's name of the code; `None` if it has none.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The code's place in [`Self::ALL`]; `None` if it has no name. For tables of counters.
            #[must_use]
            pub const fn index(self) -> Option<usize> {
                #[expect(
                    non_camel_case_types,
                    clippy::upper_case_acronyms,
                    reason = "the names are Java's constants"
                )]
                enum Place { $($name,)* }
                match self.0 {
                    $($code => Some(Place::$name as usize),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    SEND_MESSAGE = 10;
    PULL_MESSAGE = 11;
    QUERY_MESSAGE = 12;
    QUERY_BROKER_OFFSET = 13;
    QUERY_CONSUMER_OFFSET = 14;
    UPDATE_CONSUMER_OFFSET = 15;
    UPDATE_AND_CREATE_TOPIC = 17;
    UPDATE_AND_CREATE_TOPIC_LIST = 18;
    GET_ALL_TOPIC_CONFIG = 21;
    GET_TOPIC_CONFIG_LIST = 22;
    GET_TOPIC_NAME_LIST = 23;
    UPDATE_BROKER_CONFIG = 25;
    GET_BROKER_CONFIG = 26;
    TRIGGER_DELETE_FILES = 27;
    GET_BROKER_RUNTIME_INFO = 28;
    SEARCH_OFFSET_BY_TIMESTAMP = 29;
    GET_MAX_OFFSET = 30;
    GET_MIN_OFFSET = 31;
    GET_EARLIEST_MSG_STORETIME = 32;
    VIEW_MESSAGE_BY_ID = 33;
    HEART_BEAT = 34;
    UNREGISTER_CLIENT = 35;
    CONSUMER_SEND_MSG_BACK = 36;
    END_TRANSACTION = 37;
    GET_CONSUMER_LIST_BY_GROUP = 38;
    CHECK_TRANSACTION_STATE = 39;
    NOTIFY_CONSUMER_IDS_CHANGED = 40;
    LOCK_BATCH_MQ = 41;
    UNLOCK_BATCH_MQ = 42;
    GET_ALL_CONSUMER_OFFSET = 43;
    GET_ALL_DELAY_OFFSET = 45;
    CHECK_CLIENT_CONFIG = 46;
    GET_CLIENT_CONFIG = 47;
    UPDATE_AND_CREATE_ACL_CONFIG = 50;
    DELETE_ACL_CONFIG = 51;
    GET_BROKER_CLUSTER_ACL_INFO = 52;
    UPDATE_GLOBAL_WHITE_ADDRS_CONFIG = 53;
    GET_BROKER_CLUSTER_ACL_CONFIG = 54;
    GET_TIMER_CHECK_POINT = 60;
    GET_TIMER_METRICS = 61;
    PUT_KV_CONFIG = 100;
    GET_KV_CONFIG = 101;
    DELETE_KV_CONFIG = 102;
    REGISTER_BROKER = 103;
    UNREGISTER_BROKER = 104;
    GET_ROUTEINFO_BY_TOPIC = 105;
    GET_BROKER_CLUSTER_INFO = 106;
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP = 200;
    GET_ALL_SUBSCRIPTIONGROUP_CONFIG = 201;
    GET_TOPIC_STATS_INFO = 202;
    GET_CONSUMER_CONNECTION_LIST = 203;
    GET_PRODUCER_CONNECTION_LIST = 204;
    WIPE_WRITE_PERM_OF_BROKER = 205;
    GET_ALL_TOPIC_LIST_FROM_NAMESERVER = 206;
    DELETE_SUBSCRIPTIONGROUP = 207;
    GET_CONSUME_STATS = 208;
    SUSPEND_CONSUMER = 209;
    RESUME_CONSUMER = 210;
    RESET_CONSUMER_OFFSET_IN_CONSUMER = 211;
    RESET_CONSUMER_OFFSET_IN_BROKER = 212;
    ADJUST_CONSUMER_THREAD_POOL = 213;
    WHO_CONSUME_THE_MESSAGE = 214;
    DELETE_TOPIC_IN_BROKER = 215;
    DELETE_TOPIC_IN_NAMESRV = 216;
    REGISTER_TOPIC_IN_NAMESRV = 217;
    GET_KVLIST_BY_NAMESPACE = 219;
    RESET_CONSUMER_CLIENT_OFFSET = 220;
    GET_CONSUMER_STATUS_FROM_CLIENT = 221;
    INVOKE_BROKER_TO_RESET_OFFSET = 222;
    INVOKE_BROKER_TO_GET_CONSUMER_STATUS = 223;
    GET_TOPICS_BY_CLUSTER = 224;
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST = 225;
    QUERY_TOPIC_CONSUME_BY_WHO = 300;
    REGISTER_FILTER_SERVER = 301;
    REGISTER_MESSAGE_FILTER_CLASS = 302;
    QUERY_CONSUME_TIME_SPAN = 303;
    GET_SYSTEM_TOPIC_LIST_FROM_NS = 304;
    GET_SYSTEM_TOPIC_LIST_FROM_BROKER = 305;
    CLEAN_EXPIRED_CONSUMEQUEUE = 306;
    GET_CONSUMER_RUNNING_INFO = 307;
    QUERY_CORRECTION_OFFSET = 308;
    CONSUME_MESSAGE_DIRECTLY = 309;
    SEND_MESSAGE_V2 = 310;
    GET_UNIT_TOPIC_LIST = 311;
    GET_HAS_UNIT_SUB_TOPIC_LIST = 312;
    GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST = 313;
    CLONE_GROUP_OFFSET = 314;
    VIEW_BROKER_STATS_DATA = 315;
    CLEAN_UNUSED_TOPIC = 316;
    GET_BROKER_CONSUME_STATS = 317;
    UPDATE_NAMESRV_CONFIG = 318;
    GET_NAMESRV_CONFIG = 319;
    SEND_BATCH_MESSAGE = 320;
    QUERY_CONSUME_QUEUE = 321;
    QUERY_DATA_VERSION = 322;
    RESUME_CHECK_HALF_MESSAGE = 323;
    SEND_REPLY_MESSAGE = 324;
    SEND_REPLY_MESSAGE_V2 = 325;
    PUSH_REPLY_MESSAGE_TO_CLIENT = 326;
    ADD_WRITE_PERM_OF_BROKER = 327;
    GET_ALL_PRODUCER_INFO = 328;
    DELETE_EXPIRED_COMMITLOG = 329;
    QUERY_TOPICS_BY_CONSUMER = 343;
    QUERY_SUBSCRIPTION_BY_CONSUMER = 345;
    GET_TOPIC_CONFIG = 351;
    GET_SUBSCRIPTIONGROUP_CONFIG = 352;
    UPDATE_AND_GET_GROUP_FORBIDDEN = 353;
    CHECK_ROCKSDB_CQ_WRITE_PROGRESS = 354;
    EXPORT_ROCKSDB_CONFIG_TO_JSON = 355;
    LITE_PULL_MESSAGE = 361;
    RECALL_MESSAGE = 370;
    QUERY_ASSIGNMENT = 400;
    SET_MESSAGE_REQUEST_MODE = 401;
    GET_ALL_MESSAGE_REQUEST_MODE = 402;
    UPDATE_AND_CREATE_STATIC_TOPIC = 513;
    GET_BROKER_MEMBER_GROUP = 901;
    ADD_BROKER = 902;
    REMOVE_BROKER = 903;
    BROKER_HEARTBEAT = 904;
    NOTIFY_MIN_BROKER_ID_CHANGE = 905;
    EXCHANGE_BROKER_HA_INFO = 906;
    GET_BROKER_HA_STATUS = 907;
    RESET_MASTER_FLUSH_OFFSET = 908;
    CONTROLLER_ALTER_SYNC_STATE_SET = 1001;
    CONTROLLER_ELECT_MASTER = 1002;
    CONTROLLER_REGISTER_BROKER = 1003;
    CONTROLLER_GET_REPLICA_INFO = 1004;
    CONTROLLER_GET_METADATA_INFO = 1005;
    CONTROLLER_GET_SYNC_STATE_DATA = 1006;
    GET_BROKER_EPOCH_CACHE = 1007;
    NOTIFY_BROKER_ROLE_CHANGED = 1008;
    UPDATE_CONTROLLER_CONFIG = 1009;
    GET_CONTROLLER_CONFIG = 1010;
    CLEAN_BROKER_DATA = 1011;
    CONTROLLER_GET_NEXT_BROKER_ID = 1012;
    CONTROLLER_APPLY_BROKER_ID = 1013;
    UPDATE_COLD_DATA_FLOW_CTR_CONFIG = 2001;
    REMOVE_COLD_DATA_FLOW_CTR_CONFIG = 2002;
    GET_COLD_DATA_FLOW_CTR_INFO = 2003;
    SET_COMMITLOG_READ_MODE = 2004;
    AUTH_CREATE_USER = 3001;
    AUTH_UPDATE_USER = 3002;
    AUTH_DELETE_USER = 3003;
    AUTH_GET_USER = 3004;
    AUTH_LIST_USER = 3005;
    AUTH_CREATE_ACL = 3006;
    AUTH_UPDATE_ACL = 3007;
    AUTH_DELETE_ACL = 3008;
    AUTH_GET_ACL = 3009;
    AUTH_LIST_ACL = 3010;
    POP_MESSAGE = 200050;
    ACK_MESSAGE = 200051;
    PEEK_MESSAGE = 200052;
    CHANGE_MESSAGE_INVISIBLETIME = 200053;
    NOTIFICATION = 200054;
    POLLING_INFO = 200055;
    POP_ROLLBACK = 200056;
    BATCH_ACK_MESSAGE = 200151;
}

impl RequestCode {
    /// The label of metrics: the name, or one label for all that have none.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self.name() {
            Some(name) => name,
            None => "UNKNOWN",
        }
    }
}

impl fmt::Debug for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.label(), self.0)
    }
}

impl fmt::Display for RequestCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.label())
    }
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident {
        $($code:ident => $variant:ident($header:ty), $what:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $name<'a> {
            $(#[doc = $what] $variant($header),)*
        }

        impl<'a> $name<'a> {
            /// The codes that are served, and what each asks.
            pub const ROWS: &'static [(RequestCode, &'static str)] =
                &[$((RequestCode::$code, $what),)*];

            /// Reads the typed header of a request.
            pub fn decode(frame: &Frame<'a>) -> Result<Self, RequestError> {
                Ok(match RequestCode(frame.code()) {
                    $(RequestCode::$code => Self::$variant(frame.decode()?),)*
                    RequestCode(other) => return Err(RequestError::Unsupported(other)),
                })
            }
        }
    };
}

table! {
    /// What a broker serves.
    BrokerRequest {
        SEND_MESSAGE => SendMessage(send::SendMessage<'a>), "Store one message.";
        SEND_MESSAGE_V2 => SendMessageV2(send::SendMessageV2<'a>), "Store one message, or a batch.";
        SEND_BATCH_MESSAGE => SendBatchMessage(send::SendMessageV2<'a>), "Store a batch of messages.";
        CONSUMER_SEND_MSG_BACK => ConsumerSendMsgBack(send::ConsumerSendMsgBack<'a>),
            "Consume a stored message again, later.";
        PULL_MESSAGE => PullMessage(consume::PullMessage<'a>), "Read messages of a queue, or wait.";
        LITE_PULL_MESSAGE => LitePullMessage(consume::PullMessage<'a>),
            "Read messages of a queue, or wait.";
        QUERY_CONSUMER_OFFSET => QueryConsumerOffset(consume::QueryConsumerOffset<'a>),
            "How far a group has consumed.";
        UPDATE_CONSUMER_OFFSET => UpdateConsumerOffset(consume::UpdateConsumerOffset<'a>),
            "Store how far a group has consumed.";
        SEARCH_OFFSET_BY_TIMESTAMP => SearchOffset(consume::SearchOffset<'a>),
            "Which offset belongs to a time.";
        GET_MAX_OFFSET => GetMaxOffset(consume::GetMaxOffset<'a>), "A queue's end.";
        GET_MIN_OFFSET => GetMinOffset(consume::OfQueue<'a>), "A queue's first message.";
        GET_EARLIEST_MSG_STORETIME => GetEarliestMsgStoretime(consume::OfQueue<'a>),
            "When a queue's first message was stored.";
        VIEW_MESSAGE_BY_ID => ViewMessageById(consume::ViewMessage<'a>),
            "One message, by its place in the log.";
        HEART_BEAT => HeartBeat(NoFields), "A client lives, with these groups and subscriptions.";
        UNREGISTER_CLIENT => UnregisterClient(consume::UnregisterClient<'a>), "A client leaves.";
        GET_CONSUMER_LIST_BY_GROUP => GetConsumerListByGroup(consume::GetConsumerListByGroup<'a>),
            "Which clients consume for a group.";
        LOCK_BATCH_MQ => LockBatchMq(NoFields), "Lock queues for orderly consumption.";
        UNLOCK_BATCH_MQ => UnlockBatchMq(NoFields), "Unlock queues.";
        CHECK_CLIENT_CONFIG => CheckClientConfig(NoFields), "Whether a filter expression is valid.";
        GET_CONSUMER_RUNNING_INFO => GetConsumerRunningInfo(client::GetConsumerRunningInfo<'a>),
            "Passed on to a client: what it does.";
        CONSUME_MESSAGE_DIRECTLY => ConsumeMessageDirectly(client::ConsumeMessageDirectly<'a>),
            "Passed on to a client: consume this message now.";
        INVOKE_BROKER_TO_RESET_OFFSET => ResetOffset(client::ResetOffset<'a>),
            "Set a group's offsets by time.";
        UPDATE_AND_CREATE_TOPIC => CreateTopic(admin::CreateTopic<'a>), "Create or change a topic.";
        UPDATE_AND_CREATE_TOPIC_LIST => CreateTopics(NoFields), "Create or change topics.";
        DELETE_TOPIC_IN_BROKER => DeleteTopic(admin::OfTopic<'a>), "Delete a topic.";
        GET_ALL_TOPIC_CONFIG => GetAllTopicConfig(admin::GetAllTopicConfig<'a>),
            "All topics' settings.";
        GET_TOPIC_CONFIG => GetTopicConfig(admin::OfTopic<'a>), "A topic's settings.";
        UPDATE_BROKER_CONFIG => UpdateBrokerConfig(NoFields), "Change settings.";
        GET_BROKER_CONFIG => GetBrokerConfig(NoFields), "Read settings.";
        GET_BROKER_RUNTIME_INFO => GetBrokerRuntimeInfo(NoFields), "How the broker does.";
        UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => CreateSubscriptionGroup(NoFields),
            "Create or change a consumer group.";
        UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => CreateSubscriptionGroups(NoFields),
            "Create or change consumer groups.";
        GET_ALL_SUBSCRIPTIONGROUP_CONFIG =>
            GetAllSubscriptionGroup(admin::GetAllSubscriptionGroup<'a>),
            "All consumer groups' settings.";
        GET_SUBSCRIPTIONGROUP_CONFIG => GetSubscriptionGroup(admin::OfGroup<'a>),
            "A consumer group's settings.";
        DELETE_SUBSCRIPTIONGROUP => DeleteSubscriptionGroup(admin::DeleteSubscriptionGroup<'a>),
            "Delete a consumer group.";
        GET_TOPIC_STATS_INFO => GetTopicStats(admin::OfTopic<'a>),
            "Where a topic's queues begin and end.";
        GET_CONSUMER_CONNECTION_LIST =>
            GetConsumerConnectionList(admin::GetConsumerConnectionList<'a>),
            "The members of a consumer group.";
        GET_PRODUCER_CONNECTION_LIST =>
            GetProducerConnectionList(admin::GetProducerConnectionList<'a>),
            "The members of a producer group.";
        GET_ALL_PRODUCER_INFO => GetAllProducerInfo(NoFields), "All producers.";
        GET_CONSUME_STATS => GetConsumeStats(admin::GetConsumeStats<'a>),
            "How far a group is behind.";
        GET_BROKER_CONSUME_STATS => GetBrokerConsumeStats(admin::GetBrokerConsumeStats),
            "How far all groups are behind.";
        QUERY_TOPIC_CONSUME_BY_WHO => QueryTopicConsumeByWho(admin::OfTopic<'a>),
            "Which groups consume a topic.";
        QUERY_TOPICS_BY_CONSUMER => QueryTopicsByConsumer(admin::OfGroup<'a>),
            "Which topics a group consumes.";
        QUERY_SUBSCRIPTION_BY_CONSUMER =>
            QuerySubscriptionByConsumer(admin::QuerySubscriptionByConsumer<'a>),
            "A group's subscription to a topic.";
        QUERY_CONSUME_TIME_SPAN => QueryConsumeTimeSpan(admin::QueryConsumeTimeSpan<'a>),
            "Which times a group's offsets stand for.";
        GET_SYSTEM_TOPIC_LIST_FROM_BROKER => GetSystemTopicList(NoFields),
            "The broker's own topics.";
        UPDATE_AND_GET_GROUP_FORBIDDEN => UpdateGroupForbidden(admin::UpdateGroupForbidden<'a>),
            "Whether a group may read a topic.";
        GET_ALL_CONSUMER_OFFSET => GetAllConsumerOffset(NoFields),
            "How far all groups have consumed.";
        GET_ALL_DELAY_OFFSET => GetAllDelayOffset(NoFields),
            "How far delayed messages are delivered.";
    }
}

table! {
    /// Requests of brokers whose headers are known and that no process of ours serves yet: they are
    /// answered with code 3. A row moves to [`BrokerRequest`] together with its handler.
    UnservedRequest {
        END_TRANSACTION => EndTransaction(send::EndTransaction<'a>),
            "Commit or roll back a half message.";
        SEND_REPLY_MESSAGE => SendReplyMessage(send::SendMessage<'a>),
            "Pass the reply of a request-reply message on.";
        SEND_REPLY_MESSAGE_V2 => SendReplyMessageV2(send::SendMessageV2<'a>),
            "Pass the reply of a request-reply message on.";
        RECALL_MESSAGE => RecallMessage(send::RecallMessage<'a>), "Cancel a timer message.";
        QUERY_MESSAGE => QueryMessage(consume::QueryMessage<'a>), "Find messages by key.";
        INVOKE_BROKER_TO_GET_CONSUMER_STATUS => GetConsumerStatus(client::GetConsumerStatus<'a>),
            "Passed on to clients: their offsets.";
        CLEAN_EXPIRED_CONSUMEQUEUE => CleanExpiredConsumeQueue(NoFields),
            "Delete queue files that point before the log.";
        CLEAN_UNUSED_TOPIC => CleanUnusedTopic(NoFields), "Delete queues of deleted topics.";
        DELETE_EXPIRED_COMMITLOG => DeleteExpiredCommitLog(NoFields),
            "Delete log files whose time is over.";
        QUERY_CORRECTION_OFFSET => QueryCorrectionOffset(admin::QueryCorrectionOffset<'a>),
            "Where groups that are ahead of another stand.";
        CLONE_GROUP_OFFSET => CloneGroupOffset(admin::CloneGroupOffset<'a>),
            "Give a group the offsets of another.";
        VIEW_BROKER_STATS_DATA => ViewBrokerStatsData(admin::ViewBrokerStatsData<'a>),
            "Rates of one thing.";
        QUERY_CONSUME_QUEUE => QueryConsumeQueue(admin::QueryConsumeQueue<'a>),
            "The entries of a queue.";
        RESUME_CHECK_HALF_MESSAGE => ResumeCheckHalfMessage(admin::ResumeCheckHalfMessage<'a>),
            "Ask again about a half message that was given up.";
        EXCHANGE_BROKER_HA_INFO => ExchangeHaInfo(admin::ExchangeHaInfo<'a>),
            "Between replicas: who is the master, and from where to replicate.";
        GET_BROKER_HA_STATUS => GetBrokerHaStatus(NoFields), "How replication goes.";
        RESET_MASTER_FLUSH_OFFSET => ResetMasterFlushOffset(admin::ResetMasterFlushOffset),
            "Set what a slave believes that its master has flushed.";
        NOTIFY_MIN_BROKER_ID_CHANGE => NotifyMinBrokerIdChange(namesrv::NotifyMinBrokerIdChange<'a>),
            "From a NameServer: which replica of the group is the first.";
    }
}

table! {
    /// What a NameServer serves.
    NamesrvRequest {
        GET_ROUTEINFO_BY_TOPIC => GetRouteInfo(namesrv::GetRouteInfo<'a>),
            "Which brokers have a topic.";
        GET_BROKER_CLUSTER_INFO => GetBrokerClusterInfo(NoFields), "All clusters and brokers.";
        REGISTER_BROKER => RegisterBroker(namesrv::RegisterBroker<'a>),
            "A broker lives, with these topics.";
        UNREGISTER_BROKER => UnregisterBroker(namesrv::OfBroker<'a>), "A broker leaves.";
        QUERY_DATA_VERSION => QueryDataVersion(namesrv::OfBroker<'a>),
            "Whether a broker must register its topics anew.";
        BROKER_HEARTBEAT => BrokerHeartbeat(namesrv::BrokerHeartbeat<'a>), "A broker lives.";
        GET_BROKER_MEMBER_GROUP => GetBrokerMemberGroup(namesrv::GetBrokerMemberGroup<'a>),
            "The replicas of a broker group.";
        REGISTER_TOPIC_IN_NAMESRV => RegisterTopic(namesrv::RegisterTopic<'a>),
            "Add a topic to the routes.";
        DELETE_TOPIC_IN_NAMESRV => DeleteTopic(namesrv::DeleteTopicInNamesrv<'a>),
            "Remove a topic from the routes.";
        PUT_KV_CONFIG => PutKvConfig(namesrv::PutKvConfig<'a>), "Store a value.";
        GET_KV_CONFIG => GetKvConfig(namesrv::KvKey<'a>), "Read a value.";
        DELETE_KV_CONFIG => DeleteKvConfig(namesrv::KvKey<'a>), "Delete a value.";
        GET_KVLIST_BY_NAMESPACE => GetKvListByNamespace(namesrv::KvNamespace<'a>),
            "Read a table of values.";
        WIPE_WRITE_PERM_OF_BROKER => WipeWritePerm(namesrv::WritePermOfBroker<'a>),
            "Let nobody send to a broker.";
        ADD_WRITE_PERM_OF_BROKER => AddWritePerm(namesrv::WritePermOfBroker<'a>),
            "Let producers send to a broker again.";
        GET_ALL_TOPIC_LIST_FROM_NAMESERVER => GetAllTopicList(NoFields), "All topics.";
        GET_TOPICS_BY_CLUSTER => GetTopicsByCluster(namesrv::GetTopicsByCluster<'a>),
            "The topics of a cluster.";
        GET_SYSTEM_TOPIC_LIST_FROM_NS => GetSystemTopicList(NoFields),
            "Names of clusters and brokers, which are topics too.";
        GET_UNIT_TOPIC_LIST => GetUnitTopicList(NoFields), "Topics of units.";
        GET_HAS_UNIT_SUB_TOPIC_LIST => GetHasUnitSubTopicList(NoFields),
            "Topics with subscriptions of units.";
        GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => GetHasUnitSubUnunitTopicList(NoFields),
            "The same without topics of units.";
        UPDATE_NAMESRV_CONFIG => UpdateNamesrvConfig(NoFields), "Change settings.";
        GET_NAMESRV_CONFIG => GetNamesrvConfig(NoFields), "Read settings.";
    }
}

table! {
    /// What a client serves to its brokers.
    ClientRequest {
        CHECK_TRANSACTION_STATE => CheckTransactionState(client::CheckTransactionState<'a>),
            "What became of a half message?";
        NOTIFY_CONSUMER_IDS_CHANGED =>
            NotifyConsumerIdsChanged(client::NotifyConsumerIdsChanged<'a>),
            "Share the queues anew.";
        RESET_CONSUMER_CLIENT_OFFSET => ResetOffset(client::ResetOffset<'a>),
            "Take these offsets.";
        GET_CONSUMER_STATUS_FROM_CLIENT => GetConsumerStatus(client::GetConsumerStatus<'a>),
            "Which offsets do you have?";
        GET_CONSUMER_RUNNING_INFO => GetConsumerRunningInfo(client::GetConsumerRunningInfo<'a>),
            "What do you do?";
        CONSUME_MESSAGE_DIRECTLY => ConsumeMessageDirectly(client::ConsumeMessageDirectly<'a>),
            "Consume this message now.";
        PUSH_REPLY_MESSAGE_TO_CLIENT => PushReplyMessage(client::PushReplyMessage<'a>),
            "The reply to a request-reply message.";
    }
}

/// The Markdown table of all requests: code, name, who serves it, what it asks.
#[must_use]
pub fn docs() -> String {
    let tables = [
        ("broker", BrokerRequest::ROWS),
        ("NameServer", NamesrvRequest::ROWS),
        ("client", ClientRequest::ROWS),
    ];
    let mut text = String::from("| Code | Name | Served by | Asks |\n|---:|---|---|---|\n");
    for code in RequestCode::ALL {
        let served = tables.iter().filter_map(|(who, rows)| {
            rows.iter().find(|(served, _)| served == code).map(|(_, what)| (*who, *what))
        });
        let (who, what): (Vec<_>, Vec<_>) = served.unzip();
        let what = what.first().copied().unwrap_or("Not supported: answered with code 3.");
        let who = if who.is_empty() { "–".to_owned() } else { who.join(", ") };
        // Writing to a String cannot fail.
        let _infallible = writeln!(text, "| {} | {} | {who} | {what} |", code.0, code.label());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_know_their_place() {
        assert!(RequestCode::ALL.is_sorted());
        for (place, code) in RequestCode::ALL.iter().enumerate() {
            assert_eq!(code.index(), Some(place));
            assert!(code.name().is_some());
        }
        assert_eq!(RequestCode(99_999).index(), None);
        assert_eq!(RequestCode(99_999).label(), "UNKNOWN");
    }

    #[test]
    fn the_docs_have_one_row_for_each_code() {
        let docs = docs();
        assert_eq!(docs.lines().count(), RequestCode::ALL.len() + 2);
        assert!(docs.contains("| 10 | SEND_MESSAGE | broker | Store one message. |"));
        assert!(docs.contains("| 307 | GET_CONSUMER_RUNNING_INFO | broker, client |"));
    }
}
