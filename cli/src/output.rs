//! All that goes to standard output: tables for people, JSON for programs, single lines.

use std::io::{self, Write};

use serde::Serialize;

/// How results are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// One line of a table; its fields are the JSON form.
pub(crate) trait Row: Serialize {
    /// The columns' titles.
    const TITLES: &'static [&'static str];

    /// One text for each title.
    fn cells(&self) -> Vec<String>;
}

/// Shows rows. `none` is what people read when there are none.
pub(crate) fn rows<R: Row>(format: Format, rows: &[R], none: &str) -> anyhow::Result<()> {
    match format {
        Format::Json => value(rows),
        Format::Table if rows.is_empty() => line(none),
        Format::Table => {
            let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
            print(&table(R::TITLES, &cells))
        }
    }
}

/// Shows one value as JSON.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Shows one line.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Shows text as it is. A reader who has seen enough, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Columns as wide as their widest text, two blanks between; numbers stand to the right.
fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let columns: Vec<Column> = titles
        .iter()
        .enumerate()
        .map(|(at, title)| Column::of(title, rows.iter().filter_map(|row| row.get(at))))
        .collect();
    let mut out = String::new();
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let cells: Vec<String> =
            columns.iter().zip(row).map(|(column, cell)| column.pad(cell)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

struct Column {
    width: usize,
    is_numeric: bool,
}

impl Column {
    fn of<'a>(title: &str, cells: impl Iterator<Item = &'a String>) -> Self {
        let mut column = Self { width: title.chars().count(), is_numeric: true };
        for cell in cells {
            column.width = column.width.max(cell.chars().count());
            column.is_numeric &= cell == "-" || cell.parse::<f64>().is_ok();
        }
        column
    }

    fn pad(&self, cell: &str) -> String {
        let width = self.width;
        if self.is_numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let rows = [
            vec!["a".into(), "7".into(), "x".into()],
            vec!["longer".into(), "1234".into(), String::new()],
        ];
        let expected = "NAME       N  NOTE\na          7  x\nlonger  1234\n";
        assert_eq!(table(&["NAME", "N", "NOTE"], &rows), expected);
    }
}
