//! What a plugin may be called: its name is that of a crate, of a library, and of a plugin.

use micro_profile::{BUILTIN, Search};

use crate::error::{CliError, Result};

/// What Rust has these words for; cargo makes no crate of such a name.
const RUST: [&str; 56] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// What the code of a new plugin depends on: a crate cannot depend on one of its own name.
const DEPENDENCIES: [&str; 4] = ["nix", "tempfile", "tokio", "uuid"];

/// Refuses what cannot be the name of a crate, or would be taken for another one.
pub(super) fn check(name: &str) -> Result<()> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let fits =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let is_crate = begins && name.chars().all(fits) && !name.ends_with('-');
    let taken = if !is_crate {
        None
    } else if RUST.contains(&name) {
        Some("it is a word of Rust, or a crate that every program has")
    } else if is_ours(name) {
        Some("it is a plugin of micro, whose place it would take")
    } else if name == "micro" || name.starts_with("micro-") {
        Some("the crates of micro are called like that")
    } else if DEPENDENCIES.contains(&name) {
        Some("it is a crate that a plugin depends on")
    } else {
        return Ok(());
    };
    let why = taken.map_or_else(String::new, |taken| format!(": {taken}"));
    Err(
        CliError::plain(format!("No plugin can be called \"{name}\"{why}")).hint(
            "use lower-case letters, digits and dashes, and begin with a letter; no word of Rust, \
             and no name of a crate or plugin of micro",
        ),
    )
}

/// Whether a profile that is part of this program names the plugin: another one of the name would
/// be found in its place.
fn is_ours(name: &str) -> bool {
    let search = Search::new([], |_| None);
    let profiles = BUILTIN.iter().map(|(profile, _)| *profile);
    let mut profiles = profiles.filter_map(|profile| micro_profile::load(profile, &search).ok());
    profiles.any(|profile| profile.slots.values().any(|slot| slot.plugin == name))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn names_are_those_of_crates() {
        for name in ["a", "my-store", "s3", "memory2", "microscope", "testing"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "../x",
            "My",
            "3s",
            "a_b",
            "a-",
            "a b",
            "é",
            "fn",
            "self",
            "core",
            "std",
            "test",
            "memory",
            "micro",
            "micro-plugin-api",
            "tokio",
        ] {
            let error = check(name).expect_err(name);
            assert!(error.hint.is_some(), "{name}");
        }
    }

    #[test]
    fn the_plugins_of_the_checkout_are_taken() {
        let host = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        let plugins = fs::read_dir(host.unwrap().join("plugins")).unwrap();
        for plugin in plugins {
            let name = plugin.unwrap().file_name().into_string().unwrap();
            assert!(check(&name).is_err(), "{name}");
        }
    }
}
