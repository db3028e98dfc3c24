//! The table of a run and its JSON form: medians, ratios, floors.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measure::Figures;
use crate::peer::Kind;
use crate::workload::{Goal, Metric, Workload};

/// All runs of one workload.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) workload: &'static str,
    pub(crate) title: &'static str,
    pub(crate) gantry: Side,
    pub(crate) java: Side,
    pub(crate) floors: Vec<Floor>,
}

/// One server's runs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Side {
    pub(crate) runs: Vec<Figures>,
    pub(crate) failures: Vec<String>,
}

/// What a floor came to.
#[derive(Debug, Serialize)]
pub(crate) struct Floor {
    text: String,
    value: Option<f64>,
    /// Absent when one side has no figure.
    reached: Option<bool>,
}

impl Side {
    /// The median of the runs that have the figure.
    fn median(&self, metric: Metric) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().filter_map(|run| run.of(metric)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = values.get(middle).copied()?;
        if values.len() % 2 == 1 {
            return Some(upper);
        }
        values.get(middle - 1).map(|lower| f64::midpoint(*lower, upper))
    }
}

impl Outcome {
    /// Of `workload`, without runs yet.
    pub(crate) fn new(workload: &Workload) -> Self {
        Self {
            workload: workload.name,
            title: workload.title,
            gantry: Side::default(),
            java: Side::default(),
            floors: vec![],
        }
    }

    /// The runs of one server.
    pub(crate) fn side(&mut self, kind: Kind) -> &mut Side {
        match kind {
            Kind::Gantry => &mut self.gantry,
            Kind::Java => &mut self.java,
        }
    }

    /// Judges the runs by the workload's floors.
    pub(crate) fn judge(&mut self, goals: &[Goal]) {
        self.floors = goals.iter().map(|goal| self.floor(*goal)).collect();
    }

    fn floor(&self, goal: Goal) -> Floor {
        let pair = |metric| Some((self.gantry.median(metric)?, self.java.median(metric)?));
        let (text, value, reached) = match goal {
            Goal::Times(metric, floor) => {
                let value = pair(metric).map(|(ours, theirs)| ours / theirs);
                (format!("{} x{floor}", label(metric)), value, value.map(|v| v >= floor))
            }
            Goal::Fraction(metric, floor) => {
                let value = pair(metric).map(|(ours, theirs)| theirs / ours);
                (format!("{} 1/{floor}", label(metric)), value, value.map(|v| v >= floor))
            }
            Goal::AtMost(metric, limit) => {
                let value = self.gantry.median(metric);
                (format!("{} <= {limit}", label(metric)), value, value.map(|v| v <= limit))
            }
        };
        Floor { text, value, reached }
    }
}

/// What everything together came to.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) java_version: &'static str,
    pub(crate) repetitions: u32,
    pub(crate) outcomes: Vec<Outcome>,
}

impl Report {
    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "\nGantry beside Apache RocketMQ {}, medians of {} runs\n{}\n\n",
            self.java_version, self.repetitions, self.machine
        );
        line(&mut out, &HEAD.map(str::to_owned));
        for outcome in &self.outcomes {
            for kind in [Kind::Gantry, Kind::Java] {
                line(&mut out, &cells(outcome, kind));
            }
            line(&mut out, &ratios(outcome));
            failures(&mut out, outcome);
        }
        out.push_str("\nFloors\n");
        for outcome in &self.outcomes {
            for Floor { text, value, reached } in &outcome.floors {
                let verdict = match reached {
                    Some(true) => "reached",
                    Some(false) => "MISSED",
                    None => "no figure",
                };
                let value = number(*value);
                let title = outcome.title;
                push(&mut out, format_args!("{title:<40} {text:<24} {value:>10}  {verdict}\n"));
            }
        }
        out
    }
}

const HEAD: [&str; 10] = [
    "workload",
    "server",
    "msg/s",
    "msg/cpu-s",
    "p50 us",
    "p99 us",
    "p99.9 us",
    "anon MiB",
    "idle MiB",
    "start ms",
];

const COLUMNS: [Metric; 8] = [
    Metric::Rate,
    Metric::PerCpuSecond,
    Metric::P50,
    Metric::P99,
    Metric::P999,
    Metric::Anonymous,
    Metric::IdleMemory,
    Metric::FirstAck,
];

fn cells(outcome: &Outcome, kind: Kind) -> Vec<String> {
    let (title, side) = match kind {
        Kind::Gantry => (outcome.title, &outcome.gantry),
        Kind::Java => ("", &outcome.java),
    };
    let mut cells = vec![title.to_owned(), kind.name().to_owned()];
    cells.extend(COLUMNS.map(|metric| number(side.median(metric))));
    cells
}

fn ratios(outcome: &Outcome) -> Vec<String> {
    let mut cells = vec![String::new(), "ratio".to_owned()];
    cells.extend(COLUMNS.map(|metric| {
        let sides = (outcome.gantry.median(metric), outcome.java.median(metric));
        match sides {
            (Some(ours), Some(theirs)) if more_is_better(metric) => {
                format!("{:.1}x", ours / theirs)
            }
            (Some(ours), Some(theirs)) => format!("1/{:.1}", theirs / ours),
            _ => String::new(),
        }
    }));
    cells
}

fn failures(out: &mut String, outcome: &Outcome) {
    for kind in [Kind::Gantry, Kind::Java] {
        let side = match kind {
            Kind::Gantry => &outcome.gantry,
            Kind::Java => &outcome.java,
        };
        let refused: u64 = side.runs.iter().map(|run| run.refused).sum();
        if refused > 0 {
            push(out, format_args!("    {}: {refused} requests refused\n", kind.name()));
        }
        for failure in &side.failures {
            push(out, format_args!("    {}: {failure}\n", kind.name()));
        }
    }
}

fn more_is_better(metric: Metric) -> bool {
    matches!(metric, Metric::Rate | Metric::PerCpuSecond)
}

fn label(metric: Metric) -> &'static str {
    match metric {
        Metric::Rate => "msg/s",
        Metric::PerCpuSecond => "msg/cpu-s",
        Metric::P50 => "p50",
        Metric::P99 => "p99",
        Metric::P999 => "p99.9",
        Metric::FirstAck => "start ms",
        Metric::IdleMemory => "idle MiB",
        Metric::Anonymous => "anon MiB",
    }
}

fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.1}"),
    }
}

fn line(out: &mut String, cells: &[String]) {
    for (index, cell) in cells.iter().enumerate() {
        match index {
            0 => push(out, format_args!("{cell:<40}")),
            1 => push(out, format_args!(" {cell:<7}")),
            _ => push(out, format_args!(" {cell:>10}")),
        }
    }
    out.push('\n');
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let written = out.write_fmt(text);
    debug_assert!(written.is_ok(), "a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::ALL;

    fn side(rates: &[f64]) -> Side {
        let run = |rate: &f64| Figures { rate: Some(*rate), ..Figures::default() };
        Side { runs: rates.iter().map(run).collect(), failures: vec![] }
    }

    fn outcome(ours: &[f64], theirs: &[f64]) -> Outcome {
        Outcome { gantry: side(ours), java: side(theirs), ..Outcome::new(&ALL[0]) }
    }

    #[test]
    fn medians_are_compared() {
        let mut outcome = outcome(&[10.0, 90.0, 30.0], &[10.0]);
        outcome.judge(&[Goal::Times(Metric::Rate, 3.0), Goal::Times(Metric::Rate, 3.1)]);
        let reached: Vec<_> = outcome.floors.iter().map(|floor| floor.reached).collect();
        assert_eq!(reached, [Some(true), Some(false)]);
    }

    #[test]
    fn a_missing_figure_reaches_nothing() {
        let mut outcome = outcome(&[], &[10.0]);
        outcome.judge(&[Goal::Times(Metric::Rate, 1.0)]);
        assert_eq!(outcome.floors[0].reached, None);
    }
}
