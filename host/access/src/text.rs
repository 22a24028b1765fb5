//! What the texts may be that callers name accounts and rules with.

use micro_wire::shown;

/// Whether `text` fits into `longest` bytes and holds no control character.
///
/// # Errors
/// A sentence that says which, naming the text as `what`.
pub(crate) fn check(what: &str, text: &str, longest: usize) -> Result<(), String> {
    if text.len() > longest {
        return Err(format!(
            "the {what} {} is longer than {longest} bytes",
            shown(text)
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(format!(
            "the {what} {} holds control characters",
            shown(text)
        ));
    }
    Ok(())
}
