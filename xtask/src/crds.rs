//! The definitions of the operator's kinds: plain in `crds/`, and as templates of the chart, which Helm
//! replaces at an upgrade but never deletes.

use anyhow::{Context, bail};
use gantry_operator::crd;

/// Largest definition that a client-side `kubectl apply` can carry in its annotation.
const SIZE_MAX: usize = 256 * 1024;

const HEADER: &str = "# Made by `cargo xtask generate` from operator/src/crd; do not edit.\n";

/// Path and contents of every file.
pub(crate) fn files() -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for definition in crd::definitions() {
        let name = definition.metadata.name.as_deref().context("a definition without a name")?;
        let plain = serde_yaml::to_string(&definition)?;
        if plain.len() > SIZE_MAX {
            bail!("the definition of {name} has {} bytes, more than {SIZE_MAX}", plain.len());
        }
        let folder = "charts/gantry-operator/templates/crds";
        files.push((format!("{folder}/{name}.yaml"), template(&plain)?));
        files.push((format!("crds/{name}.yaml"), format!("{HEADER}{plain}")));
    }
    Ok(files)
}

fn template(plain: &str) -> anyhow::Result<String> {
    if plain.contains("{{") {
        bail!("a description contains '{{{{', which Helm would interpret");
    }
    let (head, tail) = plain.split_once("metadata:\n").context("a definition without metadata")?;
    Ok(format!(
        "{HEADER}{{{{- if .Values.crds.install }}}}\n{head}metadata:\n  annotations:\n    \
         helm.sh/resource-policy: keep\n  labels:\n    \
         {{{{- include \"gantry-operator.labels\" . | nindent 4 }}}}\n{tail}{{{{- end }}}}\n"
    ))
}
