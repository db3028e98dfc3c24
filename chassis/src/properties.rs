//! Text in the form of `java.util.Properties`.
//!
//! ```text
//! # a comment, as is a line that begins with !
//! key = value        "=", ":" or blanks end the key; blanks around them do not count
//! long = one \
//!        two         an odd number of backslashes at the end continues the line; leading blanks go
//! \u00e9\t\=\\       escapes, in keys and in values; a backslash before another character is dropped
//! ```
//! Any text parses: what Java takes, this takes, and where Java throws (`\u` without four digits) the
//! characters are kept as they are.

use std::fmt::Write as _;

/// One property, as it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line, counted from 1, on which it begins.
    pub line: usize,
    /// The key, unescaped. May be empty.
    pub key: String,
    /// The value, unescaped, with blanks at its end as Java keeps them. May be empty.
    pub value: String,
}

/// Reads all properties, in the order of the text. A key may come twice; in Java the last one counts.
#[must_use]
pub fn parse(text: &str) -> Vec<Entry> {
    let mut lines =
        text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).enumerate();
    let mut entries = Vec::new();
    while let Some((index, line)) = lines.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while continues(&whole) {
            whole.pop();
            let Some((_, more)) = lines.next() else { break };
            whole.push_str(more.trim_start_matches(is_blank));
        }
        let (key, value) = split(&whole);
        entries.push(Entry { line: index + 1, key: unescape(key), value: unescape(value) });
    }
    entries
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// Cuts a whole line behind its key: at the first `=`, `:` or blank that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (is_blank(c) || matches!(c, '=' | ':'));
            escaped = !escaped && c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    // Java counts in UTF-16, so that two escapes may make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    let mut buffer = [0; 2];
    while let Some(c) = rest.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut buffer));
            continue;
        }
        match rest.next() {
            Some('t') => units.push(0x09),
            Some('n') => units.push(0x0a),
            Some('f') => units.push(0x0c),
            Some('r') => units.push(0x0d),
            Some('u') => match hex(rest.as_str()) {
                Some(unit) => {
                    units.push(unit);
                    rest.nth(3);
                }
                None => units.extend("\\u".encode_utf16()),
            },
            Some(other) => units.extend_from_slice(other.encode_utf16(&mut buffer)),
            None => {}
        }
    }
    String::from_utf16_lossy(&units)
}

fn hex(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

/// Writes one property so that [`parse`] and Java read it back. Non-ASCII stays UTF-8.
///
/// Admin tools of RocketMQ expect bare `key=value` lines and do not all unescape, so only what would be
/// misread is escaped: backslashes, line ends, blanks at the beginning, and `=`, `:` or blanks in keys.
pub fn write(out: &mut String, key: &str, value: &str) {
    escape(out, key, |c, _| is_blank(c) || matches!(c, '=' | ':'));
    out.push('=');
    escape(out, value, |c, first| first && is_blank(c));
    out.push('\n');
}

fn escape(out: &mut String, text: &str, special: impl Fn(char, bool) -> bool) {
    for (at, c) in text.char_indices() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '\\' => out.push_str("\\\\"),
            '#' | '!' if at == 0 => {
                out.push('\\');
                out.push(c);
            }
            c if special(c, at == 0) => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() && u32::from(c) < 0x20 => {
                // Writing to a String cannot fail.
                let _ok = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let parsed = parse(text);
        let parsed: Vec<_> =
            parsed.iter().map(|e| (e.line, e.key.as_str(), e.value.as_str())).collect();
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn the_forms_that_java_documents_are_read() {
        check("Truth = Beauty", &[(1, "Truth", "Beauty")]);
        check(" Truth:Beauty", &[(1, "Truth", "Beauty")]);
        check("Truth                    :Beauty", &[(1, "Truth", "Beauty")]);
        check("fruits apple, \\\n    pear, \\\r\n  fig", &[(1, "fruits", "apple, pear, fig")]);
        check("cheeses", &[(1, "cheeses", "")]);
        check("\\:\\= = x", &[(1, ":=", "x")]);
        check("a==b", &[(1, "a", "=b")]);
        check("a=b ", &[(1, "a", "b ")]);
    }

    #[test]
    fn comments_and_empty_lines_are_passed_over_and_lines_are_counted() {
        check("# x\\\n\n  ! y=1\nk=v\nl=\\\n\nm=n", &[(4, "k", "v"), (5, "l", ""), (7, "m", "n")]);
    }

    #[test]
    fn escapes_are_undone() {
        check(r"p=C:\\data\tx\q", &[(1, "p", "C:\\data\txq")]);
        check(r"p=\u00e9\ud83d\ude00", &[(1, "p", "é😀")]);
        check(r"p=\u12", &[(1, "p", r"\u12")]);
        check("p=x\\", &[(1, "p", "x")]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(key in "\\PC{0,12}|[ -~\t]{1,12}", value in any::<String>()) {
            let mut text = String::new();
            write(&mut text, &key, &value);
            let expected = Entry { line: 1, key, value };
            prop_assert_eq!(parse(&text), vec![expected]);
        }

        #[test]
        fn any_text_parses(text in any::<String>()) {
            let last = text.split('\n').count();
            prop_assert!(parse(&text).iter().all(|entry| entry.line <= last));
        }
    }
}
