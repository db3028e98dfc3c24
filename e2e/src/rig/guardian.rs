//! Cleans up behind a test process, however it ends: fixtures that tests share live in statics, which Rust never drops,
//! and a test may be killed. The guardian is a shell that reads what there is to end, and ends it when its standard
//! input closes, which the kernel does for a dead parent. It kills by process id, and only what was named to it.

use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::LazyLock,
};

use parking_lot::Mutex;

const SCRIPT: &str = r#"
pids='' dirs=''
while read -r verb what; do
  case $verb in
    kill) pids="$pids $what" ;;
    forget) pids=$(printf ' %s' $pids | sed "s/ $what\b//g") ;;
    remove) dirs="$dirs $what" ;;
  esac
done
[ -z "$pids" ] || kill -9 $pids
for dir in $dirs; do
  for try in 1 2 3 4 5; do rm -rf "$dir" && break; sleep 0.2; done
done
"#;

static GUARDIAN: LazyLock<Mutex<Child>> = LazyLock::new(|| {
    let child = Command::new("setsid")
        .args(["sh", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    #[expect(clippy::expect_used, reason = "tests can't run without a shell")]
    Mutex::new(child.expect("sh and setsid are there"))
});

fn tell(line: &str) {
    let mut guardian = GUARDIAN.lock();
    let Some(stdin) = guardian.stdin.as_mut() else { return };
    // A guardian that was killed can't be helped.
    writeln!(stdin, "{line}").unwrap_or_default();
}

/// Kills this process of ours once the test process is gone.
pub(super) fn kill_at_end(pid: u32) {
    tell(&format!("kill {pid}"));
}

/// The process has been waited for: its id may soon be another's.
pub(super) fn forget(pid: u32) {
    tell(&format!("forget {pid}"));
}

/// Removes a directory once the test process is gone.
pub(super) fn remove_at_end(directory: &Path) {
    tell(&format!("remove {}", directory.display()));
}
