//! How much of what somebody sent an error repeats: enough to recognise it, and no more.

use std::borrow::Cow;

/// The most characters of somebody's input in an error.
pub const MAX_ECHO: usize = 100;

/// The beginning of a text, at most [`MAX_ECHO`] characters, with `…` where it was cut.
#[must_use]
pub fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_ECHO) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The same in quotation marks, with control characters made visible: for a text of which nothing
/// is known.
#[must_use]
pub fn shown(text: &str) -> String {
    format!("{:?}", clipped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(clipped("short"), "short");
        let exact = "é".repeat(MAX_ECHO);
        assert_eq!(clipped(&exact), exact);
        assert_eq!(clipped(&format!("{exact}é")), format!("{exact}…"));
        assert_eq!(shown("a\n\"b\""), r#""a\n\"b\"""#);
    }
}
