//! The servers that are compared: processes on loopback, each in a directory of its own.

pub(crate) mod java;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::load::frame::{Form, SendShape, send};
use crate::load::link::Link;
use crate::usage::Usage;
use java::{Jars, Program};

/// Whose server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ours.
    Gantry,
    /// Apache RocketMQ's.
    Java,
}

impl Kind {
    /// As tables name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Gantry => "Gantry",
            Kind::Java => "Java",
        }
    }
}

/// When a send is acknowledged (`flushDiskType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    Async,
    Sync,
}

/// Where the programs come from.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) jars: Jars,
    /// Directory of `gantry-broker` and `gantry-namesrv`.
    pub(crate) gantry: PathBuf,
    /// Where the servers' data goes.
    pub(crate) data: PathBuf,
}

/// A NameServer and a broker that run.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) broker: SocketAddr,
    pub(crate) name_server: SocketAddr,
    /// From starting the broker process to its first acknowledged send.
    pub(crate) first_ack: Duration,
    broker_process: Process,
    name_server_process: Process,
    home: TempDir,
}

/// A child that ends with its owner.
#[derive(Debug)]
struct Process(Child);

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

impl Server {
    /// Starts both processes on free ports in a fresh directory and sends one message.
    pub(crate) fn start(programs: &Programs, kind: Kind, flush: Flush) -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix(&format!("gantry-bench-{}-", kind.name().to_lowercase()))
            .tempdir_in(&programs.data)?;
        let name_server = loopback(free_ports(1)?);
        // The Java broker listens on two ports beside the one that is configured.
        let broker = loopback(free_ports(3)? + 2);
        fs::write(home.path().join("namesrv.conf"), name_server_conf(name_server, home.path()))?;
        let conf = broker_conf(broker, name_server, flush, home.path());
        fs::write(home.path().join("broker.conf"), conf)?;
        let mut name_server_process = launch(programs, kind, Program::NameServer, home.path())?;
        name_server_process.until_listening(name_server, home.path())?;
        let start = Instant::now();
        let mut broker_process = launch(programs, kind, Program::Broker, home.path())?;
        let acked = first_send(&mut broker_process, broker, start);
        let first_ack = acked.with_context(|| last_words(home.path()))?;
        Ok(Self { broker, name_server, first_ack, broker_process, name_server_process, home })
    }

    /// What the broker process has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.broker_process.0.id())
    }

    /// Keeps the server from running while the other one is measured.
    pub(crate) fn pause(&self) -> Result<()> {
        self.broker_process.signal(Signal::STOP)?;
        self.name_server_process.signal(Signal::STOP)
    }

    /// Lets it run again.
    pub(crate) fn resume(&self) -> Result<()> {
        self.name_server_process.signal(Signal::CONT)?;
        self.broker_process.signal(Signal::CONT)
    }

    /// Ends both and removes their data.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.resume()?;
        self.broker_process.end()?;
        self.name_server_process.end()?;
        self.home.close().context("removing the server's data")
    }
}

impl Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    fn until_listening(&mut self, address: SocketAddr, home: &Path) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("it ended with {status}; {}", last_words(home));
            }
            if Instant::now() > deadline {
                bail!("nothing listens on {address} after {START_LIMIT:?}");
            }
            pause(Duration::from_millis(1));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.0.kill()?;
            }
            pause(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already ended is fine; anything else can't be helped in a destructor.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn first_send(process: &mut Process, broker: SocketAddr, start: Instant) -> Result<Duration> {
    let shape = SendShape { topic: "FirstSend", queue: 0, form: Form::Json, size: 16, batch: 1 };
    let request = send(&shape);
    loop {
        if let Some(status) = process.0.try_wait()? {
            bail!("the broker ended with {status}");
        }
        let answer =
            Link::open(broker).and_then(|mut link| link.call(&request, Duration::from_secs(3)));
        match answer {
            Ok((0, _)) => return Ok(start.elapsed()),
            other if start.elapsed() > START_LIMIT => {
                bail!("no send acknowledged after {START_LIMIT:?}: {other:?}")
            }
            _ => pause(Duration::from_micros(500)),
        }
    }
}

fn launch(programs: &Programs, kind: Kind, program: Program, home: &Path) -> Result<Process> {
    let (name, conf) = match program {
        Program::NameServer => ("gantry-namesrv", "namesrv.conf"),
        Program::Broker => ("gantry-broker", "broker.conf"),
        Program::Benchmark(_) => bail!("a benchmark class is not a server"),
    };
    let mut command = match kind {
        Kind::Java => programs.jars.command(program, home),
        Kind::Gantry => Command::new(programs.gantry.join(name)),
    };
    let log = File::create(home.join(format!("{name}.log")))?;
    command.arg("-c").arg(home.join(conf)).current_dir(home);
    command.stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    Ok(Process(child))
}

fn name_server_conf(address: SocketAddr, home: &Path) -> String {
    let (port, home) = (address.port(), home.display());
    format!(
        "bindAddress=127.0.0.1\nlistenPort={port}\nkvConfigPath={home}/kv.json\n\
         configStorePath={home}/namesrv.properties\n\
         metricsPromExporterPort=0\n"
    )
}

fn broker_conf(broker: SocketAddr, name_server: SocketAddr, flush: Flush, home: &Path) -> String {
    let flush = match flush {
        Flush::Async => "ASYNC_FLUSH",
        Flush::Sync => "SYNC_FLUSH",
    };
    let (port, ha, home) = (broker.port(), broker.port() - 1, home.display());
    format!(
        "brokerClusterName=Bench\nbrokerName=bench\nbrokerId=0\nbrokerRole=ASYNC_MASTER\n\
         namesrvAddr={name_server}\nbrokerIP1=127.0.0.1\nlistenPort={port}\n\
         haListenPort={ha}\nflushDiskType={flush}\nautoCreateTopicEnable=true\n\
         storePathRootDir={home}/store\nstorePathCommitLog={home}/store/commitlog\n\
         metricsPromExporterPort=0\n"
    )
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The first of `count` consecutive ports that were free a moment ago.
fn free_ports(count: u16) -> Result<u16> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = first.local_addr()?.port();
        let others: Vec<_> = (1..count)
            .filter_map(|n| TcpListener::bind((Ipv4Addr::LOCALHOST, port.checked_add(n)?)).ok())
            .collect();
        if others.len() + 1 == usize::from(count) {
            return Ok(port);
        }
    }
    bail!("no {count} free ports in a row")
}

/// Lines of a server's output that a failure quotes.
const LOG_LINES: usize = 6;

/// What the servers said first: why they ended.
fn last_words(home: &Path) -> String {
    let read = |name: &str| fs::read_to_string(home.join(name)).unwrap_or_default();
    let text = read("gantry-namesrv.log") + &read("gantry-broker.log");
    let said = text.lines().filter(|line| !line.trim().is_empty());
    said.take(LOG_LINES).collect::<Vec<_>>().join(" / ")
}

/// Waits for a process: there is no event to wait for.
#[expect(clippy::disallowed_methods, reason = "a synchronous runner has nothing to await")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
