//! Apache RocketMQ from Maven Central: fetched once, started with its stock flags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The release that is compared with.
pub(crate) const VERSION: &str = "5.5.0";

const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1";
const ARTIFACTS: [&str; 3] = ["rocketmq-namesrv", "rocketmq-broker", "rocketmq-example"];

/// JDK 17 closes what the server opens by reflection.
const OPENED: [&str; 4] = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
];

/// What the stock `runbroker.sh` sets, with a heap of 4 GiB.
const BROKER: [&str; 11] = [
    "-server",
    "-Xms4g",
    "-Xmx4g",
    "-XX:+UseG1GC",
    "-XX:G1HeapRegionSize=16m",
    "-XX:G1ReservePercent=25",
    "-XX:InitiatingHeapOccupancyPercent=30",
    "-XX:SoftRefLRUPolicyMSPerMB=0",
    "-XX:-OmitStackTraceInFastThrow",
    "-XX:+AlwaysPreTouch",
    "-XX:MaxDirectMemorySize=15g",
];

const SMALL: [&str; 3] = ["-server", "-Xms256m", "-Xmx256m"];

/// The jars of one release.
#[derive(Debug)]
pub(crate) struct Jars {
    directory: PathBuf,
}

/// Which of its programs to start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    NameServer,
    Broker,
    /// A class of `org.apache.rocketmq.example.benchmark`.
    Benchmark(&'static str),
}

impl Jars {
    /// Fetches them with Maven, or finds what an earlier run has fetched.
    pub(crate) fn obtain() -> Result<Self> {
        let directory = cache().join(format!("rocketmq-{VERSION}"));
        if directory.join("complete").exists() {
            return Ok(Self { directory });
        }
        let building = tempfile::tempdir_in(directory.parent().context("a cache directory")?)?;
        fs::write(building.path().join("pom.xml"), pom())?;
        let status = Command::new("mvn")
            .args(["-q", "-B", "-f"])
            .arg(building.path().join("pom.xml"))
            .arg(format!("{MAVEN_PLUGIN}:copy-dependencies"))
            .arg(format!("-DoutputDirectory={}", building.path().join("lib").display()))
            .status()
            .context("mvn is needed to fetch Apache RocketMQ")?;
        if !status.success() {
            bail!("Maven could not fetch Apache RocketMQ {VERSION}");
        }
        fs::write(building.path().join("complete"), "")?;
        if let Err(error) = fs::rename(building.path(), &directory) {
            // Another run may have been faster.
            let there = directory.join("complete").exists();
            if !there {
                return Err(error).context("keeping the jars");
            }
        }
        Ok(Self { directory })
    }

    /// A command that runs `program`, with its files kept inside `home`.
    pub(crate) fn command(&self, program: Program, home: &Path) -> Command {
        let mut command = Command::new("java");
        match program {
            Program::Broker => command.args(BROKER),
            Program::NameServer | Program::Benchmark(_) => command.args(SMALL),
        };
        let home_text = home.display();
        command
            .args(OPENED)
            .arg(format!("-Duser.home={home_text}"))
            .arg(format!("-Drocketmq.log.root={home_text}/logs"))
            .arg(format!("-Drocketmq.client.logRoot={home_text}/logs"))
            .arg("-cp")
            .arg(format!("{}/lib/*", self.directory.display()))
            .arg(match program {
                Program::NameServer => "org.apache.rocketmq.namesrv.NamesrvStartup".to_owned(),
                Program::Broker => "org.apache.rocketmq.broker.BrokerStartup".to_owned(),
                Program::Benchmark(class) => {
                    format!("org.apache.rocketmq.example.benchmark.{class}")
                }
            })
            .env("ROCKETMQ_HOME", home)
            .current_dir(home)
            .stdin(Stdio::null());
        command
    }
}

/// Where things that are fetched are kept between runs.
fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache")
    });
    let cache = base.join("gantry");
    // A failure shows when the directory is used.
    drop(fs::create_dir_all(&cache));
    cache
}

fn pom() -> String {
    let dependencies: String = ARTIFACTS
        .iter()
        .map(|artifact| {
            format!(
                "<dependency><groupId>org.apache.rocketmq</groupId>\
                 <artifactId>{artifact}</artifactId><version>{VERSION}</version></dependency>"
            )
        })
        .collect();
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\
         <modelVersion>4.0.0</modelVersion><groupId>gantry</groupId>\
         <artifactId>peer</artifactId><version>1</version><packaging>pom</packaging>\
         <dependencies>{dependencies}</dependencies></project>"
    )
}
