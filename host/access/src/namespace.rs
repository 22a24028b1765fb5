//! What may be the name of a namespace.

use micro_wire::shown;

/// The namespace of those who name none.
pub const DEFAULT: &str = "micro";

/// What stands for every namespace at once where one can ask for that; no namespace is called so.
pub const EVERY: &str = "*";

/// The most bytes in the name of a namespace.
pub const MAX_LENGTH: usize = 128;

/// A text that cannot be the name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} cannot be a namespace: it has up to 128 bytes, no white space, '/' or ',', no '$' in front, and is not '*'",
    shown(.0)
)]
pub struct InvalidNamespace(pub String);

/// The one check of what callers name: 1 to [`MAX_LENGTH`] bytes, no `/` (names are parts of
/// keys), no white space or control character, no `,` (which joins repeated headers), no `$` in
/// front, which marks what belongs to the platform itself, and not [`EVERY`].
///
/// # Errors
/// The name breaks one of these.
pub fn check(name: &str) -> Result<&str, InvalidNamespace> {
    let fits = (1..=MAX_LENGTH).contains(&name.len())
        && name != EVERY
        && name != "."
        && name != ".."
        && !is_reserved(name)
        && !name
            .chars()
            .any(|c| c == '/' || c == ',' || c.is_whitespace() || c.is_control());
    if fits {
        Ok(name)
    } else {
        Err(InvalidNamespace(name.to_owned()))
    }
}

/// Whether [`check`] passes.
pub fn is_valid(name: &str) -> bool {
    check(name).is_ok()
}

/// Whether `name` belongs to the platform itself: no caller may touch it, whoever they are.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["micro", "foo-bar", "a.b_c", "ünïcode", "*x"] {
            assert!(is_valid(good), "{good}");
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        for bad in [
            "",
            "$platform",
            "a/b",
            "a b",
            "a,b",
            "a\n",
            "a\0b",
            "*",
            ".",
            "..",
            long.as_str(),
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
        let error = check(&"x".repeat(5000)).unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
    }
}
