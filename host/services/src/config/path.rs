//! Dotted paths: which part of a configuration is meant.

use std::fmt;

/// The most bytes of a path.
const MAX_LENGTH: usize = 4_096;

/// The most parts of a path, and levels of objects in a configuration.
pub(super) const MAX_DEPTH: usize = 32;

/// The parts of a dotted path; none for the whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

/// Why a text is no path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("key required")]
    Missing,
    #[error(
        "the key {0:?} has an empty part; write its parts with one dot between them, as in a.b"
    )]
    EmptyPart(String),
    #[error("the key has {0} bytes; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    #[error("the key has {0} parts; at most {MAX_DEPTH} are allowed")]
    TooDeep(usize),
}

impl Path {
    /// The path that a text spells; an empty one means everything.
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MAX_LENGTH {
            return Err(PathError::TooLong(text.len()));
        }
        let parts: Vec<_> = text.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return Err(PathError::EmptyPart(text.to_owned()));
        }
        if parts.len() > MAX_DEPTH {
            return Err(PathError::TooDeep(parts.len()));
        }
        Ok(Self(parts))
    }

    /// The path that a text spells, which must not be everything.
    pub(super) fn parse_key(text: &str) -> Result<Self, PathError> {
        let path = Self::parse(text)?;
        if path.0.is_empty() {
            return Err(PathError::Missing);
        }
        Ok(path)
    }

    pub(super) fn parts(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(Path::parse(""), Ok(Path::default()));
        let path = Path::parse("a.b é.c").unwrap();
        assert_eq!(path.parts(), ["a", "b é", "c"]);
        assert_eq!(path.to_string(), "a.b é.c");
        assert_eq!(Path::parse_key(""), Err(PathError::Missing));
        for bad in [".", "a.", ".a", "a..b"] {
            assert_eq!(
                Path::parse(bad),
                Err(PathError::EmptyPart(bad.to_owned())),
                "{bad}"
            );
        }
        let deep = ["a"; MAX_DEPTH + 1].join(".");
        assert_eq!(Path::parse(&deep), Err(PathError::TooDeep(MAX_DEPTH + 1)));
        let long = "x".repeat(MAX_LENGTH + 1);
        assert_eq!(Path::parse(&long), Err(PathError::TooLong(MAX_LENGTH + 1)));
    }
}
