//! `xtask crds`: writes the definitions of our kinds to `crds/` and, as templates that Helm upgrades
//! but never deletes, into the chart. `--check` writes nothing and fails if a file is not fresh.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use gantry_operator::crd;

/// Largest definition that a client-side `kubectl apply` can carry in its annotation.
const SIZE_MAX: usize = 256 * 1024;

/// Whether files are written or only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Write them.
    Write,
    /// Fail if one is not what it would be written as.
    Check,
}

/// Generates the definitions below `root`, the folder of the workspace.
pub fn run(root: &Path, mode: Mode) -> anyhow::Result<()> {
    for definition in crd::definitions() {
        let name = definition.metadata.name.as_deref().context("a definition without a name")?;
        let plain = serde_yaml::to_string(&definition)?;
        if plain.len() > SIZE_MAX {
            bail!("the definition of {name} has {} bytes, more than {SIZE_MAX}", plain.len());
        }
        settle(&root.join("crds").join(format!("{name}.yaml")), &plain, mode)?;
        let template = template(&plain)?;
        let folder = root.join("charts/gantry-operator/templates/crds");
        settle(&folder.join(format!("{name}.yaml")), &template, mode)?;
    }
    Ok(())
}

/// The definition as a template of the chart: on an upgrade it is replaced, at the chart's removal it
/// and with it every object of the kind stays.
fn template(plain: &str) -> anyhow::Result<String> {
    if plain.contains("{{") {
        bail!("a description contains '{{{{', which Helm would interpret");
    }
    let (head, tail) = plain.split_once("metadata:\n").context("a definition without metadata")?;
    Ok(format!(
        "{{{{- if .Values.crds.install }}}}\n{head}metadata:\n  annotations:\n    \
         helm.sh/resource-policy: keep\n  labels:\n    \
         {{{{- include \"gantry-operator.labels\" . | nindent 4 }}}}\n{tail}{{{{- end }}}}\n"
    ))
}

fn settle(path: &Path, content: &str, mode: Mode) -> anyhow::Result<()> {
    let current = fs::read_to_string(path).unwrap_or_default();
    if current == content {
        return Ok(());
    }
    if mode == Mode::Check {
        bail!("{} is not fresh: run `cargo xtask crds`", path.display());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}
