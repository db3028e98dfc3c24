//! Bytes that no official client sends. Each gets the protocol's error or a closed connection, costs bounded memory, and
//! disturbs nobody else.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use gantry_e2e::rig::{
    Client, Setup, Stage, is_oracle, produce,
    wire::{Outcome, Request, Wire, frame},
};
use serde_json::{Value, json};

/// How long a broken connection may stay open without an answer: longer than a test waits, so silence is allowed only
/// where a case says so.
const PATIENCE: Duration = Duration::from_secs(10);
/// For what may stay silent: an unfinished frame.
const GLANCE: Duration = Duration::from_millis(200);

/// What may become of bad bytes.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// The connection ends.
    Closed,
    /// An error with this code comes back.
    Code(i64),
    /// Any error comes back, or the connection ends.
    Refused,
    /// Any answer at all, or the connection ends.
    Anything,
}

fn check(to: SocketAddr, what: &str, bytes: &[u8], expected: Expected) -> anyhow::Result<()> {
    let mut wire = Wire::connect(to)?;
    wire.send(bytes)?;
    let outcome = wire.outcome(PATIENCE).with_context(|| what.to_owned())?;
    let fine = match (&outcome, expected) {
        // Java's waits for the rest of a frame that it would refuse.
        (Outcome::Silence, Expected::Closed) => is_oracle(),
        (Outcome::Silence, _) => false,
        (_, Expected::Anything) | (Outcome::Closed, Expected::Closed | Expected::Refused) => true,
        (Outcome::Reply(reply), Expected::Code(code)) => reply.code == code,
        (Outcome::Reply(reply), Expected::Refused) => reply.code != 0,
        (Outcome::Reply(_), Expected::Closed) | (Outcome::Closed, Expected::Code(_)) => false,
    };
    ensure!(fine, "{what}: expected {expected:?}, got {outcome:?}");
    Ok(())
}

/// The server answers others: the point of most cases here.
fn serves(stage: &Stage) -> anyhow::Result<()> {
    let request = Request::new(105, json!({"topic": "TBW102"}));
    let reply = Wire::connect(stage.server().namesrv())?.ask(&request)?;
    ensure!(reply.code == 0, "{reply:?}");
    let arguments = json!({"topic": "bad-input", "keys": "k", "count": 5});
    produce(stage.peer(Client::Go)?, arguments)?;
    Ok(())
}

/// A send as a client would write it, for cases to spoil.
fn send(fields: Value) -> Request {
    let mut all = json!({
        "a": "group", "b": "bad-input", "c": "TBW102", "d": "4", "e": "0", "f": "0",
        "g": "1700000000000", "h": "0", "i": "KEYS\u{1}k\u{2}", "j": "0", "k": "false", "m": "false",
    });
    let map = all.as_object_mut().into_iter();
    for (all, fields) in map.zip(fields.as_object()) {
        all.extend(fields.clone());
    }
    Request::new(310, all).with_body("body")
}

fn pull(fields: Value) -> Request {
    let mut all = json!({
        "consumerGroup": "group", "topic": "bad-input", "queueId": "0", "queueOffset": "0",
        "maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "1000",
        "subscription": "*", "subVersion": "0", "expressionType": "TAG",
    });
    let map = all.as_object_mut().into_iter();
    for (all, fields) in map.zip(fields.as_object()) {
        all.extend(fields.clone());
    }
    Request::new(11, all)
}

#[test]
fn broken_frames_end_their_connection_only() -> anyhow::Result<()> {
    let stage = Stage::open(Setup::default())?;
    for to in [stage.server().namesrv(), stage.server().broker()] {
        let cases: [(&str, Vec<u8>); 9] = [
            ("a frame of 2 GiB", vec![0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
            ("a frame of 17 MiB", (17_u32 << 20).to_be_bytes().to_vec()),
            ("a negative length", vec![0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]),
            ("a header longer than its frame", vec![0, 0, 0, 8, 0, 0, 0, 99, b'{', b'}', 0, 0]),
            ("an unknown header form", vec![0, 0, 0, 8, 7, 0, 0, 4, 1, 2, 3, 4]),
            ("a header that is no JSON", frame(b"{\"code\":", b"")),
            ("a header that is not UTF-8", frame(b"{\"code\":105,\"remark\":\"\xFF\xFE\"", b"")),
            ("a binary header that ends early", vec![0, 0, 0, 8, 1, 0, 0, 4, 0, 105, 0, 0]),
            ("no protocol at all", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ];
        for (what, bytes) in cases {
            check(to, what, &bytes, Expected::Closed)?;
        }
    }
    serves(&stage)
}

#[test]
fn unknown_and_spoilt_requests_get_an_error() -> anyhow::Result<()> {
    let stage = Stage::open(Setup::default())?;
    let broker = stage.server().broker();
    let namesrv = stage.server().namesrv();
    serves(&stage)?;
    for to in [broker, namesrv] {
        let unknown = Request::new(29_999, json!({}));
        check(to, "an unknown code", &unknown.frame(), Expected::Code(3))?;
    }
    let route = Request::new(105, json!({}));
    check(namesrv, "a route of nothing", &route.frame(), Expected::Refused)?;
    let route = Request::new(105, json!({"topic": "no such topic \u{1F980}"}));
    check(namesrv, "a route of what can't be", &route.frame(), Expected::Code(17))?;
    let refused = [
        ("no topic", json!({"b": null})),
        ("a topic with odd characters", json!({"b": "a/../b"})),
        ("a topic of 300 characters", json!({"b": "t".repeat(300)})),
        ("a queue that is no number", json!({"e": "first"})),
        ("a queue that is not there", json!({"e": "99"})),
        ("an absurd queue", json!({"e": "9223372036854775807"})),
        ("a flag that is no number", json!({"f": "one"})),
        ("a topic that is the server's own", json!({"b": "SCHEDULE_TOPIC_XXXX"})),
        (
            "properties longer than 32767",
            json!({"i": format!("a\u{1}{}\u{2}", "x".repeat(40_000))}),
        ),
    ];
    for (what, fields) in refused {
        let mut request = send(fields);
        if let Some(map) = request.fields.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
        check(broker, what, &request.frame(), Expected::Refused)?;
    }
    check(
        broker,
        "a broken property string",
        &send(json!({"i": "\u{2}\u{2}a\u{1}"})).frame(),
        Expected::Anything,
    )?;
    let batch = send(json!({"m": "true"})).with_body(vec![0, 0, 0, 99, 1, 2, 3]);
    check(broker, "a batch that is not what its lengths say", &batch.frame(), Expected::Refused)?;
    let heartbeat = Request::new(34, json!({})).with_body("{\"clientID\":");
    check(broker, "a heartbeat that is no JSON", &heartbeat.frame(), Expected::Refused)?;
    serves(&stage)
}

#[test]
fn spoilt_pulls_get_an_error() -> anyhow::Result<()> {
    let stage = Stage::open(Setup::default())?;
    let broker = stage.server().broker();
    serves(&stage)?;
    let cases = [
        ("a queue that is not there", json!({"queueId": "77"}), Expected::Code(29)),
        ("a negative queue", json!({"queueId": "-1"}), Expected::Refused),
        ("an unknown topic", json!({"topic": "never-seen"}), Expected::Code(17)),
        ("an offset far behind the end", json!({"queueOffset": "99999999"}), Expected::Code(21)),
        ("an offset that is no number", json!({"queueOffset": "begin"}), Expected::Refused),
        ("a negative offset", json!({"queueOffset": "-5"}), Expected::Code(21)),
        ("no messages wanted", json!({"maxMsgNums": "0"}), Expected::Anything),
        ("a negative number wanted", json!({"maxMsgNums": "-3"}), Expected::Anything),
        ("two billion wanted", json!({"maxMsgNums": "2147483647"}), Expected::Anything),
        (
            "a subscription that can't be read",
            json!({"subscription": "a = = b", "expressionType": "SQL92"}),
            Expected::Anything,
        ),
    ];
    for (what, fields, expected) in cases {
        check(broker, what, &pull(fields).frame(), expected)?;
    }
    serves(&stage)
}

/// The request with another value in a field, or without the field.
fn spoilt(whole: &Request, name: String, value: Value) -> Request {
    let mut request = whole.clone();
    if let Some(fields) = request.fields.as_object_mut() {
        fields.insert(name, value);
        fields.retain(|_, value| !value.is_null());
    }
    request
}

/// Every field of the two hot requests, spoilt in each way: always an answer or an end, and a client that was there before
/// is served between any two of them over the same connection.
#[test]
fn each_field_spoilt_in_turn_disturbs_no_neighbour() -> anyhow::Result<()> {
    const SPOILT: [&str; 6] =
        ["", "x", "-1", "9223372036854775808", "1e3", "\u{1}\u{2}\u{0}\u{FFFD}"];
    let stage = Stage::open(Setup::default())?;
    serves(&stage)?;
    let broker = stage.server().broker();
    let mut neighbour = Wire::connect(broker)?;
    let end = Request::new(30, json!({"topic": "bad-input", "queueId": "0"}));
    for whole in [send(json!({})), pull(json!({"suspendTimeoutMillis": "0"}))] {
        let names = whole.fields.as_object().into_iter().flat_map(|fields| fields.keys().cloned());
        let values = || SPOILT.iter().map(|value| json!(value)).chain([Value::Null]);
        for (name, value) in names.flat_map(|name| values().map(move |value| (name.clone(), value)))
        {
            let what = format!("request {} with {name}={value}", whole.code);
            check(broker, &what, &spoilt(&whole, name, value).frame(), Expected::Anything)?;
            let reply = neighbour.ask(&end).with_context(|| format!("after a {what}"))?;
            ensure!(reply.code == 0, "after a {what} a neighbour got {reply:?}");
        }
    }
    serves(&stage)
}

/// A binary header whose values are no text.
#[test]
fn binary_values_that_are_not_utf8_are_refused() -> anyhow::Result<()> {
    let stage = Stage::open(Setup::default())?;
    serves(&stage)?;
    for (to, code, key) in
        [(stage.server().namesrv(), 105_u16, &b"topic"[..]), (stage.server().broker(), 310, b"b")]
    {
        let value = b"\xC3\x28\xFF";
        let mut fields = Vec::new();
        fields.extend(u16::try_from(key.len())?.to_be_bytes());
        fields.extend(key);
        fields.extend(u32::try_from(value.len())?.to_be_bytes());
        fields.extend(value);
        // Code, language, version, opaque, flag, no remark, fields.
        let mut header = code.to_be_bytes().to_vec();
        header.extend([0, 1, 0x91]);
        header.extend([0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.extend(u32::try_from(fields.len())?.to_be_bytes());
        header.extend(fields);
        let mut bytes = u32::try_from(4 + header.len())?.to_be_bytes().to_vec();
        bytes.extend((1_u32 << 24 | u32::try_from(header.len())?).to_be_bytes());
        bytes.extend(header);
        check(to, "a value that is not UTF-8", &bytes, Expected::Refused)?;
    }
    serves(&stage)
}

#[test]
fn silent_and_half_sent_connections_disturb_nobody() -> anyhow::Result<()> {
    let stage = Stage::open(Setup::default())?;
    serves(&stage)?;
    let whole = Request::new(105, json!({"topic": "TBW102"})).frame();
    let mut waiting = Vec::new();
    for to in [stage.server().namesrv(), stage.server().broker()] {
        for nth in 0..100 {
            let mut wire = Wire::connect(to)?;
            // Some say nothing, the others stop in the middle of a frame.
            wire.send(&whole[..nth % whole.len()])?;
            waiting.push((to, nth % whole.len(), wire));
        }
    }
    serves(&stage)?;
    // The rest of a frame is still welcome.
    for (to, sent, wire) in waiting.iter_mut().filter(|(to, ..)| *to == stage.server().namesrv()) {
        ensure!(
            matches!(wire.outcome(GLANCE / 50)?, Outcome::Silence),
            "{to} answers half a frame"
        );
        wire.send(&whole[*sent..])?;
        ensure!(matches!(wire.outcome(PATIENCE)?, Outcome::Reply(_)), "no answer to a whole frame");
    }
    serves(&stage)
}

#[test]
fn memory_is_bounded_by_what_has_come_not_by_what_is_announced() -> anyhow::Result<()> {
    let mut stage = Stage::open(Setup::default())?;
    serves(&stage)?;
    let broker = stage.server().broker();
    let before = stage.server_mut().broker_program()?.resident_bytes()?;
    let mut announced = Vec::new();
    for _ in 0..64 {
        let mut wire = Wire::connect(broker)?;
        // 15 MiB are announced, a few bytes come.
        wire.send(&(15_u32 << 20).to_be_bytes())?;
        wire.send(&[0, 0, 0, 100, b'{'])?;
        announced.push(wire);
    }
    serves(&stage)?;
    let after = stage.server_mut().broker_program()?.resident_bytes()?;
    let grown = after.saturating_sub(before);
    ensure!(grown < 64 << 20, "{grown} bytes more for 64 announcements");
    Ok(())
}
