#![no_main]

use gantry_remoting::wire::body::{self, Form, RegisterBrokerBody};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = body::parse::<body::HeartbeatData>(bytes);
    let _ = body::parse::<body::TopicRouteData>(bytes);
    let _ = RegisterBrokerBody::read(bytes, Form::Plain);
    let _ = RegisterBrokerBody::read(bytes, Form::Compressed);
    if let Ok(stats) = body::parse::<body::ConsumeStats>(bytes) {
        let again: body::ConsumeStats = body::parse(&body::to_fastjson(&stats)).unwrap();
        assert_eq!(again, stats);
    }
});
