//! The stored record: bytes written by hand from the format, and properties that hold for every record.

use std::net::SocketAddr;

use gantry_model::{
    Millis, PhysicalOffset, QueueId, QueueOffset,
    properties::Properties,
    record::{
        BatchBody, BatchElement, Check, Draft, EncodeError, MAGIC_BLANK, MAGIC_V1, MAGIC_V2,
        ParseError, RECORD_MIN, Record, Unit, encode_batch_element, place,
    },
    sysflag::SysFlag,
};
use proptest::prelude::*;

fn draft<'a>(topic: &'a str, body: &'a [u8], properties: &'a [u8]) -> Draft<'a> {
    Draft {
        topic,
        queue: QueueId(3),
        flag: -7,
        sys_flag: SysFlag::NONE,
        born: Millis(0x0102_0304_0506),
        born_host: ([10, 1, 2, 3], 4660).into(),
        store_host: ([127, 0, 0, 1], 10911).into(),
        reconsume_times: 2,
        prepared: PhysicalOffset(9),
        body,
        properties: Properties::new(properties),
    }
}

#[test]
fn the_layout_is_that_of_java() {
    let mut bytes = Vec::new();
    let len = draft("T", b"hello", b"TAGS\x01a\x02").encode(&mut bytes).unwrap();
    place(&mut bytes, QueueOffset(5), PhysicalOffset(1 << 30), Millis(0x0203));
    let mut expected = vec![0, 0, 0, 104, 0xDA, 0xA3, 0x20, 0xA7];
    expected.extend_from_slice(&0x3610_A686_u32.to_be_bytes()); // CRC-32 of "hello", highest bit off
    expected.extend_from_slice(&[0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xF9]);
    expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend_from_slice(&[0, 0, 1, 2, 3, 4, 5, 6, 10, 1, 2, 3, 0, 0, 0x12, 0x34]);
    expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 2, 3, 127, 0, 0, 1, 0, 0, 0x2A, 0x9F]);
    expected.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 5]);
    expected.extend_from_slice(b"hello\x01T\x00\x07TAGS\x01a\x02");
    assert_eq!(len, 104);
    assert_eq!(bytes, expected);
}

#[test]
fn a_topic_longer_than_127_bytes_makes_a_v2_record() {
    for (len, magic, record) in [(127, MAGIC_V1, 91 + 127), (128, MAGIC_V2, 92 + 128)] {
        let topic = "t".repeat(len);
        let mut bytes = Vec::new();
        assert_eq!(draft(&topic, b"", b"").encode(&mut bytes), Ok(record));
        assert_eq!(bytes[4..8], magic.to_be_bytes());
        assert_eq!(Record::parse(&bytes, Check::Crc).unwrap().topic, topic);
    }
}

#[test]
fn what_does_not_fit_its_length_field_is_refused() {
    let mut bytes = Vec::new();
    let properties = vec![b'x'; 32_768];
    assert_eq!(
        draft("T", b"", &properties).encode(&mut bytes),
        Err(EncodeError::Properties(32_768))
    );
    assert!(bytes.is_empty());
}

#[test]
fn a_filler_is_told_from_a_record() {
    let mut bytes = 640_u32.to_be_bytes().to_vec();
    bytes.extend_from_slice(&MAGIC_BLANK.to_be_bytes());
    assert_eq!(Unit::parse(&bytes, Check::Crc), Ok(Unit::Blank { len: 640 }));
    assert_eq!(Record::parse(&bytes, Check::Crc), Err(ParseError::Magic(MAGIC_BLANK)));
    assert_eq!(Unit::parse(&[0; 8], Check::Crc), Err(ParseError::Magic(0)));
    assert_eq!(Unit::parse(&bytes[..7], Check::Crc), Err(ParseError::Short { need: 8, have: 7 }));
}

#[test]
fn a_changed_body_is_noticed_only_if_asked() {
    let mut bytes = Vec::new();
    draft("T", b"hello", b"").encode(&mut bytes).unwrap();
    bytes[88] ^= 1;
    assert!(matches!(Record::parse(&bytes, Check::Crc), Err(ParseError::Crc { .. })));
    assert_eq!(Record::parse(&bytes, Check::Trust).unwrap().body, b"iello");
}

#[test]
fn a_batch_body_ends_at_its_first_broken_element() {
    let mut body = Vec::new();
    let element =
        BatchElement { flag: 1, body: b"one", properties: Properties::new(b"k\x01v\x02") };
    encode_batch_element(&mut body, &element).unwrap();
    encode_batch_element(&mut body, &BatchElement { flag: 2, body: b"", ..element }).unwrap();
    assert_eq!(
        BatchBody::new(&body).map(|e| e.map(|e| e.flag)).collect::<Vec<_>>(),
        [Ok(1), Ok(2)]
    );
    body.extend_from_slice(&[0, 0, 0, 0]);
    let all: Vec<_> = BatchBody::new(&body).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(all[2], Err(ParseError::Lengths { total: 0 }));
    body.pop();
    assert_eq!(BatchBody::new(&body).last(), Some(Err(ParseError::Short { need: 22, have: 3 })));
}

fn any_host() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| (ip, port).into()),
        any::<([u8; 16], u16)>().prop_map(|(ip, port)| (ip, port).into()),
    ]
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(
        topic in "[a-zA-Z0-9_%|-]{1,255}",
        body in prop::collection::vec(any::<u8>(), 0..300),
        properties in prop::collection::vec(any::<u8>(), 0..300),
        (born_host, store_host) in (any_host(), any_host()),
        (flag, sys_flag, queue) in any::<(i32, u32, u32)>(),
        (offset, position, stored) in (0..u64::MAX / 2, 0..u64::MAX / 2, 0..u64::MAX / 2),
        tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let draft = Draft {
            flag, queue: QueueId(queue), sys_flag: SysFlag(sys_flag), born_host, store_host,
            ..draft(&topic, &body, &properties)
        };
        let mut bytes = Vec::new();
        let len = draft.encode(&mut bytes).unwrap();
        prop_assert_eq!(len, bytes.len());
        prop_assert_eq!(len, draft.encoded_len());
        prop_assert!(len >= RECORD_MIN);
        place(&mut bytes, QueueOffset(offset), PhysicalOffset(position), Millis(stored));
        bytes.extend_from_slice(&tail);
        let record = Record::parse(&bytes, Check::Crc).unwrap();
        prop_assert_eq!(record.len, len);
        prop_assert_eq!(record.topic, &topic);
        prop_assert_eq!(record.body, &body);
        prop_assert_eq!(record.properties.as_bytes(), &properties);
        prop_assert_eq!((record.born_host, record.store_host), (born_host, store_host));
        prop_assert_eq!((record.flag, record.queue), (flag, QueueId(queue)));
        prop_assert_eq!(record.sys_flag.0 & !0x30, sys_flag & !0x30);
        prop_assert_eq!(
            (record.offset, record.position, record.stored),
            (QueueOffset(offset), PhysicalOffset(position), Millis(stored))
        );
        prop_assert_eq!((record.reconsume_times, record.prepared), (2, PhysicalOffset(9)));
        for cut in 0..len {
            prop_assert!(Record::parse(&bytes[..cut], Check::Crc).is_err());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        body in prop::collection::vec(any::<u8>(), 0..100),
        damage in prop::collection::vec((0..200_usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = Vec::new();
        draft("Topic", &body, b"a\x01b\x02").encode(&mut bytes).unwrap();
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(record) = Record::parse(&bytes, Check::Crc) {
            prop_assert!(record.len <= bytes.len());
        }
        for element in BatchBody::new(&bytes).flatten() {
            prop_assert!(element.body.len() < bytes.len());
        }
    }
}
