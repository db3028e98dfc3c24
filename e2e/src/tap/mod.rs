//! The recording proxy behind the `tap` program: forwards bytes as they are, and keeps the first frame of each kind.

mod codes;
mod frame;
mod record;

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
};

use anyhow::Context;

pub use frame::{Meaning, decode};
pub use record::keep as keep_records;

/// Frames longer than this are forwarded but not kept: golden files stay small.
const KEPT_MAX: usize = 12 * 1024;
/// How many frames of one kind are kept when their header fields differ.
const SHAPES_MAX: usize = 3;

/// Which peer of a connection sent a frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Side {
    Client,
    Server,
}

struct Captured {
    connection: usize,
    from: Side,
    frame: Vec<u8>,
}

/// Forwards connections to each `(listen, target)` of `routes` until the process ends, keeping frames in `out`.
///
/// # Errors
/// When an address can't be listened on, or a frame can't be written.
pub fn run(out: &Path, routes: &[(String, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(out)?;
    let (sender, receiver) = mpsc::channel();
    for (slot, (listen, target)) in routes.iter().enumerate() {
        let listener = TcpListener::bind(listen).with_context(|| format!("listen on {listen}"))?;
        let (target, sender, routes) = (target.clone(), sender.clone(), routes.len());
        thread::spawn(move || {
            for (nth, client) in listener.incoming().flatten().enumerate() {
                TcpStream::connect(&target)
                    .map(|server| join(nth * routes + slot, &client, &server, &sender))
                    .unwrap_or_default();
            }
        });
    }
    drop(sender);
    let mut shelf = Shelf::default();
    for captured in receiver {
        shelf.keep(out, &captured)?;
    }
    Ok(())
}

/// Copies both ways between two sockets, on a thread for each way.
fn join(
    connection: usize,
    client: &TcpStream,
    server: &TcpStream,
    sender: &mpsc::Sender<Captured>,
) {
    for (from, side, to) in [(client, Side::Client, server), (server, Side::Server, client)] {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { return };
        let sender = sender.clone();
        thread::spawn(move || {
            // Either end may hang up at any time; the copy ends with it.
            copy(from, &to, |frame| {
                sender.send(Captured { connection, from: side, frame }).is_ok()
            })
            .unwrap_or_default();
            to.shutdown(Shutdown::Write).unwrap_or_default();
        });
    }
}

fn copy(
    mut from: TcpStream,
    mut to: &TcpStream,
    mut frame: impl FnMut(Vec<u8>) -> bool,
) -> io::Result<()> {
    let mut pending = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut chunk)?;
        let bytes = chunk.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        // Recorded first: a reply must not be seen before its request.
        pending.extend_from_slice(bytes);
        while let Some(whole) = cut(&mut pending) {
            if !frame(whole) {
                return Ok(());
            }
        }
        to.write_all(bytes)?;
    }
}

fn cut(pending: &mut Vec<u8>) -> Option<Vec<u8>> {
    let word: [u8; 4] = pending.first_chunk().copied()?;
    let whole = usize::try_from(u32::from_be_bytes(word)).ok()? + 4;
    (pending.len() >= whole).then(|| pending.drain(..whole).collect())
}

/// What has been kept, and which request each reply will answer.
#[derive(Default)]
struct Shelf {
    asked: HashMap<(usize, Side, i64), (String, String)>,
    shapes: HashMap<String, HashSet<Vec<String>>>,
}

impl Shelf {
    fn keep(&mut self, out: &Path, captured: &Captured) -> anyhow::Result<()> {
        let Ok(meaning) = decode(&captured.frame) else { return Ok(()) };
        let (request, peer, role) = if meaning.flag & 1 == 0 {
            let asked = (codes::name(meaning.code), peer(&meaning));
            let opaque = (captured.connection, captured.from, meaning.opaque);
            self.asked.insert(opaque, asked.clone());
            (asked.0, asked.1, "request".to_owned())
        } else {
            let asker = if captured.from == Side::Client { Side::Server } else { Side::Client };
            let opaque = (captured.connection, asker, meaning.opaque);
            let Some(asked) = self.asked.remove(&opaque) else { return Ok(()) };
            (asked.0, asked.1, format!("reply-{}", meaning.code))
        };
        let form = meaning.form.to_lowercase();
        let kind = format!("{request}.{peer}.{form}.{role}");
        let mut shape: Vec<String> = meaning.ext_fields.keys().cloned().collect();
        shape.push(format!("body: {}", meaning.body_length > 0));
        let shapes = self.shapes.entry(kind.clone()).or_default();
        if captured.frame.len() > KEPT_MAX || shapes.len() == SHAPES_MAX || !shapes.insert(shape) {
            return Ok(());
        }
        let name = if shapes.len() == 1 { kind } else { format!("{kind}-{}", shapes.len()) };
        fs::write(out.join(format!("{name}.bin")), &captured.frame)?;
        let meaning = serde_json::to_string_pretty(&meaning)? + "\n";
        fs::write(out.join(format!("{name}.json")), meaning)?;
        Ok(())
    }
}

/// The peer that asked, by what its requests say of it.
fn peer(meaning: &Meaning) -> String {
    let language = meaning.language.to_lowercase();
    // Go always claims to be version 317.
    match (language.as_str(), meaning.version) {
        ("java", version @ 401..=412) => format!("java-4.9.{}", (version - 393) / 2),
        ("java", _) => "java-5.5.0".to_owned(),
        _ => language,
    }
}
