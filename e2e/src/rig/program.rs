//! A server process: started with its output in a file, ended by signal, watched for an early end.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{guardian, pause};

/// A running server process; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with its output appended to `log`.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let name = command.get_program().display().to_string();
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        guardian::kill_at_end(child.id());
        Ok(Self { child, name, log })
    }

    /// Waits until `ready` says yes, polling; fails early when the process ends.
    ///
    /// # Errors
    /// When the process ends first, or `limit` passes.
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + limit;
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} before {what}:\n{}", self.name, self.tail());
            }
            if Instant::now() > end {
                bail!("{}: not within {limit:?}: {what}\n{}", self.name, self.tail());
            }
            pause(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it as a power cut would, as far as the process is concerned.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        guardian::forget(self.child.id());
        Ok(())
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Errors
    /// When it does not end within `limit` (it is killed then), or ends with anything but success.
    pub fn terminate(&mut self, limit: Duration) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("no pid")?;
        kill_process(pid, Signal::TERM)?;
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > end {
                self.kill()?;
                bail!("{} did not end within {limit:?}:\n{}", self.name, self.tail());
            }
            pause(Duration::from_millis(10));
        };
        guardian::forget(self.child.id());
        if !ended_well(status) {
            bail!("{} ended with {status}:\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When it can't be asked.
    pub fn runs(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
        Ok(kib.trim().parse::<u64>()? * 1024)
    }

    /// Everything that it has printed.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn tail(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.runs().unwrap_or(false) {
            // The guardian tries again.
            self.kill().unwrap_or_default();
        }
    }
}

/// Java ends with 128 + 15 on SIGTERM, which is how a JVM says that it ended well.
fn ended_well(status: ExitStatus) -> bool {
    status.success() || status.code() == Some(143) || status.signal() == Some(15)
}
