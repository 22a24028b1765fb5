//! Compares what a command printed with a transcript, the way a reader would.

/// Whether `actual` is what `expected` shows: runs of white space count as one, and each `…` in
/// `expected` stands for one or more characters other than white space (an id, an address, a time).
///
/// # Panics
/// If it is not, showing both.
#[track_caller]
pub fn assert_shows(actual: &str, expected: &str) {
    let (actual_words, expected_words) = (words(actual), words(expected));
    let same = actual_words.len() == expected_words.len()
        && actual_words
            .iter()
            .zip(&expected_words)
            .all(|(actual, expected)| matches(actual, expected));
    assert!(
        same,
        "the transcript differs\n--- expected\n{expected}\n--- printed\n{actual}\n"
    );
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

fn matches(actual: &str, expected: &str) -> bool {
    let Some((head, tail)) = expected.split_once('…') else {
        return actual == expected;
    };
    let Some(rest) = actual.strip_prefix(head) else {
        return false;
    };
    // At least one character stands for the `…`, and what follows matches somewhere behind it.
    rest.char_indices()
        .map(|(index, character)| index + character.len_utf8())
        .any(|end| matches(&rest[end..], tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_one_and_dots_are_wild() {
        assert_shows("a \t b\n\nid-42:9 x", "a b id-…:… x");
        assert!(!matches("id-", "id-…"));
        assert!(!matches("idx", "id-…"));
        assert!(matches("\"helloworld-1f\",", "\"helloworld-…\","));
        assert!(!matches("\"helloworld-1f\"", "\"helloworld-…\","));
    }

    #[test]
    #[should_panic(expected = "the transcript differs")]
    fn a_word_more_is_a_difference() {
        assert_shows("a b c", "a b");
    }
}
