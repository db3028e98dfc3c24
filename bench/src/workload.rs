//! What is measured, and what it has to come to.

use std::time::Duration;

use serde::Serialize;

use crate::load::frame::Form;
use crate::peer::Flush;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// How the command line names it.
    pub(crate) name: &'static str,
    /// How the table names it.
    pub(crate) title: &'static str,
    pub(crate) flush: Flush,
    pub(crate) action: Action,
    /// The floors; none for what is only shown.
    pub(crate) goals: &'static [Goal],
}

/// What the generator does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    /// Sends as fast as answers come.
    Send { form: Form, size: usize, batch: usize, connections: usize, depth: usize },
    /// Sends of 1 KiB at a fixed rate a second.
    Rate { rate: f64 },
    /// Writes a backlog of so many MiB of 1 KiB messages, then reads it.
    Backlog { mebibytes: u64 },
    /// Sends of 1 KiB at a rate while the same messages are read.
    Tail { rate: f64 },
    /// The official producer program with 64 threads, alone or with the consumer program.
    Official { consumer: Consumer },
    /// Starts a fresh broker, and looks at it at rest.
    Start,
}

/// Whether the official consumer program runs beside the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumer {
    Absent,
    Present,
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Metric {
    /// Messages a second.
    Rate,
    /// Messages for each second of the server's processor time.
    PerCpuSecond,
    /// Latency in microseconds that half of the requests stay under.
    P50,
    /// The same of 99 %.
    P99,
    /// The same of 99.9 %.
    P999,
    /// Milliseconds from start to the first acknowledged send.
    FirstAck,
    /// Resident memory at rest, MiB.
    IdleMemory,
    /// Memory besides page cache at the end of the load, MiB.
    Anonymous,
}

/// A floor.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Gantry's figure is at least so many times Java's.
    Times(Metric, f64),
    /// Java's figure is at least so many times Gantry's.
    Fraction(Metric, f64),
    /// Gantry's figure is at most this.
    AtMost(Metric, f64),
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Of each measured load.
    pub(crate) duration: Duration,
    /// Of load on a Java server before anything is measured on it.
    pub(crate) java_warm_up: Duration,
    /// Of load on either server before each measured load.
    pub(crate) warm_up: Duration,
    pub(crate) repetitions: u32,
    /// The backlog is its full size divided by this.
    pub(crate) backlog_divisor: u64,
}

impl Plan {
    /// For figures that are to be kept.
    pub(crate) const FULL: Plan = Plan {
        duration: Duration::from_secs(6),
        java_warm_up: Duration::from_secs(15),
        warm_up: Duration::from_secs(1),
        repetitions: 3,
        backlog_divisor: 1,
    };
    /// For a look.
    pub(crate) const QUICK: Plan = Plan {
        duration: Duration::from_secs(2),
        java_warm_up: Duration::from_secs(8),
        warm_up: Duration::from_millis(500),
        repetitions: 1,
        backlog_divisor: 4,
    };
}

const fn send(form: Form, size: usize, batch: usize, connections: usize, depth: usize) -> Action {
    Action::Send { form, size, batch, connections, depth }
}

/// All of them, in the order of the table.
pub(crate) const ALL: &[Workload] = &[
    Workload {
        name: "send-1k",
        title: "1 KiB, JSON, 4 x 64 in flight",
        flush: Flush::Async,
        action: send(Form::Json, 1024, 1, 4, 64),
        goals: &[Goal::Times(Metric::PerCpuSecond, 12.0), Goal::AtMost(Metric::Anonymous, 200.0)],
    },
    Workload {
        name: "send-1k-binary",
        title: "1 KiB, binary, 4 x 64 in flight",
        flush: Flush::Async,
        action: send(Form::Binary, 1024, 1, 4, 64),
        goals: &[Goal::Times(Metric::PerCpuSecond, 12.0)],
    },
    Workload {
        name: "send-128",
        title: "128 B, JSON, 4 x 64 in flight",
        flush: Flush::Async,
        action: send(Form::Json, 128, 1, 4, 64),
        goals: &[Goal::Times(Metric::PerCpuSecond, 12.0)],
    },
    Workload {
        name: "send-128-binary",
        title: "128 B, binary, 4 x 64 in flight",
        flush: Flush::Async,
        action: send(Form::Binary, 128, 1, 4, 64),
        goals: &[Goal::Times(Metric::PerCpuSecond, 15.0)],
    },
    Workload {
        name: "one",
        title: "1 KiB, one in flight",
        flush: Flush::Async,
        action: send(Form::Json, 1024, 1, 1, 1),
        goals: &[Goal::Times(Metric::Rate, 3.5)],
    },
    Workload {
        name: "batch",
        title: "batches of 32 x 128 B, 4 x 8 in flight",
        flush: Flush::Async,
        action: send(Form::Json, 128, 32, 4, 8),
        goals: &[Goal::Times(Metric::PerCpuSecond, 6.0)],
    },
    Workload {
        name: "rate",
        title: "1 KiB at 20,000/s",
        flush: Flush::Async,
        action: Action::Rate { rate: 20_000.0 },
        goals: &[Goal::Fraction(Metric::P99, 20.0), Goal::Fraction(Metric::P999, 20.0)],
    },
    Workload {
        name: "backlog",
        title: "pull a backlog of 2 GiB, 4 connections",
        flush: Flush::Async,
        action: Action::Backlog { mebibytes: 2048 },
        goals: &[Goal::Times(Metric::PerCpuSecond, 4.0)],
    },
    Workload {
        name: "tail",
        title: "tail at 5,000/s, end to end",
        flush: Flush::Async,
        action: Action::Tail { rate: 5_000.0 },
        goals: &[Goal::Fraction(Metric::P50, 10.0), Goal::Fraction(Metric::P99, 10.0)],
    },
    Workload {
        name: "official-send",
        title: "official Producer, 64 threads, 1 KiB",
        flush: Flush::Async,
        action: Action::Official { consumer: Consumer::Absent },
        goals: &[],
    },
    Workload {
        name: "official-both",
        title: "official Producer and Consumer",
        flush: Flush::Async,
        action: Action::Official { consumer: Consumer::Present },
        goals: &[],
    },
    Workload {
        name: "start",
        title: "start, and at rest",
        flush: Flush::Async,
        action: Action::Start,
        goals: &[Goal::AtMost(Metric::FirstAck, 100.0), Goal::AtMost(Metric::IdleMemory, 20.0)],
    },
    Workload {
        name: "sync-1",
        title: "SYNC_FLUSH, 1 KiB, one in flight",
        flush: Flush::Sync,
        action: send(Form::Json, 1024, 1, 1, 1),
        goals: &[Goal::Times(Metric::Rate, 5.0)],
    },
    Workload {
        name: "sync-32",
        title: "SYNC_FLUSH, 1 KiB, 4 x 8 in flight",
        flush: Flush::Sync,
        action: send(Form::Json, 1024, 1, 4, 8),
        goals: &[Goal::Times(Metric::Rate, 6.0)],
    },
    Workload {
        name: "sync-256",
        title: "SYNC_FLUSH, 1 KiB, 4 x 64 in flight",
        flush: Flush::Sync,
        action: send(Form::Json, 1024, 1, 4, 64),
        goals: &[Goal::Times(Metric::Rate, 12.0)],
    },
];
