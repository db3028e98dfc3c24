//! One run of one workload on one server: load, and what it cost the server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::frame::Form;
use crate::load::link::{create_topic, messages_in};
use crate::load::pull;
use crate::load::send::{self, Pace, SendLoad, Sent};
use crate::official;
use crate::peer::{Programs, Server, pause};
use crate::usage::Usage;
use crate::workload::{Action, Metric, Plan};

/// Queues of every topic.
const QUEUES: u32 = 8;
/// How long a server may take to make what it has acknowledged readable.
const SETTLE: Duration = Duration::from_secs(30);
/// How long a server is left alone before it counts as idle.
const REST: Duration = Duration::from_secs(5);

/// What one run came to. A figure that a workload does not have is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) messages: u64,
    pub(crate) refused: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) per_cpu_second: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) first_ack_ms: Option<f64>,
    pub(crate) idle_mib: Option<f64>,
    pub(crate) idle_cpu_percent: Option<f64>,
    pub(crate) resident_mib: Option<f64>,
    pub(crate) anonymous_mib: Option<f64>,
}

impl Figures {
    /// The figure that a floor is about.
    pub(crate) fn of(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Rate => self.rate,
            Metric::PerCpuSecond => self.per_cpu_second,
            Metric::P50 => self.p50_us,
            Metric::P99 => self.p99_us,
            Metric::P999 => self.p999_us,
            Metric::FirstAck => self.first_ack_ms,
            Metric::IdleMemory => self.idle_mib,
            Metric::Anonymous => self.anonymous_mib,
        }
    }
}

/// Loads a fresh server so long that a JIT compiler has done its work.
pub(crate) fn warm_up(server: &Server, duration: Duration, name: &str) -> Result<()> {
    let topic = format!("Warm_{name}");
    create_topic(server.broker, &topic, QUEUES)?;
    let mut load = send_load(&topic, Form::Json, 1024);
    load.pace = Pace::Closed { depth: 64 };
    send::run(server.broker, &load, duration)?;
    settled(server)
}

/// Runs `action` on `server` against topics whose names begin with `name`.
pub(crate) fn measure(
    server: &Server,
    programs: &Programs,
    action: Action,
    plan: &Plan,
    name: &str,
) -> Result<Figures> {
    match action {
        Action::Send { form, size, batch, connections, depth } => {
            let pace = Pace::Closed { depth };
            let load = SendLoad { batch, connections, pace, ..send_load(name, form, size) };
            sends(server, &load, plan)
        }
        Action::Rate { rate } => {
            let pace = Pace::Open { rate };
            sends(server, &SendLoad { pace, ..send_load(name, Form::Json, 1024) }, plan)
        }
        Action::Backlog { mebibytes } => {
            backlog(server, mebibytes * 1024 / plan.backlog_divisor, name)
        }
        Action::Tail { rate } => tail(server, rate, plan, name),
        Action::Official { consumer } => {
            official::run(server, &programs.jars, consumer, plan, name)
        }
        Action::Start => at_rest(server),
    }
}

fn send_load(topic: &str, form: Form, size: usize) -> SendLoad {
    let pace = Pace::Closed { depth: 64 };
    SendLoad { topic: topic.to_owned(), queues: QUEUES, form, size, batch: 1, connections: 4, pace }
}

fn sends(server: &Server, load: &SendLoad, plan: &Plan) -> Result<Figures> {
    create_topic(server.broker, &load.topic, QUEUES)?;
    let warm = send::run(server.broker, load, plan.warm_up)?;
    settled(server)?;
    let before = server.usage()?;
    let sent = send::run(server.broker, load, plan.duration)?;
    let loaded = server.usage()?;
    // What was acknowledged must be there: the server's own work for it counts, and a server
    // that loses some has no figure.
    readable(server, &load.topic, warm.messages + sent.messages)?;
    let after = server.usage()?;
    if sent.messages == 0 {
        bail!("nothing was acknowledged: {}", sent.refusal.unwrap_or_default());
    }
    Ok(Figures { anonymous_mib: Some(loaded.anonymous_mib), ..of_sent(&sent, before, after) })
}

fn of_sent(sent: &Sent, before: Usage, after: Usage) -> Figures {
    let mut figures = Figures {
        messages: sent.messages,
        refused: sent.refused,
        rate: Some(sent.messages as f64 / sent.seconds),
        per_cpu_second: per_cpu_second(sent.messages, before, after),
        resident_mib: Some(after.resident_mib),
        ..Figures::default()
    };
    latencies(&mut figures, &sent.latency);
    figures
}

fn backlog(server: &Server, wanted: u64, name: &str) -> Result<Figures> {
    create_topic(server.broker, name, QUEUES)?;
    let stored = send::fill(server.broker, &send_load(name, Form::Json, 1024), wanted)?;
    readable(server, name, stored)?;
    settled(server)?;
    let before = server.usage()?;
    let pulled = pull::backlog(server.broker, name, QUEUES, stored, 4)?;
    let after = server.usage()?;
    Ok(Figures {
        messages: pulled.messages,
        rate: Some(pulled.messages as f64 / pulled.seconds),
        per_cpu_second: per_cpu_second(pulled.messages, before, after),
        resident_mib: Some(after.resident_mib),
        anonymous_mib: Some(after.anonymous_mib),
        ..Figures::default()
    })
}

fn tail(server: &Server, rate: f64, plan: &Plan, name: &str) -> Result<Figures> {
    let warm = format!("{name}_w");
    create_topic(server.broker, &warm, QUEUES)?;
    pull::tail(server.broker, &warm, QUEUES, rate, plan.warm_up)?;
    create_topic(server.broker, name, QUEUES)?;
    settled(server)?;
    let before = server.usage()?;
    let pulled = pull::tail(server.broker, name, QUEUES, rate, plan.duration)?;
    let after = server.usage()?;
    let mut figures = Figures {
        messages: pulled.messages,
        rate: Some(pulled.messages as f64 / pulled.seconds),
        per_cpu_second: per_cpu_second(pulled.messages, before, after),
        ..Figures::default()
    };
    latencies(&mut figures, &pulled.latency);
    Ok(figures)
}

fn at_rest(server: &Server) -> Result<Figures> {
    pause(REST);
    let before = server.usage()?;
    pause(REST);
    let after = server.usage()?;
    let busy = (after.cpu_seconds - before.cpu_seconds) / REST.as_secs_f64();
    Ok(Figures {
        messages: 1,
        first_ack_ms: Some(server.first_ack.as_secs_f64() * 1000.0),
        idle_mib: Some(after.resident_mib),
        idle_cpu_percent: Some(busy * 100.0),
        anonymous_mib: Some(after.anonymous_mib),
        ..Figures::default()
    })
}

/// Waits until the queues of `topic` end where the acknowledged messages do.
pub(crate) fn readable(server: &Server, topic: &str, acknowledged: u64) -> Result<()> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let there = messages_in(server.broker, topic, QUEUES)?;
        if there == acknowledged {
            return Ok(());
        }
        if there > acknowledged {
            bail!("{topic} has {there} messages, {acknowledged} were acknowledged");
        }
        if Instant::now() > deadline {
            bail!("{topic} has {there} of {acknowledged} acknowledged messages");
        }
        pause(Duration::from_millis(20));
    }
}

/// Lets the disk take what was written, and the server finish what it still does for it.
fn settled(server: &Server) -> Result<()> {
    rustix::fs::sync();
    server.usage().context("the broker has ended")?;
    pause(Duration::from_millis(200));
    Ok(())
}

/// Absent when too little processor time was used to be told from the clock's tick.
pub(crate) fn per_cpu_second(messages: u64, before: Usage, after: Usage) -> Option<f64> {
    let used = after.cpu_seconds - before.cpu_seconds;
    (used >= 0.02).then(|| messages as f64 / used)
}

fn latencies(figures: &mut Figures, latency: &Histogram<u64>) {
    let at = |quantile| Some(latency.value_at_quantile(quantile) as f64 / 1000.0);
    (figures.p50_us, figures.p99_us, figures.p999_us) = (at(0.5), at(0.99), at(0.999));
}
