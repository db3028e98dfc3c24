//! A NameServer and a broker as processes, in a directory of their own, on free loopback ports.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::json;

use super::{
    Program, guardian,
    peer::{self, quiet},
    port,
    wire::{Request, Wire},
};

/// How long a server may take to start. Java's broker registers ten seconds after its port opens.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end when asked.
const END: Duration = Duration::from_secs(60);

/// Whether cases run against Apache RocketMQ's server, to learn whether they are right. `GANTRY_PEER` may also be
/// `java-broker` or `java-namesrv`: then only that part is Apache's, and the other one has to get along with it.
#[must_use]
pub fn is_oracle() -> bool {
    env::var_os("GANTRY_PEER").is_some_and(|peer| peer == "java")
}

fn maker(part: Part) -> Maker {
    let other = match part {
        Part::NameServer => "java-namesrv",
        Part::Broker => "java-broker",
    };
    if is_oracle() || env::var_os("GANTRY_PEER").is_some_and(|peer| peer == other) {
        return Maker::Apache;
    }
    Maker::Gantry
}

/// What a broker is started with beyond the usual.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    properties: String,
}

impl Setup {
    /// Adds a property of `broker.conf`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        // Writing to a string can't fail.
        writeln!(self.properties, "{name}={value}").unwrap_or_default();
        self
    }
}

/// A running NameServer with one broker, removed with its directory when dropped.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    namesrv: SocketAddr,
    broker: SocketAddr,
    setup: Setup,
    namesrv_program: Program,
    broker_program: Option<Program>,
}

impl Server {
    /// The broker's name.
    pub const BROKER: &str = "broker-a";
    /// The cluster's name.
    pub const CLUSTER: &str = "DefaultCluster";

    /// Starts both programs and waits until the broker is in the routes.
    ///
    /// # Errors
    /// When a program is not there, ends early, or does not get ready.
    pub fn start(setup: Setup) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("gantry-e2e-").tempdir()?.keep();
        guardian::remove_at_end(&directory);
        let namesrv = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let conf = directory.join("namesrv.conf");
        let text = format!(
            "listenPort={}\nmetricsPromExporterPort={}\nkvConfigPath={home}/kvConfig.json\nconfigStorePath={home}/namesrv.properties\n",
            namesrv.port(),
            namesrv.port() + 3,
            home = directory.display(),
        );
        fs::write(&conf, text)?;
        let command = command(Part::NameServer, maker(Part::NameServer), &directory, &conf)?;
        let mut namesrv_program = Program::start(command, directory.join("namesrv.log"))?;
        namesrv_program.until("its port opens", START, || Wire::connect(namesrv).is_ok())?;
        let broker_program = None;
        let mut server =
            Self { directory, namesrv, broker, setup, namesrv_program, broker_program };
        server.start_broker()?;
        Ok(server)
    }

    /// Address of the NameServer.
    #[must_use]
    pub fn namesrv(&self) -> SocketAddr {
        self.namesrv
    }

    /// Address of the broker.
    #[must_use]
    pub fn broker(&self) -> SocketAddr {
        self.broker
    }

    /// The broker's store directory.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// The NameServer's process.
    pub fn namesrv_program(&mut self) -> &mut Program {
        &mut self.namesrv_program
    }

    /// The broker's process.
    ///
    /// # Errors
    /// When it has been stopped.
    pub fn broker_program(&mut self) -> anyhow::Result<&mut Program> {
        self.broker_program.as_mut().context("the broker is stopped")
    }

    /// Starts the broker on its old port and directory, and waits until it is in the routes.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_broker(&mut self) -> anyhow::Result<()> {
        self.start_broker_of(maker(Part::Broker))
    }

    /// Starts Apache RocketMQ's broker on the port and directory of ours.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_foreign_broker(&mut self) -> anyhow::Result<()> {
        self.start_broker_of(Maker::Apache)
    }

    fn start_broker_of(&mut self, maker: Maker) -> anyhow::Result<()> {
        ensure!(self.broker_program.is_none(), "the broker runs already");
        let conf = self.directory.join("broker.conf");
        fs::write(&conf, self.broker_conf(maker))?;
        let command = command(Part::Broker, maker, &self.directory, &conf)?;
        let mut program = Program::start(command, self.directory.join("broker.log"))?;
        let (namesrv, broker) = (self.namesrv, self.broker);
        program.until("it is in the routes", START, || {
            Wire::connect(broker).is_ok() && routed(namesrv, broker).unwrap_or(false)
        })?;
        self.broker_program = Some(program);
        Ok(())
    }

    /// Kills the broker: no flush, no goodbye.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_broker(&mut self) -> anyhow::Result<()> {
        self.broker_program.take().context("the broker is stopped")?.kill()
    }

    /// Stops the broker properly.
    ///
    /// # Errors
    /// When it does not run, or ends badly.
    pub fn stop_broker(&mut self) -> anyhow::Result<()> {
        self.broker_program.take().context("the broker is stopped")?.terminate(END)
    }

    /// Writes another broker configuration, for its next start.
    pub fn reconfigure(&mut self, setup: Setup) {
        self.setup = setup;
    }

    fn broker_conf(&self, maker: Maker) -> String {
        format!(
            "brokerClusterName={cluster}\nbrokerName={name}\nbrokerId=0\nnamesrvAddr={namesrv}\n\
             brokerIP1={ip}\nbrokerIP2={ip}\nlistenPort={port}\nhaListenPort={ha}\n\
             metricsPromExporterPort={metrics}\nstorePathRootDir={store}\n\
             storePathCommitLog={store}/commitlog\nenablePropertyFilter=true\n{java}{more}",
            cluster = Self::CLUSTER,
            name = Self::BROKER,
            namesrv = self.namesrv,
            ip = self.broker.ip(),
            port = self.broker.port(),
            ha = self.broker.port() + 1,
            metrics = self.broker.port() + 3,
            store = self.store().display(),
            // A busy machine is no reason to refuse: cold Java code is slow.
            java = match maker {
                Maker::Apache => "waitTimeMillsInSendQueue=5000\n",
                Maker::Gantry => "",
            },
            more = self.setup.properties,
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.broker_program = None;
        // Its log is open, which does not matter; the guardian tries again.
        fs::remove_dir_all(&self.directory).unwrap_or_default();
    }
}

/// Whose program a part is.
#[derive(Clone, Copy)]
enum Maker {
    Gantry,
    Apache,
}

#[derive(Clone, Copy)]
enum Part {
    NameServer,
    Broker,
}

fn command(part: Part, maker: Maker, home: &Path, conf: &Path) -> anyhow::Result<Command> {
    let mut command = match maker {
        Maker::Apache => java(part, home)?,
        Maker::Gantry => gantry(part)?,
    };
    command.arg("-c").arg(conf).current_dir(home);
    Ok(command)
}

/// Our programs: in `GANTRY_BIN_DIR`, or where cargo put them beside this test.
fn gantry(part: Part) -> anyhow::Result<Command> {
    let directory = match env::var_os("GANTRY_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => env::current_exe()?
            .ancestors()
            .nth(2)
            .context("the test program has no target directory")?
            .to_owned(),
    };
    let program = directory.join(match part {
        Part::NameServer => "gantry-namesrv",
        Part::Broker => "gantry-broker",
    });
    ensure!(program.is_file(), "{} is missing: cargo build --bins", program.display());
    Ok(Command::new(program))
}

fn java(part: Part, home: &Path) -> anyhow::Result<Command> {
    let jars = peer::build(Some("server"))?;
    let mut command = Command::new("java");
    command.args(["-Xmx1g", "-XX:MaxDirectMemorySize=512m", "-XX:TieredStopAtLevel=1"]).args([
        "--add-opens=java.base/java.nio=ALL-UNNAMED",
        "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
        "--add-opens=java.base/java.lang=ALL-UNNAMED",
        "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    ]);
    quiet(&mut command, home);
    command.env("ROCKETMQ_HOME", home).arg("-cp").arg(jars.join("*")).arg(match part {
        Part::NameServer => "org.apache.rocketmq.namesrv.NamesrvStartup",
        Part::Broker => "org.apache.rocketmq.broker.BrokerStartup",
    });
    Ok(command)
}

/// Whether producers would find the broker: it offers the topic that new topics are made from.
fn routed(namesrv: SocketAddr, broker: SocketAddr) -> anyhow::Result<bool> {
    let request = Request::new(105, json!({"topic": "TBW102"}));
    let reply = Wire::connect(namesrv)?.ask(&request)?;
    Ok(reply.code == 0 && reply.body_text.is_some_and(|body| body.contains(&broker.to_string())))
}
