//! The files that are made from code: who makes which, and whether the tree's copy is fresh.
//!
//! Never edits a file that is not in `all`.

use std::{fs, path::Path};

/// What to do with a file that differs from what its generator gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Replace it.
    Write,
    /// Report it.
    Check,
}

/// Path from the repository's root, and contents, of every generated file.
fn all() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = crate::crds::files()?;
    files.push(("docs/requests.md".to_owned(), requests()));
    Ok(files)
}

/// The page that lists every request of the protocol and who serves it.
fn requests() -> String {
    format!(
        "# Requests\n\nEvery request code of the remoting protocol, and which of our processes serves it. \
         Made by `make fix` from the\nrequest table in `remoting/src/wire/request/table.rs`.\n\n{}",
        gantry_remoting::wire::request::docs()
    )
}

pub(crate) fn bring_up_to_date(
    root: &Path,
    mode: Mode,
    findings: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (name, wanted) in all()? {
        let path = root.join(&name);
        if fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
            continue;
        }
        match mode {
            Mode::Check => findings.push(format!("{name}: not fresh; run `make fix`")),
            Mode::Write => {
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder)?;
                }
                fs::write(&path, wanted)?;
            }
        }
    }
    Ok(())
}
