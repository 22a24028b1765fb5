//! What may be the name of a namespace.

/// The namespace of those who name none.
pub const DEFAULT: &str = "micro";

/// The most bytes in the name of a namespace.
pub const MAX_LENGTH: usize = 128;

/// Whether `name` can be a namespace: 1 to [`MAX_LENGTH`] bytes, no `/` (names are parts of keys),
/// no white space or control character, no `,` (which joins repeated headers), and no `$` in
/// front, which marks what belongs to the platform itself.
pub fn is_valid(name: &str) -> bool {
    (1..=MAX_LENGTH).contains(&name.len())
        && !is_reserved(name)
        && !name
            .chars()
            .any(|c| c == '/' || c == ',' || c.is_whitespace() || c.is_control())
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
        for good in ["micro", "foo-bar", "a.b_c", "ünïcode", "*"] {
            assert!(is_valid(good), "{good}");
        }
        let long = "x".repeat(MAX_LENGTH + 1);
        for bad in ["", "$platform", "a/b", "a b", "a,b", "a\n", long.as_str()] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
