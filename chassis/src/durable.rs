//! Small files that are replaced as a whole: after a crash a reader finds the old text or the new one,
//! never a part.
//!
//! The order is that of careful Java code: the new text goes to `<file>.tmp` and is synced, the old file
//! is kept as `<file>.bak`, the new one takes the name, and the directory is synced.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    name.into()
}

/// Replaces the file's text; makes the directory where it is missing.
///
/// # Errors
/// Any failure of the file system. The file itself then holds the old text still.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent)?;
    let fresh = with_suffix(path, ".tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    let backup = with_suffix(path, ".bak");
    // A hard link and not a rename: at no moment is the file without its name.
    let linked = with_suffix(path, ".old");
    match fs::remove_file(&linked) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    match fs::hard_link(path, &linked) {
        Ok(()) => fs::rename(&linked, &backup)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    fs::rename(&fresh, path)?;
    File::open(parent)?.sync_all()
}

/// Reads the file, or its backup when `usable` refuses it or it is missing, as Java does. `None`
/// when there is neither a usable file nor a usable backup.
///
/// # Errors
/// Failures to read other than a missing file, and a file and backup that exist but are both unusable.
pub fn read<T, E: std::fmt::Display>(
    path: &Path,
    usable: impl Fn(&[u8]) -> Result<T, E>,
) -> io::Result<Option<T>> {
    let mut refused = None;
    for candidate in [path.to_owned(), with_suffix(path, ".bak")] {
        let text = match fs::read(&candidate) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => {
                return Err(io::Error::new(e.kind(), format!("{}: {e}", candidate.display())));
            }
        };
        match usable(&text) {
            Ok(value) => return Ok(Some(value)),
            Err(e) => {
                tracing::error!(file = %candidate.display(), error = %e, "unusable file");
                let what = format!("{}: {e}", candidate.display());
                refused.get_or_insert(what);
            }
        }
    }
    refused.map_or(Ok(None), |what| Err(io::Error::new(io::ErrorKind::InvalidData, what)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &[u8]) -> Result<u32, String> {
        std::str::from_utf8(text)
            .map_err(|e| e.to_string())?
            .parse()
            .map_err(|_| "no number".into())
    }

    #[test]
    fn the_old_text_is_kept_beside_the_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/numbers.json");
        assert_eq!(read(&path, number).unwrap(), None);
        for n in ["1", "2", "3"] {
            replace(&path, n.as_bytes()).unwrap();
        }
        assert_eq!(read(&path, number).unwrap(), Some(3));
        assert_eq!(fs::read(with_suffix(&path, ".bak")).unwrap(), b"2");
        assert_eq!(fs::read_dir(dir.path().join("config")).unwrap().count(), 2);
    }

    #[test]
    fn a_damaged_file_is_answered_with_its_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers.json");
        replace(&path, b"1").unwrap();
        replace(&path, b"2").unwrap();
        fs::write(&path, b"{torn").unwrap();
        assert_eq!(read(&path, number).unwrap(), Some(1));
        fs::write(with_suffix(&path, ".bak"), b"torn too").unwrap();
        let error = read(&path, number).unwrap_err().to_string();
        assert!(error.contains("numbers.json: no number"), "{error}");
    }
}
