//! Records that Apache RocketMQ 5.5.0 has stored: read, and written again byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use gantry_model::{
    Draft,
    record::{Check, Record, place},
};
use serde_json::Value;

fn check(bytes: &[u8], said: &Value) {
    let record = Record::parse(bytes, Check::Crc).unwrap();
    assert_eq!(record.len, bytes.len());
    let number = |name: &str| said.get(name).unwrap().as_i64().unwrap();
    let text = |name: &str| said.get(name).unwrap().as_str().unwrap();
    let numbers = [
        ("bodyCrc", i64::from(record.crc)),
        ("bodyLength", i64::try_from(record.body.len()).unwrap()),
        ("bornMillis", i64::try_from(record.born.0).unwrap()),
        ("flag", i64::from(record.flag)),
        ("physicalOffset", i64::try_from(record.position.0).unwrap()),
        ("preparedTransactionOffset", i64::try_from(record.prepared.0).unwrap()),
        ("queueId", i64::from(record.queue.0)),
        ("queueOffset", i64::try_from(record.offset.0).unwrap()),
        ("reconsumeTimes", i64::from(record.reconsume_times)),
        ("storeMillis", i64::try_from(record.stored.0).unwrap()),
        ("sysFlag", i64::from(record.sys_flag.0)),
    ];
    for (name, value) in numbers {
        assert_eq!(value, number(name), "{name}");
    }
    assert_eq!(record.topic, text("topic"));
    assert_eq!(record.born_host.to_string(), text("bornHost"));
    assert_eq!(record.store_host.to_string(), text("storeHost"));
    assert_eq!(record.properties.as_bytes(), text("propertiesText").as_bytes());
    let pairs = said.get("properties").unwrap().as_object().unwrap();
    for (name, value) in pairs {
        assert_eq!(record.properties.get(name), value.as_str(), "{name}");
    }
    let draft = Draft {
        topic: record.topic,
        queue: record.queue,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born: record.born,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared: record.prepared,
        body: record.body,
        properties: record.properties,
    };
    let mut again = Vec::new();
    draft.encode(&mut again).unwrap();
    place(&mut again, record.offset, record.position, record.stored);
    assert!(again == bytes, "written again, the record differs");
}

#[test]
fn records_of_java_are_read_and_written_again() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut checked = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let said = fs::read_to_string(path.with_extension("json")).unwrap();
        check(&fs::read(&path).unwrap(), &serde_json::from_str(&said).unwrap());
        checked += 1;
    }
    assert!(checked >= 16, "{checked} records");
}
