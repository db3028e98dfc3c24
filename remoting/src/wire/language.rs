//! `LanguageCode`: which client library speaks. JSON headers carry the name, binary ones the number.

/// The language of a peer's library. Whatever is not in Java's table counts as [`Language::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Language {
    /// Java, and what servers answer with: every client has been tested against it.
    Java = 0,
    /// C++.
    Cpp = 1,
    /// .NET.
    Dotnet = 2,
    /// Python.
    Python = 3,
    /// Delphi.
    Delphi = 4,
    /// Erlang.
    Erlang = 5,
    /// Ruby.
    Ruby = 6,
    /// Any other.
    #[default]
    Other = 7,
    /// An HTTP gateway.
    Http = 8,
    /// Go.
    Go = 9,
    /// PHP.
    Php = 10,
    /// OpenMessaging.
    Oms = 11,
    /// Rust.
    Rust = 12,
    /// Node.js.
    NodeJs = 13,
}

const TABLE: [(Language, &str); 14] = [
    (Language::Java, "JAVA"),
    (Language::Cpp, "CPP"),
    (Language::Dotnet, "DOTNET"),
    (Language::Python, "PYTHON"),
    (Language::Delphi, "DELPHI"),
    (Language::Erlang, "ERLANG"),
    (Language::Ruby, "RUBY"),
    (Language::Other, "OTHER"),
    (Language::Http, "HTTP"),
    (Language::Go, "GO"),
    (Language::Php, "PHP"),
    (Language::Oms, "OMS"),
    (Language::Rust, "RUST"),
    (Language::NodeJs, "NODE_JS"),
];

impl Language {
    /// The name in JSON headers and in the bodies of admin requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.get(usize::from(self as u8)).map_or("OTHER", |(_, name)| name)
    }

    /// The language with this number in binary headers.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        TABLE.get(usize::from(number)).map_or(Self::Other, |(language, _)| *language)
    }

    /// The language with this name in JSON headers.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Self {
        match name {
            b"JAVA" => Self::Java,
            b"GO" => Self::Go,
            _ => TABLE
                .iter()
                .find(|(_, known)| known.as_bytes() == name)
                .map_or(Self::Other, |(language, _)| *language),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_agree() {
        for number in 0..14 {
            let language = Language::from_number(number);
            assert_eq!(language as u8, number);
            assert_eq!(Language::from_name(language.name().as_bytes()), language);
        }
        assert_eq!(Language::from_number(200), Language::Other);
        assert_eq!(Language::from_name(b"COBOL"), Language::Other);
    }
}
