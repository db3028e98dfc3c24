//! The response codes of the protocol.

use std::fmt;

/// How a request went. The number is the wire's; codes without a name here are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub i32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        impl ResponseCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// Java's name of the code; `None` if it has none.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Done.
    SUCCESS = 0;
    /// Something failed; the remark says what.
    SYSTEM_ERROR = 1;
    /// Flow control: try again, elsewhere or later.
    SYSTEM_BUSY = 2;
    /// Nobody here serves this request.
    REQUEST_CODE_NOT_SUPPORTED = 3;
    /// Legacy.
    TRANSACTION_FAILED = 4;
    /// Stored, but the disk did not confirm in time.
    FLUSH_DISK_TIMEOUT = 10;
    /// Stored, but no slave can confirm; also: a slave cannot do this.
    SLAVE_NOT_AVAILABLE = 11;
    /// Stored, but no slave confirmed in time.
    FLUSH_SLAVE_TIMEOUT = 12;
    /// The message breaks a limit or a rule.
    MESSAGE_ILLEGAL = 13;
    /// The store takes no writes.
    SERVICE_NOT_AVAILABLE = 14;
    /// Proxy only.
    VERSION_NOT_SUPPORTED = 15;
    /// Permission bits, forbidden topics or keys, access control.
    NO_PERMISSION = 16;
    /// The topic is unknown. Clients key on this one for routes.
    TOPIC_NOT_EXIST = 17;
    /// Unused by Java.
    TOPIC_EXIST_ALREADY = 18;
    /// No new message.
    PULL_NOT_FOUND = 19;
    /// Nothing matched; ask again at once from the offset in the answer.
    PULL_RETRY_IMMEDIATELY = 20;
    /// The offset is outside the queue; the answer has the correction.
    PULL_OFFSET_MOVED = 21;
    /// A query found nothing.
    QUERY_NOT_FOUND = 22;
    /// The filter expression is wrong.
    SUBSCRIPTION_PARSE_FAILED = 23;
    /// A pull without a subscription in a heartbeat.
    SUBSCRIPTION_NOT_EXIST = 24;
    /// The broker's subscription is older than the pull's.
    SUBSCRIPTION_NOT_LATEST = 25;
    /// The group is unknown.
    SUBSCRIPTION_GROUP_NOT_EXIST = 26;
    /// The filter's data is missing.
    FILTER_DATA_NOT_EXIST = 27;
    /// The filter's data is older than the pull's.
    FILTER_DATA_NOT_LATEST = 28;
    /// A name, number or parameter is not allowed.
    INVALID_PARAMETER = 29;
    /// Legacy.
    TRANSACTION_SHOULD_COMMIT = 200;
    /// Legacy.
    TRANSACTION_SHOULD_ROLLBACK = 201;
    /// Legacy.
    TRANSACTION_STATE_UNKNOW = 202;
    /// Legacy.
    TRANSACTION_STATE_GROUP_WRONG = 203;
    /// Known to clients only.
    NO_BUYER_ID = 204;
    /// Known to clients only.
    NOT_IN_CURRENT_UNIT = 205;
    /// No consumer of the group is online.
    CONSUMER_NOT_ONLINE = 206;
    /// A client did not answer the broker in time.
    CONSUME_MSG_TIMEOUT = 207;
    /// The message to acknowledge does not exist.
    NO_MESSAGE = 208;
    /// Too many parked pops.
    POLLING_FULL = 209;
    /// A parked pop's time is over.
    POLLING_TIMEOUT = 210;
    /// No such broker to forward to.
    BROKER_NOT_EXIST = 211;
    /// A change of role is under way.
    BROKER_DISPATCH_NOT_COMPLETE = 212;
    /// Not for broadcasting consumers.
    BROADCAST_CONSUMPTION = 213;
    /// Proxy only.
    FLOW_CONTROL = 215;
    /// Static topics.
    NOT_LEADER_FOR_QUEUE = 501;
    /// Not allowed in this state.
    ILLEGAL_OPERATION = 604;
    /// The server drains; only for clients newer than ordinal 475.
    GO_AWAY = 1500;
    /// RPC between brokers.
    RPC_UNKNOWN = -1000;
    /// RPC between brokers.
    RPC_ADDR_IS_NULL = -1002;
    /// RPC between brokers.
    RPC_SEND_TO_CHANNEL_FAILED = -1004;
    /// RPC between brokers.
    RPC_TIME_OUT = -1006;
    /// The caller's mastership is over.
    CONTROLLER_FENCED_MASTER_EPOCH = 2000;
    /// The caller's in-sync set is older.
    CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH = 2001;
    /// The caller is not the master.
    CONTROLLER_INVALID_MASTER = 2002;
    /// Unknown replicas in a proposed set.
    CONTROLLER_INVALID_REPLICAS = 2003;
    /// No replica can be elected.
    CONTROLLER_MASTER_NOT_AVAILABLE = 2004;
    /// The request makes no sense.
    CONTROLLER_INVALID_REQUEST = 2005;
    /// The broker does not send heartbeats.
    CONTROLLER_BROKER_NOT_ALIVE = 2006;
    /// Ask another controller.
    CONTROLLER_NOT_LEADER = 2007;
    /// The controller does not know the broker.
    CONTROLLER_BROKER_METADATA_NOT_EXIST = 2008;
    /// The request to forget brokers makes no sense.
    CONTROLLER_INVALID_CLEAN_BROKER_METADATA = 2009;
    /// Register first.
    CONTROLLER_BROKER_NEED_TO_BE_REGISTERED = 2010;
    /// There is a master already.
    CONTROLLER_MASTER_STILL_EXIST = 2011;
    /// The election failed.
    CONTROLLER_ELECT_MASTER_FAILED = 2012;
    /// The change of the in-sync set failed.
    CONTROLLER_ALTER_SYNC_STATE_SET_FAILED = 2013;
    /// The broker id is taken or wrong.
    CONTROLLER_BROKER_ID_INVALID = 2014;
    /// The controller's own consensus failed.
    CONTROLLER_JRAFT_INTERNAL_ERROR = 2015;
    /// The controller has no liveness of the broker.
    CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS = 2016;
    /// Access control: no such user.
    USER_NOT_EXIST = 3001;
    /// Access control: no such policy.
    POLICY_NOT_EXIST = 3002;
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name}({})", self.0),
            None => write!(f, "ResponseCode({})", self.0),
        }
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}
