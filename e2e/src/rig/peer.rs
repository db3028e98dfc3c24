//! Official clients under remote control: a process that takes calls as JSON lines and answers with events. One process
//! serves many cases at the same time; see `java/` and `go/` for the verbs.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::guardian;

/// How long any one call may take to be done.
const PATIENCE: Duration = Duration::from_secs(90);

/// An official client.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Client {
    /// rocketmq-client 5.5.0, with rocketmq-tools (mqadmin).
    Java55,
    /// rocketmq-client 4.9.8.
    Java49,
    /// rocketmq-client-go/v2 v2.1.2.
    Go,
}

impl Client {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Java55, Self::Java49, Self::Go];

    /// A word for names of topics and groups.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Java55 => "java55",
            Self::Java49 => "java49",
            Self::Go => "go",
        }
    }
}

type Routes = Arc<Mutex<HashMap<u64, Sender<Event>>>>;

/// A running client process; ends when dropped, and with the test process.
#[derive(Debug)]
pub struct Peer {
    client: Client,
    child: Child,
    stdin: Mutex<ChildStdin>,
    routes: Routes,
    next: AtomicU64,
}

/// One event of a call.
#[derive(Clone, Debug)]
pub struct Event(pub Value);

/// A call that is under way. Its events wait here until they are taken.
#[derive(Debug)]
pub struct Call {
    what: String,
    events: Receiver<Event>,
}

impl Peer {
    /// Starts a client that talks to `namesrv`, keeping its files in `home`.
    ///
    /// # Errors
    /// When it can't be built or started.
    pub fn start(client: Client, namesrv: SocketAddr, home: &Path) -> anyhow::Result<Self> {
        let programs = build(None)?;
        let mut command = match client {
            Client::Go => Command::new(programs.join("go-peer")),
            Client::Java55 => java(&programs.join("java-5.5.0"), home),
            Client::Java49 => java(&programs.join("java-4.9.8"), home),
        };
        let mut child = command
            .arg(namesrv.to_string())
            // The Go client keeps the offsets of broadcasts there.
            .env("HOME", home)
            .current_dir(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(home.join(format!("{}.log", client.word())))?)
            .spawn()?;
        guardian::kill_at_end(child.id());
        let stdin = Mutex::new(child.stdin.take().context("no stdin")?);
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let routes = Routes::default();
        let to = Arc::clone(&routes);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                deliver(&to, &line);
            }
            to.lock().clear();
        });
        Ok(Self { client, child, stdin, routes, next: AtomicU64::new(1) })
    }

    /// Which client it is.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// Begins a call: `arguments` is a JSON object without `id` and `verb`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn begin(&self, verb: &str, mut arguments: Value) -> anyhow::Result<Call> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = channel();
        self.routes.lock().insert(id, sender);
        let object = arguments.as_object_mut().context("arguments are an object")?;
        object.insert("id".to_owned(), json!(id));
        object.insert("verb".to_owned(), json!(verb));
        let what = format!("{:?} {arguments}", self.client);
        let mut stdin = self.stdin.lock();
        writeln!(stdin, "{arguments}").context(what.clone())?;
        stdin.flush()?;
        Ok(Call { what, events })
    }

    /// Makes a call and waits until it is done. Gives its events without `done`.
    ///
    /// # Errors
    /// When it fails, or takes too long.
    pub fn call(&self, verb: &str, arguments: Value) -> anyhow::Result<Vec<Event>> {
        self.begin(verb, arguments)?.done()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if ended.is_ok() {
            guardian::forget(self.child.id());
        }
    }
}

impl Call {
    /// The next event, waiting for it until `end`.
    fn next(&self, end: Instant) -> anyhow::Result<Event> {
        match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(event) if event.name() == "failed" => bail!("{}: {}", self.what, event.0),
            Ok(event) => Ok(event),
            Err(RecvTimeoutError::Timeout) => bail!("too late: {}", self.what),
            Err(RecvTimeoutError::Disconnected) => bail!("the client is gone: {}", self.what),
        }
    }

    /// All events up to `done`, which is left out.
    ///
    /// # Errors
    /// When the call fails, or takes too long.
    pub fn done(&self) -> anyhow::Result<Vec<Event>> {
        let end = Instant::now() + PATIENCE;
        let mut events = Vec::new();
        loop {
            let event = self.next(end)?;
            if event.name() == "done" {
                return Ok(events);
            }
            events.push(event);
        }
    }

    /// The next `count` events of one name; others are dropped.
    ///
    /// # Errors
    /// When the call fails or they take too long; says how many came.
    pub fn take(&self, name: &str, count: usize) -> anyhow::Result<Vec<Event>> {
        let end = Instant::now() + PATIENCE;
        let (mut events, mut others, mut last) = (Vec::new(), 0, None);
        while events.len() < count {
            let event = self.next(end).with_context(|| {
                format!("{} of {count} {name}, {others} others, the last {last:?}", events.len())
            })?;
            if event.name() == name {
                events.push(event);
            } else {
                others += 1;
                last = Some(event.0);
            }
        }
        Ok(events)
    }

    /// Events of one name that have come until now and within `quiet` of the last one.
    ///
    /// # Errors
    /// When the call fails.
    pub fn drain(&self, name: &str, quiet: Duration) -> anyhow::Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.recv_timeout(quiet) {
            ensure!(event.name() != "failed", "{}: {}", self.what, event.0);
            if event.name() == name {
                events.push(event);
            }
        }
        Ok(events)
    }
}

impl Event {
    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("event")
    }

    /// A text field, empty if there is none.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number, -1 if there is none.
    #[must_use]
    pub fn number(&self, field: &str) -> i64 {
        self.0.get(field).and_then(Value::as_i64).unwrap_or(-1)
    }

    /// A flag, false if there is none.
    #[must_use]
    pub fn flag(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// Hands a line of output to the call that it belongs to. Nobody may be left to hear it.
fn deliver(routes: &Routes, line: &str) {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return };
    let id = event.get("id").and_then(Value::as_u64).unwrap_or(0);
    let heard = routes.lock().get(&id).map(|call| call.send(Event(event)));
    heard.map(Result::ok).unwrap_or_default();
}

fn java(jars: &Path, home: &Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    quiet(&mut command, home);
    command.arg("-cp").arg(jars.join("*")).arg("gantry.peer.Main");
    command
}

/// Keeps what RocketMQ's Java writes beside its output in a directory of ours.
pub(super) fn quiet(command: &mut Command, home: &Path) {
    for property in ["user.home", "rocketmq.log.root", "rocketmq.client.logRoot"] {
        command.arg(format!("-D{property}={}", home.display()));
    }
}

/// The directory of the programs that drive clients, or of `what` else `e2e/build` makes; built if needed.
///
/// # Errors
/// When the build fails.
pub(super) fn build(what: Option<&str>) -> anyhow::Result<PathBuf> {
    if let (None, Some(directory)) = (what, env::var_os("GANTRY_PEERS")) {
        return Ok(directory.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build");
    let output = Command::new(&script).args(what).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
