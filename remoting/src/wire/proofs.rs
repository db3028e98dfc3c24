//! Properties of the codecs: whatever is written comes back, and no bytes make a reader panic.

use bytes::BytesMut;
use gantry_model::{Millis, QueueId, QueueOffset};
use proptest::prelude::*;

use super::{
    Answer, Body, Chain, Frames, HeaderForm, MaybeNegative, Oneway, Replies, RequestCode,
    RequestLine, ResponseCode,
    body::{self, Form},
    request::{
        BrokerRequest, ClientRequest, NamesrvRequest,
        send::{SendMessageV2, SendReply},
    },
    tests::frame,
};

fn forms() -> impl Strategy<Value = HeaderForm> {
    prop_oneof![Just(HeaderForm::Json), Just(HeaderForm::Binary)]
}

/// Texts with what must be escaped, and beyond the first plane.
fn texts() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9\u{0}-\u{1f}\"\\\\/äß漢😀]{1,40}"
}

fn cut(bytes: &[u8]) -> Frames {
    let mut frames = Frames::default();
    frames.cut(&mut BytesMut::from(bytes)).unwrap();
    frames
}

/// Whatever a server or a client does with bytes that arrived.
fn read_all(bytes: &[u8]) {
    let mut frames = Frames::default();
    let mut buffer = BytesMut::from(bytes);
    // The error is the point: it must come, or a frame must.
    let _either = frames.cut(&mut buffer);
    for frame in frames.requests().chain(frames.responses()) {
        assert!(frame.body().len() <= bytes.len());
        let fields: usize = frame.fields().iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(fields <= bytes.len(), "more fields than bytes");
        let _refused_or_not = (
            frame.remark(),
            BrokerRequest::decode(&frame),
            NamesrvRequest::decode(&frame),
            ClientRequest::decode(&frame),
            frame.decode::<SendReply<'_>>(),
        );
    }
}

proptest! {
    #[test]
    fn a_send_comes_back(
        form in forms(),
        (group, topic, properties) in (texts(), texts(), texts()),
        (queue, born) in (-5_i64..1_000_000, 0..i64::MAX),
        (flags, times) in (any::<(i32, i32)>(), proptest::option::of(any::<i32>())),
        (opaque, oneway) in (any::<i32>(), any::<bool>()),
        payload in proptest::collection::vec(any::<u8>(), 0..5000),
    ) {
        let header = SendMessageV2 {
            producer_group: &group,
            topic: &topic,
            default_topic: Some("TBW102"),
            default_topic_queue_nums: times,
            queue_id: match u32::try_from(queue) {
                Ok(queue) => MaybeNegative::Of(QueueId(queue)),
                Err(_) => MaybeNegative::Negative(queue),
            },
            sys_flag: flags.0,
            born_timestamp: Millis(born.cast_unsigned()),
            flag: flags.1,
            properties: Some(&properties),
            reconsume_times: None,
            unit_mode: oneway,
            max_reconsume_times: times,
            batch: !oneway,
            broker_name: None,
        };
        let oneway = if oneway { Oneway::Yes } else { Oneway::No };
        let mut chain = Chain::default();
        let code = RequestCode::SEND_MESSAGE_V2;
        chain.request(RequestLine { code, opaque, form, oneway }, &header, Body::Copied(&payload));
        let frames = cut(&chain.to_vec());
        let frame = frames.requests().next().unwrap();
        prop_assert_eq!(frame.decode::<SendMessageV2<'_>>(), Ok(header));
        prop_assert_eq!(frame.body(), &payload[..]);
        prop_assert_eq!((frame.opaque(), frame.form()), (opaque, form));
        prop_assert_eq!(frame.is_oneway(), oneway == Oneway::Yes);
    }

    #[test]
    fn a_reply_comes_back(
        form in forms(),
        (id, remark) in (texts(), texts()),
        (code, queue, offset) in (-2000..5000, 0..i32::MAX, 0..i64::MAX),
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..4000), 0..4),
    ) {
        let header = SendReply {
            msg_id: &id,
            queue_id: QueueId(queue.cast_unsigned()),
            queue_offset: QueueOffset(offset.cast_unsigned()),
            transaction_id: None,
            batch_uniq_id: Some(&remark),
            recall_handle: None,
            region: None,
            trace_on: Some(false),
        };
        let mut chain = Chain::default();
        let line = RequestLine { code: RequestCode(10), opaque: 9, form, oneway: Oneway::No };
        chain.request(line, &super::NoFields, Body::Empty);
        let to = cut(&chain.to_vec()).requests().next().unwrap().reply_to();
        let mut replies = Replies::default();
        let body = Body::Parts(parts.iter().map(|part| part.clone().into()).collect());
        let code = ResponseCode(code);
        replies.reply(to, Answer { code, remark: Some(&remark), header: header.clone(), body });
        let answers = cut(&replies.chain().to_vec());
        let answer = answers.responses().next().unwrap().to_command();
        prop_assert_eq!((answer.code(), answer.remark()), (code, remark.as_str()));
        prop_assert_eq!(answer.decode::<SendReply<'_>>(), Ok(header));
        prop_assert_eq!(&answer.body()[..], &parts.concat()[..]);
    }

    /// However a stream is torn, the same frames are cut from it, and none is invented.
    #[test]
    fn frames_do_not_depend_on_how_they_arrive(
        bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..6),
        form in forms(),
        steps in proptest::collection::vec(1_usize..200, 1..50),
    ) {
        let mut chain = Chain::default();
        for body in &bodies {
            let line = RequestLine { code: RequestCode(34), opaque: 1, form, oneway: Oneway::No };
            chain.request(line, &super::NoFields, Body::Copied(body));
        }
        let stream = chain.to_vec();
        let (mut buffer, mut frames, mut found) = (BytesMut::new(), Frames::default(), Vec::new());
        let (mut at, mut steps) = (0, steps.iter().cycle());
        while at < stream.len() {
            let end = stream.len().min(at + steps.next().unwrap());
            buffer.extend_from_slice(&stream[at..end]);
            at = end;
            frames.cut(&mut buffer).unwrap();
            found.extend(frames.requests().map(|frame| frame.body().to_vec()));
        }
        prop_assert_eq!(found, bodies);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_chain_leaves_in_order_whatever_the_socket_takes(
        bodies in proptest::collection::vec(0_usize..6000, 1..8),
        takes in proptest::collection::vec(1_usize..5000, 1..20),
    ) {
        let mut chain = Chain::default();
        for (opaque, length) in bodies.iter().enumerate() {
            let line = RequestLine {
                code: RequestCode(11),
                opaque: i32::try_from(opaque).unwrap(),
                form: HeaderForm::Binary,
                oneway: Oneway::No,
            };
            chain.request(line, &super::NoFields, Body::Shared(vec![7; *length].into()));
        }
        let whole = chain.to_vec();
        let (mut left, mut takes) = (Vec::new(), takes.iter().cycle());
        while !chain.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 3];
            let count = chain.slices(&mut slices);
            let offered: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            let taken = offered.len().min(*takes.next().unwrap());
            left.extend_from_slice(&offered[..taken]);
            chain.advance(taken);
            prop_assert_eq!(left.len() + chain.len(), whole.len());
        }
        prop_assert_eq!(left, whole);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        read_all(&bytes);
        for form in [0, 1] {
            read_all(&frame(form, &bytes, b""));
        }
        let _read_or_refused = (
            body::parse::<body::HeartbeatData>(&bytes),
            body::RegisterBrokerBody::read(&bytes, Form::Plain),
            body::RegisterBrokerBody::read(&bytes, Form::Compressed),
        );
    }

    /// Bytes that are nearly right go further into the readers than noise does.
    #[test]
    fn damaged_frames_are_refused_or_read(
        form in forms(),
        properties in texts(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut chain = Chain::default();
        let line =
            RequestLine { code: RequestCode::SEND_MESSAGE, opaque: 1, form, oneway: Oneway::No };
        let header = super::request::namesrv::PutKvConfig {
            namespace: "a",
            key: "extFields",
            value: &properties,
        };
        chain.request(line, &header, Body::Copied(b"body"));
        let mut bytes = chain.to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(&bytes);
    }

    #[test]
    fn texts_of_json_like_characters_are_refused_or_read(
        text in "[{}\\[\\]:,\"'\\\\u0aZ \\-.]{0,80}",
    ) {
        read_all(&frame(0, text.as_bytes(), b""));
        let _read_or_refused = body::parse::<serde_json::Value>(text.as_bytes());
        let offsets = format!("{{\"offsetTable\":{text}}}");
        let _read_or_refused = body::parse::<body::QueueOffsets>(offsets.as_bytes());
    }
}
