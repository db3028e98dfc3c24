//! What every server and client does with bytes that arrived.

use bytes::{BufMut, BytesMut};
use gantry_remoting::wire::{
    Frames, Rest,
    request::{BrokerRequest, ClientRequest, NamesrvRequest, consume::PullReply, send::SendReply},
};

/// Cuts and decodes everything.
pub fn read(bytes: &[u8]) {
    let mut frames = Frames::default();
    let mut buffer = BytesMut::from(bytes);
    loop {
        let before = buffer.len();
        let rest = frames.cut(&mut buffer);
        assert_eq!(before - buffer.len(), frames.bytes());
        for frame in frames.requests().chain(frames.responses()) {
            let fields: usize = frame.fields().iter().map(|(k, v)| k.len() + v.len()).sum();
            assert!(fields + frame.body().len() + frame.remark().len() <= frames.bytes());
            let _ = BrokerRequest::decode(&frame);
            let _ = NamesrvRequest::decode(&frame);
            let _ = ClientRequest::decode(&frame);
            let _ = frame.decode::<SendReply<'_>>();
            let _ = frame.decode::<PullReply>();
        }
        if rest != Ok(Rest::More) {
            return;
        }
    }
}

/// The same with the bytes as the header of one frame.
#[allow(dead_code)]
pub fn read_header(form: u8, header: &[u8]) {
    let mut frame = BytesMut::new();
    frame.put_u32(4 + header.len() as u32);
    frame.put_u32(u32::from(form) << 24 | header.len() as u32);
    frame.put_slice(header);
    read(&frame);
}
