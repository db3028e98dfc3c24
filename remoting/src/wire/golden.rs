//! Frames of official peers are read as what they say, and what they say is written again.
//!
//! `tests/golden/README.md` says how they were made.

use std::{collections::BTreeMap, fs, path::PathBuf};

use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Body, Chain, Command, Fields, Frame, Frames, Header, HeaderForm, Language, NoFields, Oneway,
    RequestCode, RequestLine, Rest,
    body::{self, Form},
    request::{
        BrokerRequest, ClientRequest, NamesrvRequest, RequestError, UnservedRequest, consume,
        namesrv, send,
    },
};

struct Golden {
    name: String,
    command: Command,
    said: Value,
}

fn goldens() -> Vec<Golden> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let mut bytes = BytesMut::from(&fs::read(&path).unwrap()[..]);
        let mut frames = Frames::default();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert_eq!(frames.cut(&mut bytes), Ok(Rest::Empty), "{name}");
        let frame = frames.requests().chain(frames.responses()).next().unwrap();
        let said = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        all.push(Golden { name, command: frame.to_command(), said });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() > 100, "only {} frames", all.len());
    all
}

/// The frames of one request or of the successful replies to it, whoever sent them.
fn of(request: &str, kind: &str) -> Vec<Golden> {
    let wanted = |golden: &Golden| {
        golden.name.starts_with(&format!("{request}.")) && golden.name.contains(&format!(".{kind}"))
    };
    let found: Vec<_> = goldens().into_iter().filter(wanted).collect();
    assert!(!found.is_empty(), "no {kind} of {request}");
    found
}

fn fields(fields: Fields<'_>) -> BTreeMap<String, String> {
    let text = |bytes| String::from_utf8(Vec::from(bytes)).unwrap();
    fields.iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn said_fields(said: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(said.get("extFields").cloned().unwrap_or_default()).unwrap_or_default()
}

#[test]
fn envelopes_are_read_as_they_were_meant() {
    for Golden { name, command, said } in goldens() {
        let frame = command.frame();
        assert_eq!(i64::from(frame.code()), said["code"], "{name}");
        assert_eq!(i64::from(frame.opaque()), said["opaque"], "{name}");
        assert_eq!(i64::from(frame.version()), said["version"], "{name}");
        let language = said["language"].as_str().unwrap();
        assert_eq!(frame.language(), Language::from_name(language.as_bytes()), "{name}");
        let flag = said["flag"].as_i64().unwrap();
        assert_eq!(frame.is_response(), flag & 1 != 0, "{name}");
        assert_eq!(frame.is_oneway(), flag & 2 != 0, "{name}");
        assert_eq!(frame.remark(), said["remark"].as_str().unwrap_or_default(), "{name}");
        let body = said["bodyLength"].as_u64().unwrap();
        assert_eq!(frame.body().len() as u64, body, "{name}");
        assert_eq!(fields(frame.fields()), said_fields(&said), "{name}");
    }
}

/// Writes a header and reads its fields again: each must be what the peer had sent, and only fields
/// that the header does not know may be missing.
fn rewritten<'h, H: Header<'h>>(name: &str, header: &H, sent: &BTreeMap<String, String>) {
    for form in [HeaderForm::Json, HeaderForm::Binary] {
        let line = RequestLine { code: RequestCode(1), opaque: 1, form, oneway: Oneway::No };
        let mut chain = Chain::default();
        chain.request(line, header, Body::Empty);
        let mut frames = Frames::default();
        frames.cut(&mut BytesMut::from(&chain.to_vec()[..])).unwrap();
        let again = fields(frames.requests().next().unwrap().fields());
        for (key, value) in &again {
            let sent = sent.get(key).map_or("false", String::as_str);
            assert!(value.eq_ignore_ascii_case(sent), "{name}: {key} {value} {sent}");
        }
        for (key, value) in sent {
            let ignored = ["ReqT", "bname", "lo", "ns", "nsd", "oway"].contains(&key.as_str());
            assert!(ignored || value.is_empty() || again.contains_key(key), "{name}: {key} lost");
        }
    }
}

macro_rules! check_fields {
    ($name:expr, $request:expr, $sent:expr, $table:ident: $($variant:ident)*) => {
        match $request {
            $($table::$variant(header) => rewritten($name, header, $sent),)*
            #[expect(clippy::allow_attributes, reason = "one of the tables is complete")]
            #[allow(unreachable_patterns, reason = "one of the tables is complete")]
            other => panic!("{}: {other:?} is not checked", $name),
        }
    };
}

fn check_broker(name: &str, request: &BrokerRequest<'_>, sent: &BTreeMap<String, String>) {
    check_fields!(name, request, sent, BrokerRequest:
        SendMessage SendMessageV2 SendBatchMessage ConsumerSendMsgBack PullMessage LitePullMessage
        QueryConsumerOffset UpdateConsumerOffset SearchOffset GetMaxOffset GetMinOffset
        GetEarliestMsgStoretime HeartBeat UnregisterClient GetConsumerListByGroup LockBatchMq
        UnlockBatchMq GetConsumerRunningInfo ResetOffset CreateTopic DeleteTopic GetTopicConfig
        UpdateBrokerConfig GetBrokerConfig GetBrokerRuntimeInfo CreateSubscriptionGroup
        DeleteSubscriptionGroup GetTopicStats GetConsumerConnectionList GetProducerConnectionList
        GetAllProducerInfo GetConsumeStats QueryTopicConsumeByWho);
}

fn check_unserved(name: &str, request: &UnservedRequest<'_>, sent: &BTreeMap<String, String>) {
    check_fields!(name, request, sent, UnservedRequest:
        QueryMessage ViewBrokerStatsData QueryConsumeQueue GetBrokerHaStatus);
}

fn check_namesrv(name: &str, request: &NamesrvRequest<'_>, sent: &BTreeMap<String, String>) {
    check_fields!(name, request, sent, NamesrvRequest:
        GetRouteInfo GetBrokerClusterInfo RegisterBroker UnregisterBroker DeleteTopic PutKvConfig
        GetKvConfig DeleteKvConfig WipeWritePerm AddWritePerm GetAllTopicList GetNamesrvConfig);
}

fn check_client(name: &str, request: &ClientRequest<'_>, sent: &BTreeMap<String, String>) {
    check_fields!(name, request, sent, ClientRequest:
        CheckTransactionState NotifyConsumerIdsChanged ResetOffset GetConsumerStatus
        GetConsumerRunningInfo ConsumeMessageDirectly PushReplyMessage);
}

#[test]
fn every_request_is_in_a_table_and_loses_no_field() {
    for Golden { name, command, .. } in goldens() {
        let frame: Frame<'_> = command.frame();
        if frame.is_response() {
            continue;
        }
        let java = name.split('.').next().unwrap().replace('-', "_").to_uppercase();
        assert_eq!(RequestCode(frame.code()).label(), java, "{name}");
        let sent = fields(frame.fields());
        let mut of_others = false;
        match BrokerRequest::decode(&frame) {
            Ok(request) => check_broker(&name, &request, &sent),
            Err(RequestError::Unsupported(_)) => match UnservedRequest::decode(&frame) {
                Ok(request) => check_unserved(&name, &request, &sent),
                Err(_) => of_others = true,
            },
            Err(RequestError::Field(error)) => panic!("{name}: {error}"),
        }
        match NamesrvRequest::decode(&frame) {
            Ok(request) => check_namesrv(&name, &request, &sent),
            Err(error) => assert!(!of_others || is_for_clients(&frame), "{name}: {error}"),
        }
        if let Ok(request) = ClientRequest::decode(&frame) {
            check_client(&name, &request, &sent);
        }
    }
}

fn is_for_clients(frame: &Frame<'_>) -> bool {
    ClientRequest::decode(frame).is_ok()
}

fn replies<H>(request: &str)
where
    H: for<'h> Reply<'h>,
{
    for Golden { name, command, .. } in of(request, "reply-0") {
        H::check(&name, &command);
    }
}

/// A reply header, whatever its lifetime.
trait Reply<'h> {
    fn check(name: &str, command: &'h Command);
}

macro_rules! replies {
    ($($marker:ident = $header:ty;)*) => {$(
        struct $marker;
        impl<'h> Reply<'h> for $marker {
            fn check(name: &str, command: &'h Command) {
                let header: $header = command.decode().unwrap_or_else(|e| panic!("{name}: {e}"));
                rewritten(name, &header, &fields(command.frame().fields()));
            }
        }
    )*};
}

replies! {
    Send = send::SendReply<'h>;
    Pull = consume::PullReply;
    Offset = consume::OffsetReply;
    StoreTime = consume::StoreTimeReply;
    Query = consume::QueryMessageReply;
    Heartbeat = consume::HeartbeatReply;
    Register = namesrv::RegisterBrokerReply<'h>;
    Kv = namesrv::GetKvConfigReply<'h>;
    Wipe = namesrv::WipeWritePermReply;
    Add = namesrv::AddWritePermReply;
    None = NoFields;
}

#[test]
fn reply_headers_lose_no_field() {
    for request in ["send-message", "send-message-v2", "send-batch-message"] {
        replies::<Send>(request);
    }
    for request in ["pull-message", "lite-pull-message"] {
        replies::<Pull>(request);
    }
    for request in
        ["get-max-offset", "get-min-offset", "query-consumer-offset", "search-offset-by-timestamp"]
    {
        replies::<Offset>(request);
    }
    replies::<StoreTime>("get-earliest-msg-storetime");
    replies::<Query>("query-message");
    replies::<Heartbeat>("heart-beat");
    replies::<Register>("register-broker");
    replies::<Kv>("get-kv-config");
    replies::<Wipe>("wipe-write-perm-of-broker");
    replies::<Add>("add-write-perm-of-broker");
    replies::<None>("get-broker-cluster-info");
    for Golden { name, command, .. } in of("pull-message", "reply-").into_iter() {
        if matches!(command.code().0, 19..=21) {
            Pull::check(&name, &command);
        }
    }
}

/// What a body says, whatever the order of its members.
fn meaning(body: &[u8]) -> Value {
    body::parse(body).unwrap()
}

/// Reads a body as `B` and writes it again: nothing may be lost, and as many bytes must come out as
/// the Java side had written.
fn bodies<B: DeserializeOwned + Serialize>(request: &str, kind: &str) {
    for Golden { name, command, .. } in of(request, kind) {
        let sent = command.body();
        if sent.is_empty() {
            continue;
        }
        let typed: B = body::parse(&sent).unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = body::to_fastjson(&typed);
        if !name.contains(".java-5") && kind == "request" {
            continue; // Older clients have fewer members; the Go client writes numbers as texts.
        }
        assert_eq!(meaning(&again), meaning(&sent), "{name}");
        if !name.starts_with("get-routeinfo") {
            assert_eq!(again.len(), sent.len(), "{name}");
        }
    }
}

#[test]
fn bodies_say_the_same_when_written_again() {
    bodies::<body::HeartbeatData>("heart-beat", "request");
    bodies::<body::LockBatch>("lock-batch-mq", "request");
    bodies::<body::LockBatch>("unlock-batch-mq", "request");
    bodies::<body::LockedQueues>("lock-batch-mq", "reply-0");
    bodies::<body::SubscriptionGroupConfig>("update-and-create-subscriptiongroup", "request");
    bodies::<body::TopicRouteData>("get-routeinfo-by-topic", "reply-0");
    bodies::<body::ClusterInfo>("get-broker-cluster-info", "reply-0");
    bodies::<body::KvTable>("register-broker", "reply-0");
    bodies::<body::KvTable>("get-broker-runtime-info", "reply-0");
    bodies::<body::TopicList>("get-all-topic-list-from-nameserver", "reply-0");
    bodies::<body::TopicConfig>("get-topic-config", "reply-0");
    bodies::<body::TopicStats>("get-topic-stats-info", "reply-0");
    bodies::<body::ConsumeStats>("get-consume-stats", "reply-0");
    bodies::<body::QueueOffsets>("invoke-broker-to-reset-offset", "reply-0");
    bodies::<body::ConsumerIdList>("get-consumer-list-by-group", "reply-0");
    bodies::<body::ConsumerConnection>("get-consumer-connection-list", "reply-0");
    bodies::<body::ProducerConnection>("get-producer-connection-list", "reply-0");
    bodies::<body::ProducerTable>("get-all-producer-info", "reply-0");
    bodies::<body::ConsumerRunningInfo>("get-consumer-running-info", "reply-0");
    bodies::<body::GroupList>("query-topic-consume-by-who", "reply-0");
    bodies::<body::ConsumeQueueReply>("query-consume-queue", "reply-0");
    bodies::<body::BrokerStatsData>("view-broker-stats-data", "reply-0");
    bodies::<body::HaRuntimeInfo>("get-broker-ha-status", "reply-0");
}

#[test]
fn routes_are_written_in_the_dialect_that_the_client_reads() {
    for Golden { name, command, .. } in of("get-routeinfo-by-topic", "reply-0") {
        let route: body::TopicRouteData = body::parse(&command.body()).unwrap();
        let old = command.body().windows(3).any(|bytes| bytes == b"{0:");
        let again = if old { body::to_fastjson(&route) } else { body::to_standard(&route) };
        assert_eq!(again, command.body(), "{name}");
    }
}

#[test]
fn a_go_client_s_heartbeat_has_its_tags() {
    let golden = of("heart-beat", "request").into_iter().find(|g| g.name.contains(".go.")).unwrap();
    let heartbeat: body::HeartbeatData = body::parse(&golden.command.body()).unwrap();
    let consumer = &heartbeat.consumer_data_set[0];
    assert_eq!(consumer.consume_from_where, body::ConsumeFromWhere::FirstOffset);
    let golden = consumer.subscription_data_set.iter().find(|data| data.topic == "golden").unwrap();
    assert_eq!(golden.code_set, [112_785, 3_027_034]);
}

#[test]
fn registrations_are_read_plain_and_compressed() {
    for Golden { name, command, .. } in of("register-broker", "request") {
        let header: namesrv::RegisterBroker<'_> = command.decode().unwrap();
        let form = if header.compressed { Form::Compressed } else { Form::Plain };
        let registration = body::RegisterBrokerBody::read(&command.body(), form).unwrap();
        let topics = &registration.topic_config_serialize_wrapper.topic_config_table;
        assert!(topics.contains_key("TBW102"), "{name}");
        let again = body::RegisterBrokerBody::read(&registration.write(form), form).unwrap();
        assert_eq!(again, registration, "{name}");
    }
}
