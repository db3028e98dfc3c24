//! Metrics that every process has: which build runs, and what it takes of the machine.

use std::{fs, path::Path};

use prometheus::{
    IntGauge, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Registers `gantry_build_info` (always 1, the facts are its labels) and the `process_*` metrics.
///
/// # Errors
/// When the registry has them already.
pub fn register(registry: &Registry, binary: &str, version: &str) -> prometheus::Result<()> {
    let opts = Opts::new("gantry_build_info", "The build that runs; the value is always 1.")
        .const_label("binary", binary)
        .const_label("version", version);
    let build = IntGauge::with_opts(opts)?;
    build.set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(Process::new()?))
}

/// What Linux tells about this process, read when the metrics are.
struct Process {
    cpu: prometheus::Gauge,
    resident: IntGauge,
    fds: IntGauge,
    threads: IntGauge,
}

impl Process {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            // A gauge, because it is copied from the kernel's counter; it only ever grows.
            cpu: prometheus::Gauge::new(
                "process_cpu_seconds_total",
                "Processor time that this process has used, in seconds.",
            )?,
            resident: IntGauge::new(
                "process_resident_memory_bytes",
                "Memory of this process that is in RAM, in bytes.",
            )?,
            fds: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            threads: IntGauge::new("process_threads", "Threads of this process.")?,
        })
    }
}

/// The figures of `/proc/<pid>/stat` that are shown.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// User and system time, in clock ticks.
    ticks: u64,
    threads: u64,
    /// Resident pages.
    pages: u64,
}

/// Reads `proc_pid_stat(5)`. The second field is the program's name in parentheses, which may itself
/// hold blanks and parentheses, so counting begins behind the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `rest` begins with field 3.
    let field = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(Stat {
        ticks: field(14)?.checked_add(field(15)?)?,
        threads: field(20)?,
        pages: field(24)?,
    })
}

fn as_gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.cpu.desc(), self.resident.desc(), self.fds.desc(), self.threads.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let proc = Path::new("/proc/self");
        if let Some(stat) =
            fs::read_to_string(proc.join("stat")).ok().and_then(|text| parse_stat(&text))
        {
            let hz = rustix::param::clock_ticks_per_second();
            // Whole milliseconds keep the division exact enough for a rate.
            let millis = stat.ticks.saturating_mul(1000) / hz.max(1);
            self.cpu.set(std::time::Duration::from_millis(millis).as_secs_f64());
            let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
            self.resident.set(as_gauge(stat.pages.saturating_mul(page)));
            self.threads.set(as_gauge(stat.threads));
        }
        if let Ok(fds) = fs::read_dir(proc.join("fd")) {
            self.fds.set(i64::try_from(fds.count()).unwrap_or(i64::MAX));
        }
        [self.cpu.collect(), self.resident.collect(), self.fds.collect(), self.threads.collect()]
            .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_hostile_program_name() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 8192 33 18446744073709551615";
        assert_eq!(parse_stat(text), Some(Stat { ticks: 300, threads: 9, pages: 33 }));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_process_shows_its_build_and_its_memory() {
        let registry = Registry::new();
        register(&registry, "test", "1.2.3").unwrap();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text.contains(r#"gantry_build_info{binary="test",version="1.2.3"} 1"#), "{text}");
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "))
            .and_then(|value| value.parse::<f64>().ok());
        assert!(resident.is_some_and(|bytes| bytes > 100_000.0), "{text}");
    }
}
