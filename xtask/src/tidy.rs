//! The rules of DESIGN and CONTRIBUTING that a compiler does not know: which crate may use which,
//! which modules stay pure, how a file begins, how long it may get, which names say nothing.
//!
//! Reads the work tree only; knows nothing of git.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which crates of ours each crate may use. A crate that is not listed may use all of them.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("chassis", &[]),
    ("remoting", &["model"]),
    ("store", &["model"]),
    ("client", &["remoting", "model"]),
    ("broker", &["store", "remoting", "client", "model", "chassis"]),
    ("namesrv", &["remoting", "model", "chassis"]),
    ("operator", &["client", "remoting", "model", "chassis"]),
    ("e2e", &["client", "remoting", "model"]),
];

/// Folders and files that decide and never do: no runtime, socket, file or clock.
const PURE: &[&str] = &[
    "model/src",
    "remoting/src/wire",
    "namesrv/src/routes.rs",
    "namesrv/src/routes",
    "operator/src/condition.rs",
    "operator/src/crd",
    "operator/src/cluster/build",
    "operator/src/cluster/health.rs",
    "operator/src/cluster/status.rs",
    "operator/src/cluster/step.rs",
    "operator/src/cluster/validate.rs",
    "operator/src/topic/plan.rs",
    "operator/src/topic/status.rs",
    "operator/src/group/plan.rs",
    "operator/src/group/status.rs",
    "operator/src/lag/count.rs",
];

/// What a pure module must not name.
const IMPURE: &[&str] =
    &["tokio::", "std::net::Tcp", "std::fs", "SystemTime::now", "Instant::now", "async fn"];

/// Ends of type names that tell a role and not a thing.
const EMPTY_NAMES: &[&str] = &["Manager", "Impl", "Inner", "Helper", "Util", "Utils", "Processor"];

/// Lines of a source file, tests included, above which it is no longer one room.
const FILE_LINES_MAX: usize = 600;

pub(crate) fn check(root: &Path, findings: &mut Vec<String>) -> anyhow::Result<()> {
    for (name, allowed) in EDGES {
        edges(root, name, allowed, findings)?;
    }
    let mut sources = Vec::new();
    collect(root, &mut sources)?;
    for path in sources {
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        source(&name, &fs::read_to_string(&path)?, findings);
    }
    Ok(())
}

fn edges(
    root: &Path,
    name: &str,
    allowed: &[&str],
    findings: &mut Vec<String>,
) -> anyhow::Result<()> {
    let manifest = fs::read_to_string(root.join(name).join("Cargo.toml"))?;
    let shipped = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for line in shipped.lines() {
        let Some(used) = line.strip_prefix("gantry-").and_then(|rest| rest.split('.').next())
        else {
            continue;
        };
        if !allowed.contains(&used) {
            findings.push(format!("{name}/Cargo.toml: {name} may not use {used}"));
        }
    }
    Ok(())
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                collect(&path, sources)?;
            }
        } else if name.ends_with(".rs") {
            sources.push(path);
        }
    }
    Ok(())
}

fn source(name: &str, text: &str, findings: &mut Vec<String>) {
    if !text.starts_with("//!") && !text.starts_with("#![") {
        findings.push(format!("{name}: has no //! that says what the file owns"));
    }
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        findings.push(format!("{name}: {lines} lines, more than {FILE_LINES_MAX}; split it"));
    }
    let pure = PURE.iter().any(|p| name == *p || name.starts_with(&format!("{p}/")));
    let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
    for (number, line) in shipped.lines().enumerate() {
        let at = number + 1;
        if line.ends_with(' ') || line.ends_with('\t') {
            findings.push(format!("{name}:{at}: space at the end of the line"));
        }
        if pure && !line.trim_start().starts_with("//") {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{name}:{at}: `{word}` in a pure module"));
            }
        }
        if let Some(defined) = defined_type(line)
            && let Some(end) = EMPTY_NAMES.iter().find(|end| defined.ends_with(**end))
        {
            findings.push(format!("{name}:{at}: `{defined}` ends in {end}; name the thing"));
        }
    }
}

/// The name of the type that a line defines.
fn defined_type(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|w| w.starts_with("pub"));
    match words.next()? {
        "struct" | "enum" | "trait" => {
            words.next()?.split(|c: char| !c.is_alphanumeric() && c != '_').next()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        source(name, text, &mut findings);
        findings
    }

    #[test]
    fn a_file_that_keeps_the_rules_has_no_finding() {
        assert_eq!(findings("model/src/a.rs", "//! Owns a.\npub struct Topic;\n"), [""; 0]);
    }

    #[test]
    fn each_broken_rule_is_named_with_its_line() {
        let text = "use tokio::net;\npub(crate) struct TopicManager<T>(T);\n";
        assert_eq!(
            findings("model/src/a.rs", text),
            [
                "model/src/a.rs: has no //! that says what the file owns",
                "model/src/a.rs:1: `tokio::` in a pure module",
                "model/src/a.rs:2: `TopicManager` ends in Manager; name the thing",
            ]
        );
    }

    #[test]
    fn tests_may_do_what_pure_code_may_not() {
        let text = "//! Pure.\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(findings("remoting/src/wire/a.rs", text), [""; 0]);
    }
}
