//! The profiles that every binary carries: a server needs no file to start.

use std::sync::Arc;

/// Name and text of each built-in profile. A file of the same name on the search path wins.
pub const BUILTIN: &[(&str, &str)] = &[
    ("local", include_str!("../../../profiles/local.toml")),
    ("test", include_str!("../../../profiles/test.toml")),
    ("staging", include_str!("../../../profiles/staging.toml")),
    (
        "production",
        include_str!("../../../profiles/production.toml"),
    ),
];

/// The text of the built-in profile `name`.
pub(crate) fn text(name: &str) -> Option<&'static str> {
    BUILTIN
        .iter()
        .find(|(builtin, _)| *builtin == name)
        .map(|(_, text)| *text)
}

/// What error messages call the built-in profile `name`.
pub(crate) fn file(name: &str) -> Arc<str> {
    format!("built-in profile {name}").into()
}
