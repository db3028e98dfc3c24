//! What a process has used, as the kernel counts it in `/proc`.

use std::fs;

use anyhow::{Context, Result};

/// Processor time and memory of one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time of all its threads, living and ended.
    pub(crate) cpu_seconds: f64,
    /// Resident memory, page cache that it maps included.
    pub(crate) resident_mib: f64,
    /// Resident memory besides page cache (`RssAnon`).
    pub(crate) anonymous_mib: f64,
}

impl Usage {
    /// Reads it now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = read(pid, "stat")?;
        // The second field is the command in parentheses and may hold spaces.
        let (_, rest) = stat.rsplit_once(')').context("an odd /proc stat")?;
        let mut fields = rest.split_ascii_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok());
        let (user, system) = (ticks().context("utime")?, ticks().context("stime")?);
        let per_second = rustix::param::clock_ticks_per_second();
        let status = read(pid, "status")?;
        Ok(Self {
            cpu_seconds: (user + system) as f64 / per_second as f64,
            resident_mib: mebibytes(&status, "VmRSS:")?,
            anonymous_mib: mebibytes(&status, "RssAnon:")?,
        })
    }
}

/// The processor model and count, the memory and the kernel of this machine.
pub(crate) fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let model = processors.lines().find(|line| line.starts_with("model name")).and_then(field);
    let count = processors.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = mebibytes(&memory, "MemTotal:").unwrap_or_default() / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let model = model.unwrap_or_else(|| "unknown processor".to_owned());
    let kernel = kernel.trim();
    format!("{count} x {model}, {memory:.0} GiB, Linux {kernel}, load average before: {load}")
}

fn read(pid: u32, file: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{file}"))
        .with_context(|| format!("process {pid} is gone"))
}

fn mebibytes(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find(|line| line.starts_with(name)).context("a missing field")?;
    let number = line.split_ascii_whitespace().nth(1).context("a field without value")?;
    Ok(number.parse::<f64>()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident_mib >= usage.anonymous_mib && usage.anonymous_mib > 0.0);
    }
}
