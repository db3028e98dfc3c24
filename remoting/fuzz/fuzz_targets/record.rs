#![no_main]

use gantry_model::record::{Check, Record, Unit};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for check in [Check::Crc, Check::Trust] {
        let _ = Unit::parse(bytes, check);
        if let Ok(record) = Record::parse(bytes, check) {
            let found = record.body.len() + record.topic.len() + record.properties.as_bytes().len();
            assert!(found <= bytes.len());
        }
    }
});
