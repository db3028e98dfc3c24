//! Apache RocketMQ's own benchmark programs as clients of either server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::link::{create_topic, messages_in};
use crate::measure::{Figures, per_cpu_second};
use crate::peer::java::{Jars, Program};
use crate::peer::{Server, pause};
use crate::workload::{Consumer, Plan};

const QUEUES: u32 = 8;
/// How long a client JVM may take until it has sent something.
const START_LIMIT: Duration = Duration::from_secs(40);
/// A client JVM warms up before anything counts.
const WARM_UP: Duration = Duration::from_secs(6);
/// What stands before the messages a second in the consumer's reports.
const CONSUMED: &str = "Consume TPS: ";

struct Client {
    child: Child,
    log: PathBuf,
}

/// Runs the producer program, beside it perhaps the consumer program. What was sent is counted on the
/// broker; the consumer must have reported that it got something.
pub(crate) fn run(
    server: &Server,
    jars: &Jars,
    consumer: Consumer,
    plan: &Plan,
    topic: &str,
) -> Result<Figures> {
    let home = tempfile::tempdir()?;
    create_topic(server.broker, topic, QUEUES)?;
    routed(server)?;
    let reader = match consumer {
        Consumer::Absent => None,
        Consumer::Present => {
            let group = format!("G_{topic}");
            let arguments = ["-t", topic, "-g", group.as_str()];
            Some(Client::start(server, jars, "Consumer", &arguments, home.path())?)
        }
    };
    let arguments = ["-t", topic, "-s", "1024", "-w", "64"];
    let mut writer = Client::start(server, jars, "Producer", &arguments, home.path())?;
    writer.until_sending(server, topic)?;
    pause(WARM_UP);
    let reports = reader.as_ref().map_or(0, |reader| reader.reports().len());
    let (before, first) = (server.usage()?, messages_in(server.broker, topic, QUEUES)?);
    let began = Instant::now();
    pause(plan.duration);
    let (after, last) = (server.usage()?, messages_in(server.broker, topic, QUEUES)?);
    let seconds = began.elapsed().as_secs_f64();
    let messages = last - first;
    if let Some(reader) = &reader {
        reader.keeps_up(reports)?;
    }
    Ok(Figures {
        messages,
        rate: Some(messages as f64 / seconds),
        per_cpu_second: per_cpu_second(messages, before, after),
        resident_mib: Some(after.resident_mib),
        anonymous_mib: Some(after.anonymous_mib),
        ..Figures::default()
    })
}

/// A broker that was paused is not in the NameServer's table until its next registration.
fn routed(server: &Server) -> Result<()> {
    use crate::load::frame::{Form, Template};
    use crate::load::link::Link;

    let fields = [("topic", "FirstSend".to_owned())];
    let request = Template::new(Form::Json, 105, &fields, &[]);
    for _ in 0..400 {
        let (code, _) = Link::open(server.name_server)?.call(&request, Duration::from_secs(3))?;
        if code == 0 {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    bail!("the NameServer has no route to the broker")
}

impl Client {
    fn start(
        server: &Server,
        jars: &Jars,
        class: &'static str,
        arguments: &[&str],
        home: &Path,
    ) -> Result<Self> {
        let log = home.join(class);
        let output = File::create(&log)?;
        let mut command = jars.command(Program::Benchmark(class), home);
        command.args(["-n", &server.name_server.to_string(), "-ri", "1000"]);
        command.args(arguments).stdout(output.try_clone()?).stderr(output);
        Ok(Self { child: command.spawn().context("starting an official client")?, log })
    }

    /// The messages a second of each report of the consumer.
    fn reports(&self) -> Vec<f64> {
        let text = self.text();
        let rate = |line: &str| line.split_once(CONSUMED)?.1.split(' ').next()?.parse().ok();
        text.lines().filter_map(rate).collect()
    }

    /// Whether anything was consumed since so many reports had been made.
    fn keeps_up(&self, reports: usize) -> Result<()> {
        let since = self.reports();
        let consumed = since.iter().skip(reports).any(|rate| *rate > 0.0);
        if since.len() > reports && !consumed {
            bail!("the official consumer got nothing: {}", self.last_words());
        }
        Ok(())
    }

    fn until_sending(&mut self, server: &Server, topic: &str) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while messages_in(server.broker, topic, QUEUES)? == 0 {
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("the official producer did not send: {}", self.last_words());
            }
            pause(Duration::from_millis(50));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = self.text();
        let words: Vec<&str> = text.lines().filter(|line| !line.is_empty()).rev().take(4).collect();
        words.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) {
        // Already ended is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}
