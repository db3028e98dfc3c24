//! Commands there and back through both header forms, and what is refused.

use bytes::{BufMut, BytesMut};
use gantry_model::{Millis, QueueId, QueueOffset};

use super::{
    Answer, Body, Chain, FRAME_MAX, FieldError, FrameError, Frames, HeaderError, HeaderForm,
    Language, MaybeNegative, NoFields, Oneway, Replies, RequestCode, RequestLine, ResponseCode,
    Rest, VERSION,
    request::{
        BrokerRequest, RequestError,
        consume::{OffsetReply, PullMessage},
        send::{SendMessageV2, SendReply},
    },
};

const FORMS: [HeaderForm; 2] = [HeaderForm::Json, HeaderForm::Binary];

/// A frame around a header and a body as they are.
pub(super) fn frame(form: u8, header: &[u8], body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(4 + header.len() + body.len()).unwrap());
    frame.put_u32(u32::from(form) << 24 | u32::try_from(header.len()).unwrap());
    frame.put_slice(header);
    frame.put_slice(body);
    frame
}

fn send() -> SendMessageV2<'static> {
    SendMessageV2 {
        producer_group: "PG",
        topic: "Orders",
        default_topic: Some("TBW102"),
        default_topic_queue_nums: Some(4),
        queue_id: MaybeNegative::Of(QueueId(3)),
        sys_flag: 0,
        born_timestamp: Millis(1_700_000_000_123),
        flag: -7,
        properties: Some("KEYS\u{1}a \"b\"\\\u{2}TAGS\u{1}grün 😀\u{2}"),
        reconsume_times: Some(0),
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: Some("broker-a"),
    }
}

fn request(form: HeaderForm, header: &SendMessageV2<'_>, body: &[u8]) -> BytesMut {
    let mut chain = Chain::default();
    let line =
        RequestLine { code: RequestCode::SEND_MESSAGE_V2, opaque: 42, form, oneway: Oneway::No };
    chain.request(line, header, Body::Copied(body));
    BytesMut::from(&chain.to_vec()[..])
}

#[test]
fn a_request_comes_back_through_both_forms() {
    for form in FORMS {
        let mut buffer = request(form, &send(), b"hello");
        let mut frames = Frames::default();
        assert_eq!(frames.cut(&mut buffer), Ok(Rest::Empty));
        let frame = frames.requests().next().unwrap();
        assert_eq!(frame.form(), form);
        assert_eq!((frame.code(), frame.opaque(), frame.version()), (310, 42, VERSION));
        assert_eq!(frame.language(), Language::Rust);
        assert_eq!(frame.body(), b"hello");
        assert_eq!(&frame.shared_body()[..], b"hello");
        assert_eq!(BrokerRequest::decode(&frame), Ok(BrokerRequest::SendMessageV2(send())));
        assert_eq!(frame.to_command().decode(), Ok(send()));
    }
}

#[test]
fn a_reply_comes_back_in_the_form_of_its_request() {
    let header = SendReply {
        msg_id: "7F00000100002A9F0000000000000000",
        queue_id: QueueId(3),
        queue_offset: QueueOffset(17),
        transaction_id: None,
        batch_uniq_id: None,
        recall_handle: None,
        region: Some("DefaultRegion"),
        trace_on: Some(true),
    };
    for form in FORMS {
        let mut frames = Frames::default();
        frames.cut(&mut request(form, &send(), b"")).unwrap();
        let to = frames.requests().next().unwrap().reply_to();
        let mut replies = Replies::default();
        replies.reply(to, Answer { remark: Some("said \"so\"\n"), ..Answer::with(header.clone()) });
        let mut answers = Frames::default();
        answers.cut(&mut BytesMut::from(&replies.chain().to_vec()[..])).unwrap();
        let answer = answers.responses().next().unwrap().to_command();
        assert_eq!(answer.frame().form(), form);
        assert_eq!(answer.frame().opaque(), 42);
        assert_eq!(answer.code(), ResponseCode::SUCCESS);
        assert_eq!(answer.remark(), "said \"so\"\n");
        assert_eq!(answer.decode(), Ok(header.clone()));
    }
}

#[test]
fn a_oneway_request_gets_no_answer() {
    let mut chain = Chain::default();
    for form in FORMS {
        let line =
            RequestLine { code: RequestCode::HEART_BEAT, opaque: 1, form, oneway: Oneway::Yes };
        chain.request(line, &NoFields, Body::Empty);
    }
    let mut frames = Frames::default();
    frames.cut(&mut BytesMut::from(&chain.to_vec()[..])).unwrap();
    assert_eq!(frames.requests().len(), 2);
    let mut replies = Replies::default();
    for frame in frames.requests() {
        replies.ok(frame.reply_to());
        replies.unsupported(&frame);
    }
    assert!(replies.chain().is_empty());
    assert_eq!(replies.count(), 0);
}

#[test]
fn json_headers_are_read_leniently() {
    let header = br#" { "version" : "401", "extFields":{"topic":"a\/b\u0041\ud83d\ude00\ud83d!",
        "queueId":7,"consumerGroup":"g","unknown":{"x":[1,{"}":"]"}]},"none":null},
        "weird":[[{}],"]"], "opaque":-3,"language":"KLINGON","code":11,"remark":null,"flag":0 } "#;
    let mut frames = Frames::default();
    frames.cut(&mut frame(0, header, b"")).unwrap();
    let frame = frames.requests().next().unwrap();
    assert_eq!((frame.code(), frame.opaque(), frame.version()), (11, -3, 401));
    assert_eq!(frame.language(), Language::Other);
    assert_eq!(frame.remark(), "");
    assert_eq!(frame.field("topic"), Ok(Some("a/bA😀\u{FFFD}!")));
    assert_eq!(frame.field("queueId"), Ok(Some(QueueId(7))));
    assert_eq!(frame.field::<&str>("none"), Ok(None));
    assert_eq!(frame.fields().iter().len(), 3);
}

#[test]
fn of_a_field_that_comes_twice_the_later_counts() {
    let mut frames = Frames::default();
    frames.cut(&mut frame(0, br#"{"extFields":{"offset":"1","offset":"2"}}"#, b"")).unwrap();
    let decoded = frames.requests().next().unwrap().decode();
    assert_eq!(decoded, Ok(OffsetReply { offset: QueueOffset(2).into() }));
}

#[test]
fn broken_frames_are_refused() {
    let cases: [(BytesMut, FrameError); 7] = [
        (
            BytesMut::from(&b"\x7f\xff\xff\xff"[..]),
            FrameError::TooLong { length: 0x8000_0003, max: FRAME_MAX },
        ),
        (BytesMut::from(&b"\0\0\0\x03abc"[..]), FrameError::TooShort { length: 3 }),
        (
            BytesMut::from(&b"\0\0\0\x05\0\0\0\x09x"[..]),
            FrameError::HeaderTooLong { header: 9, room: 1 },
        ),
        (frame(2, b"{}", b""), FrameError::Form(2)),
        (frame(0, b"[]", b""), HeaderError::Unexpected { at: 0 }.into()),
        (frame(0, br#"{"code":1.5}"#, b""), HeaderError::Number { at: 8 }.into()),
        (frame(1, &[0; 20], b""), HeaderError::Truncated.into()),
    ];
    for (mut bytes, error) in cases {
        assert_eq!(Frames::default().cut(&mut bytes), Err(error));
    }
}

#[test]
fn frames_before_a_broken_one_are_served() {
    let mut buffer = request(HeaderForm::Binary, &send(), b"");
    buffer.extend_from_slice(&frame(9, b"", b""));
    let mut frames = Frames::default();
    assert_eq!(frames.cut(&mut buffer), Err(FrameError::Form(9)));
    assert_eq!(frames.requests().len(), 1);
}

#[test]
fn a_frame_may_arrive_byte_by_byte() {
    for form in FORMS {
        let whole = request(form, &send(), b"hello");
        let mut buffer = BytesMut::new();
        let mut frames = Frames::default();
        for (count, byte) in whole.iter().enumerate() {
            let wants = if count < 4 { 4 } else { whole.len() };
            let rest = if count == 0 { Rest::Empty } else { Rest::Partial { wants } };
            assert_eq!(frames.cut(&mut buffer), Ok(rest), "{count}");
            assert!(frames.is_empty());
            buffer.put_u8(*byte);
        }
        assert_eq!(frames.cut(&mut buffer), Ok(Rest::Empty));
        assert_eq!(frames.requests().next().unwrap().decode(), Ok(send()));
    }
}

fn refused(ext: &str) -> FieldError {
    let mut frames = Frames::default();
    frames
        .cut(&mut frame(0, format!(r#"{{"code":11,"extFields":{ext}}}"#).as_bytes(), b""))
        .unwrap();
    match BrokerRequest::decode(&frames.requests().next().unwrap()) {
        Err(RequestError::Field(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_fields_are_named() {
    assert_eq!(refused("{}").to_string(), "the custom field <consumerGroup> is null");
    let with = |queue: &str| {
        refused(&format!(r#"{{"consumerGroup":"g","topic":"t","queueId":"{queue}"}}"#))
    };
    for queue in ["x", "-1", "2147483648", "99999999999999999999", "1.0", " 1", ""] {
        let want = "a queue's number from 0 on";
        assert_eq!(with(queue), FieldError::Value { name: "queueId", want, got: queue.to_owned() });
    }
}

#[test]
fn invalid_utf8_is_a_refused_field_and_not_a_broken_frame() {
    let mut header = br#"{"code":38,"extFields":{"consumerGroup":"?"}}"#.to_vec();
    let at = header.iter().position(|byte| *byte == b'?').unwrap();
    header[at] = 0xFF;
    let mut frames = Frames::default();
    frames.cut(&mut frame(0, &header, b"")).unwrap();
    let error = BrokerRequest::decode(&frames.requests().next().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the custom field <consumerGroup> must be UTF-8, got \"\u{FFFD}\""
    );
}

#[test]
fn negative_numbers_pass_where_they_mean_something() {
    let header = br#"{"code":11,"extFields":{"consumerGroup":"g","topic":"t","queueId":"0",
        "queueOffset":"-1","maxMsgNums":"32","sysFlag":"3","commitOffset":"-9223372036854775808",
        "suspendTimeoutMillis":"15000","subVersion":"-5"}}"#;
    let mut frames = Frames::default();
    frames.cut(&mut frame(0, header, b"")).unwrap();
    let pull: PullMessage<'_> = frames.requests().next().unwrap().decode().unwrap();
    assert_eq!(pull.queue_offset, MaybeNegative::Negative(-1));
    assert_eq!(pull.commit_offset, MaybeNegative::Negative(i64::MIN));
    assert_eq!(pull.sub_version, -5);
}

#[test]
fn long_bodies_are_chained_and_leave_in_order() {
    let long = bytes::Bytes::from(vec![7_u8; 10_000]);
    let mut replies = Replies::default();
    let mut frames = Frames::default();
    frames.cut(&mut request(HeaderForm::Binary, &send(), b"")).unwrap();
    let to = frames.requests().next().unwrap().reply_to();
    replies.reply(to, Answer::body(vec![long.clone(), bytes::Bytes::from_static(b"tail"), long]));
    replies.ok(to);
    let whole = replies.chain().to_vec();
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    assert_eq!(replies.chain().slices(&mut slices), 5);
    let mut left = Vec::new();
    while !replies.chain.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 2];
        replies.chain.slices(&mut slices);
        let step = slices[0].len().min(4999);
        left.extend_from_slice(&slices[0][..step]);
        replies.chain.advance(step);
    }
    assert_eq!(left, whole);
    let mut answers = Frames::default();
    answers.cut(&mut BytesMut::from(&whole[..])).unwrap();
    let bodies: Vec<_> = answers.responses().map(|answer| answer.body().len()).collect();
    assert_eq!(bodies, [20_004, 0]);
}

#[test]
fn codes_beyond_16_bits_go_out_as_json() {
    let mut chain = Chain::default();
    let line = RequestLine {
        code: RequestCode::POP_MESSAGE,
        opaque: 1,
        form: HeaderForm::Binary,
        oneway: Oneway::No,
    };
    chain.request(line, &NoFields, Body::Empty);
    let mut frames = Frames::default();
    frames.cut(&mut BytesMut::from(&chain.to_vec()[..])).unwrap();
    let frame = frames.requests().next().unwrap();
    assert_eq!((frame.form(), frame.code()), (HeaderForm::Json, 200_050));
}
