//! `make bench`: Gantry beside Apache RocketMQ on this machine, one table.
//!
//! Both servers get the same load from the same generator in the same run. While one is
//! measured, the other stands still (SIGSTOP). The order changes with every repetition. Nothing here
//! knows the product's code: the servers are processes, the generator has its own encoder, and
//! every answer and every message read is checked.

mod load;
mod measure;
mod official;
mod peer;
mod report;
mod usage;
mod workload;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;

use measure::{Figures, measure, warm_up};
use peer::java::{Jars, VERSION};
use peer::{Flush, Kind, Programs, Server};
use report::{Outcome, Report};
use workload::{ALL, Action, Plan, Workload};

/// Compares Gantry with Apache RocketMQ.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these workloads (default: all).
    workloads: Vec<String>,
    /// A short run: one repetition of two seconds.
    #[arg(long)]
    quick: bool,
    /// Repetitions instead of the plan's.
    #[arg(long)]
    repetitions: Option<u32>,
    /// Only this server: gantry or java.
    #[arg(long)]
    only: Option<String>,
    /// Directory of gantry-broker and gantry-namesrv.
    #[arg(long, env = "GANTRY_BIN_DIR", default_value = "target/release")]
    bin_dir: PathBuf,
    /// Where the servers' data goes: a real disk with 30 GiB free.
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,
    /// Where the figures go.
    #[arg(long, default_value = "target/bench/report.json")]
    json: PathBuf,
    /// Shows the workloads.
    #[arg(long)]
    list: bool,
}

/// The Java server that stays up, because it needs its warm-up once.
#[derive(Default)]
struct Standing {
    java: Option<(Flush, Server)>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        let names: Vec<String> =
            ALL.iter().map(|w| format!("{:<16} {}\n", w.name, w.title)).collect();
        return say(&names.concat());
    }
    let plan = plan(&arguments);
    let chosen = chosen(&arguments.workloads)?;
    let kinds = kinds(arguments.only.as_deref())?;
    std::fs::create_dir_all(&arguments.data)?;
    let programs = Programs {
        jars: Jars::obtain()?,
        gantry: std::path::absolute(&arguments.bin_dir)?,
        data: std::path::absolute(&arguments.data)?,
    };
    let machine = usage::machine();
    let mut standing = Standing::default();
    let mut outcomes = Vec::new();
    for workload in chosen {
        say(&format!("{}\n", workload.title))?;
        outcomes.push(compare(workload, &plan, &kinds, &programs, &mut standing)?);
    }
    if let Some((_, java)) = standing.java {
        java.stop()?;
    }
    let repetitions = plan.repetitions;
    let report = Report { machine, java_version: VERSION, repetitions, outcomes };
    say(&report.table())?;
    write_json(&arguments.json, &report)
}

fn plan(arguments: &Arguments) -> Plan {
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    Plan { repetitions: arguments.repetitions.unwrap_or(plan.repetitions), ..plan }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Workload>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let find = |name: &String| {
        let found = ALL.iter().find(|workload| workload.name == name);
        found.with_context(|| format!("no workload {name}; --list shows them"))
    };
    names.iter().map(find).collect()
}

fn kinds(only: Option<&str>) -> Result<Vec<Kind>> {
    match only {
        None => Ok(vec![Kind::Java, Kind::Gantry]),
        Some("gantry") => Ok(vec![Kind::Gantry]),
        Some("java") => Ok(vec![Kind::Java]),
        Some(other) => bail!("--only {other}: gantry or java"),
    }
}

/// All repetitions of one workload. A run that fails is part of the outcome; only what keeps
/// everything else from running is an error.
fn compare(
    workload: &'static Workload,
    plan: &Plan,
    kinds: &[Kind],
    programs: &Programs,
    standing: &mut Standing,
) -> Result<Outcome> {
    let mut outcome = Outcome::new(workload);
    let fresh = matches!(workload.action, Action::Start);
    let mut gantry = None;
    for repetition in 0..plan.repetitions {
        let mut order = kinds.to_vec();
        if repetition % 2 == 1 {
            order.reverse();
        }
        for kind in order {
            let name = format!("B_{}_{repetition}", workload.name.replace('-', "_"));
            let run = if fresh {
                run_fresh(workload, plan, kind, programs)
            } else {
                match kind {
                    Kind::Gantry => run_gantry(workload, plan, programs, &mut gantry, &name),
                    Kind::Java => run_java(workload, plan, programs, standing, &name),
                }
            };
            let side = outcome.side(kind);
            match run {
                Ok(figures) => {
                    say(&format!("  {:<7} {}\n", kind.name(), summary(&figures)))?;
                    side.runs.push(figures);
                }
                Err(error) => {
                    say(&format!("  {:<7} failed: {error:#}\n", kind.name()))?;
                    side.failures.push(format!("{error:#}"));
                }
            }
        }
    }
    if let Some(server) = gantry {
        server.stop()?;
    }
    outcome.judge(workload.goals);
    Ok(outcome)
}

fn run_fresh(workload: &Workload, plan: &Plan, kind: Kind, programs: &Programs) -> Result<Figures> {
    let server = Server::start(programs, kind, workload.flush)?;
    let figures = measure(&server, programs, workload.action, plan, "Fresh")?;
    server.stop()?;
    Ok(figures)
}

/// Gantry starts anew for each workload, which keeps its data small.
fn run_gantry(
    workload: &Workload,
    plan: &Plan,
    programs: &Programs,
    running: &mut Option<Server>,
    name: &str,
) -> Result<Figures> {
    let server = match running.take() {
        Some(server) => server,
        None => {
            let server = Server::start(programs, Kind::Gantry, workload.flush)?;
            warm_up(&server, plan.warm_up, "0")?;
            server
        }
    };
    server.resume()?;
    let figures = measure(&server, programs, workload.action, plan, name)?;
    server.pause()?;
    *running = Some(server);
    Ok(figures)
}

fn run_java(
    workload: &Workload,
    plan: &Plan,
    programs: &Programs,
    standing: &mut Standing,
    name: &str,
) -> Result<Figures> {
    let server = match standing.java.take() {
        Some((flush, server)) if flush == workload.flush => server,
        other => {
            if let Some((_, server)) = other {
                server.stop()?;
            }
            let server = Server::start(programs, Kind::Java, workload.flush)?;
            warm_up(&server, plan.java_warm_up, "0")?;
            server
        }
    };
    server.resume()?;
    let figures = measure(&server, programs, workload.action, plan, name)?;
    server.pause()?;
    standing.java = Some((workload.flush, server));
    Ok(figures)
}

fn summary(figures: &Figures) -> String {
    let show = |name: &str, value: Option<f64>| {
        value.map_or_else(String::new, |value| format!("{name} {value:.1}  "))
    };
    [
        show("msg/s", figures.rate),
        show("msg/cpu-s", figures.per_cpu_second),
        show("p50 us", figures.p50_us),
        show("p99", figures.p99_us),
        show("p99.9", figures.p999_us),
        show("anon MiB", figures.anonymous_mib),
        show("idle MiB", figures.idle_mib),
        show("idle cpu %", figures.idle_cpu_percent),
        show("first ack ms", figures.first_ack_ms),
    ]
    .concat()
}

fn write_json(path: &Path, report: &Report) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, serde_json::to_vec_pretty(report)?)?;
    say(&format!("\n{}\n", path.display()))
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
