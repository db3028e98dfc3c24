//! Servers and pools over loopback sockets, and peers that misbehave.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{CallError, ConnectError, Limits, Peer, Pool, Server, Service, bind};
use crate::wire::{
    Answer, Body, Chain, Command, Frames, HeaderForm, NoFields, Oneway, Replies, ReplyTo,
    RequestCode, RequestLine, ResponseCode,
};

const ECHO: RequestCode = RequestCode::GET_BROKER_CLUSTER_INFO;
const LATER: RequestCode = RequestCode::PULL_MESSAGE;
const NEVER: RequestCode = RequestCode::POP_MESSAGE;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a test is told of.
#[derive(Debug)]
enum Event {
    Opened(Peer),
    Later(Peer, ReplyTo),
    Oneway(Bytes),
    Closed(u64),
}

struct Echo(mpsc::UnboundedSender<Event>);

impl Service for Echo {
    type Session = Peer;

    fn open(&self, peer: &Peer) -> Peer {
        self.0.send(Event::Opened(peer.clone())).unwrap();
        peer.clone()
    }

    fn batch(&self, peer: &mut Peer, frames: &Frames, out: &mut Replies) {
        for frame in frames.requests() {
            match RequestCode(frame.code()) {
                ECHO if frame.is_oneway() => {
                    self.0.send(Event::Oneway(frame.shared_body())).unwrap();
                }
                ECHO => out.reply(frame.reply_to(), Answer::body(frame.shared_body())),
                LATER => self.0.send(Event::Later(peer.clone(), frame.reply_to())).unwrap(),
                NEVER => {}
                _ => out.unsupported(&frame),
            }
        }
    }

    fn close(&self, peer: Peer, _: &Peer) {
        // The test may be over.
        let _unheard = self.0.send(Event::Closed(peer.id()));
    }
}

struct Fixture {
    server: Server,
    events: mpsc::UnboundedReceiver<Event>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Fixture {
    fn start(limits: Limits) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server =
            Server::start(listener, Arc::new(Echo(tell)), limits, (&tasks, &stop)).unwrap();
        Self { server, events, tasks, stop }
    }

    fn address(&self) -> String {
        self.server.local_addr().to_string()
    }

    fn pool<S: Service>(&self, service: S) -> Pool<S> {
        Pool::new(Arc::new(service), Limits::default(), TIMEOUT, (&self.tasks, &self.stop))
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(TIMEOUT, self.events.recv()).await.unwrap().unwrap()
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr()).await.unwrap()
    }
}

fn request(code: RequestCode, opaque: i32, oneway: Oneway, body: &[u8]) -> Vec<u8> {
    let mut chain = Chain::default();
    let line = RequestLine { code, opaque, form: HeaderForm::Binary, oneway };
    chain.request(line, &NoFields, Body::Copied(body));
    chain.to_vec()
}

/// All answers up to the connection's end.
async fn answers(stream: &mut TcpStream) -> Vec<Command> {
    let mut all = Vec::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut all)).await.unwrap().unwrap();
    let mut frames = Frames::default();
    frames.cut(&mut BytesMut::from(&all[..])).unwrap();
    frames.responses().map(|frame| frame.to_command()).collect()
}

#[tokio::test]
async fn requests_are_answered_at_once_later_and_in_java_s_words() {
    let mut fixture = Fixture::start(Limits::default());
    let pool = fixture.pool(super::NoRequests);
    let address = fixture.address();
    for size in [0, 1, 5_000, 3_000_000] {
        let body = vec![b'x'; size];
        let call = (ECHO, &NoFields, Body::Copied(&body));
        let answer = pool.request(&address, call, TIMEOUT).await.unwrap();
        assert_eq!(answer.code(), ResponseCode::SUCCESS);
        assert_eq!(answer.body(), body);
    }
    let call = (RequestCode(4711), &NoFields, Body::Empty);
    let answer = pool.request(&address, call, TIMEOUT).await.unwrap();
    assert_eq!(answer.code(), ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
    assert_eq!(answer.remark(), " request type 4711 not supported");

    let Event::Opened(_) = fixture.event().await else { panic!("not opened") };
    let peer = pool.connection(&address).await.unwrap();
    let pending = peer.request(LATER, &NoFields, Body::Empty, TIMEOUT);
    let Event::Later(server_side, to) = fixture.event().await else { panic!("not parked") };
    server_side.reply(|out| out.refuse(to, ResponseCode::PULL_NOT_FOUND, "late")).unwrap();
    assert_eq!(pending.await.unwrap().remark(), "late");
}

#[tokio::test]
async fn a_server_asks_its_client() {
    let mut fixture = Fixture::start(Limits::default());
    let (tell, mut heard) = mpsc::unbounded_channel();
    let pool = fixture.pool(Echo(tell));
    let address = fixture.address();
    pool.oneway(&address, (ECHO, &NoFields, Body::Copied(b"hi"))).await.unwrap();
    let Event::Opened(peer) = fixture.event().await else { panic!("not opened") };
    let Event::Oneway(body) = fixture.event().await else { panic!("not received") };
    assert_eq!(&body[..], b"hi");
    let answer = peer.request(ECHO, &NoFields, Body::Copied(b"you?"), TIMEOUT).await.unwrap();
    assert_eq!(&answer.body()[..], b"you?");
    peer.oneway(ECHO, &NoFields, Body::Copied(b"bye")).unwrap();
    let Some(Event::Opened(client_side)) = heard.recv().await else { panic!("not opened") };
    assert_eq!(client_side.remote(), fixture.server.local_addr());
    let Some(Event::Oneway(body)) = heard.recv().await else { panic!("not received") };
    assert_eq!(&body[..], b"bye");
}

#[tokio::test]
async fn a_pool_connects_again_and_says_why_it_cannot() {
    let mut fixture = Fixture::start(Limits::default());
    let pool = fixture.pool(super::NoRequests);
    let address = fixture.address();
    let first = pool.connection(&address).await.unwrap();
    assert_eq!(pool.connection(&address).await.unwrap(), first);
    let Event::Opened(server_side) = fixture.event().await else { panic!("not opened") };
    let lost = first.request(NEVER, &NoFields, Body::Empty, TIMEOUT);
    server_side.close();
    assert_eq!(lost.await.unwrap_err(), CallError::Closed);
    assert!(!first.is_open());
    let call = (ECHO, &NoFields, Body::Empty);
    pool.request(&address, call, TIMEOUT).await.unwrap();
    assert_ne!(pool.connection(&address).await.unwrap(), first);

    assert_eq!(fixture.server.drain(TIMEOUT).await, 0);
    let refused = pool.connection(&address).await;
    assert!(matches!(refused, Err(ConnectError::Refused { .. })), "{refused:?}");
    let unknown = pool.connection("no port").await;
    assert!(matches!(unknown, Err(ConnectError::Resolve { .. })), "{unknown:?}");
}

#[tokio::test]
async fn a_request_without_answer_times_out_and_its_dead_connection_is_closed() {
    let fixture = Fixture::start(Limits::default());
    let pool = fixture.pool(super::NoRequests);
    let short = Duration::from_millis(20);
    let call = (NEVER, &NoFields, Body::Empty);
    let error = pool.request(&fixture.address(), call, short).await.unwrap_err();
    assert_eq!(error, CallError::Timeout(short));
    let peer = pool.connection(&fixture.address()).await.unwrap();
    let answer = peer.request(ECHO, &NoFields, Body::Empty, TIMEOUT).await;
    assert!(answer.is_ok());
}

#[tokio::test]
async fn a_drain_waits_for_what_was_asked() {
    let mut fixture = Fixture::start(Limits::default());
    let mut stream = fixture.raw().await;
    stream.write_all(&request(LATER, 7, Oneway::No, b"")).await.unwrap();
    let Event::Opened(_) = fixture.event().await else { panic!("not opened") };
    let Event::Later(peer, to) = fixture.event().await else { panic!("not parked") };
    let late = async {
        // The drain has begun: a request that comes now is not served any more.
        while TcpStream::connect(fixture.server.local_addr()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stream.write_all(&request(ECHO, 8, Oneway::No, b"")).await.unwrap();
        peer.reply(|out| out.ok(to)).unwrap();
        answers(&mut stream).await
    };
    let (cut, answers) = tokio::join!(fixture.server.drain(TIMEOUT), late);
    assert_eq!(cut, 0);
    assert_eq!(answers.iter().map(|a| a.frame().opaque()).collect::<Vec<_>>(), [7]);
}

#[tokio::test]
async fn a_drain_has_a_deadline() {
    let mut fixture = Fixture::start(Limits::default());
    let mut stream = fixture.raw().await;
    stream.write_all(&request(NEVER, 7, Oneway::No, b"")).await.unwrap();
    stream.write_all(&request(ECHO, 8, Oneway::No, b"")).await.unwrap();
    let mut first = [0; 4];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(fixture.server.drain(Duration::from_millis(20)).await, 1);
    let Event::Opened(peer) = fixture.event().await else { panic!("not opened") };
    let Event::Closed(id) = fixture.event().await else { panic!("not closed") };
    assert_eq!(peer.id(), id);
    assert!(!peer.is_open());
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_closed_after_its_answers() {
    let good = request(ECHO, 1, Oneway::No, b"x");
    let broken: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0\0\0\x01x",
        b"\0\0\0\x06\x07\0\0\0xy",
        b"\0\0\0\x06\0\0\0\x02[]",
    ];
    for bytes in broken {
        let fixture = Fixture::start(Limits::default());
        let mut stream = fixture.raw().await;
        stream.write_all(&good).await.unwrap();
        let mut head = [0; 4];
        stream.read_exact(&mut head).await.unwrap();
        stream.write_all(&good).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        let whole = u32::from_be_bytes(head) as usize;
        assert_eq!(rest.len(), whole + whole + 4, "{bytes:?}");
    }
}

#[tokio::test]
async fn silent_and_slow_peers_are_closed() {
    let short = Duration::from_millis(50);
    let idle = Limits { idle: Some(short), ..Limits::default() };
    let frame = Limits { whole_frame: short, ..Limits::default() };
    let cases: [(Limits, &[u8]); 3] =
        [(idle, b""), (frame.clone(), b"\0\0"), (frame, b"\0\xF0\0\0\0\0\0\x02{")];
    for (limits, bytes) in cases {
        let fixture = Fixture::start(limits);
        let mut stream = fixture.raw().await;
        stream.write_all(bytes).await.unwrap();
        // Closing with unread bytes may reset the connection, which is as good.
        let end = tokio::time::timeout(TIMEOUT, stream.read(&mut [0; 8])).await.unwrap();
        assert!(!matches!(end, Ok(1..)), "{end:?}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_being_read_and_is_given_up() {
    let limits =
        Limits { unsent: 64 << 10, stalled_write: Duration::from_millis(100), ..Limits::default() };
    let mut fixture = Fixture::start(limits);
    let mut stream = fixture.raw().await;
    let one = request(ECHO, 1, Oneway::No, &vec![0; 1 << 20]);
    // Far more than the sockets hold: the server must stop reading, or this would never end.
    let written = async { while stream.write_all(&one).await.is_ok() {} };
    tokio::time::timeout(TIMEOUT, written).await.unwrap();
    let Event::Opened(_) = fixture.event().await else { panic!("not opened") };
    let Event::Closed(_) = fixture.event().await else { panic!("not closed") };
    assert_eq!(fixture.server.unsent(), 0);
}

#[tokio::test]
async fn an_outbox_is_bounded() {
    let limits = Limits { unsent: 1 << 20, unsent_max: 1 << 20, ..Limits::default() };
    let mut fixture = Fixture::start(limits);
    let _silent = fixture.raw().await;
    let Event::Opened(peer) = fixture.event().await else { panic!("not opened") };
    let body = Bytes::from(vec![0; 64 << 10]);
    let mut sent = 0;
    while peer.oneway(ECHO, &NoFields, body.clone().into()).is_ok() {
        sent += 1;
        assert!(sent < 10_000, "nobody reads, and yet nothing is refused");
        tokio::task::yield_now().await;
    }
    let Event::Closed(_) = fixture.event().await else { panic!("not closed") };
}

#[tokio::test]
async fn connections_are_bounded() {
    let fixture = Fixture::start(Limits { connections: 1, ..Limits::default() });
    let mut first = fixture.raw().await;
    first.write_all(&request(ECHO, 1, Oneway::No, b"")).await.unwrap();
    first.read_exact(&mut [0; 8]).await.unwrap();
    let mut second = fixture.raw().await;
    let end = tokio::time::timeout(TIMEOUT, second.read(&mut [0; 8])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    assert_eq!(fixture.server.connections(), 1);
}

#[tokio::test]
async fn large_frames_share_their_memory() {
    let limits = Limits { large_frames: 20 << 20, read_max: 64 << 10, ..Limits::default() };
    let fixture = Fixture::start(limits);
    let body = Bytes::from(vec![7; 15 << 20]);
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let (pool, address, body) =
                (fixture.pool(super::NoRequests), fixture.address(), body.clone());
            fixture.tasks.spawn(async move {
                let call = (ECHO, &NoFields, Body::Shared(body));
                pool.request(&address, call, TIMEOUT).await.unwrap().body().len()
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), body.len());
    }
}
