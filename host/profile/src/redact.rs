//! The text of a manifest for others to see: as it stands in its file, without the secrets.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Module, ProfileError, Search, resolve, search::Found};

/// What is shown in place of a secret value.
pub const HIDDEN: &str = "(secret)";

/// The text of `found`, with the values of settings that `is_secret` names replaced.
pub(crate) fn redact(
    found: &Found,
    search: &Search,
    is_secret: &dyn Fn(&str, &str) -> bool,
) -> Result<String, ProfileError> {
    let document = resolve::read(found, search)?;
    let mut spans = Vec::new();
    // It has just been parsed: only a manifest without mistakes gets here.
    if let Ok(table) = DeTable::parse(&found.text) {
        for (key, value) in table.get_ref() {
            let slot = Module::parse(key.get_ref()).and_then(|it| document.slots.get(&it));
            if let (Some(slot), Some(settings)) = (slot, value.get_ref().as_table()) {
                let hides = |path: &str| path != "plugin" && is_secret(&slot.plugin, path);
                collect(settings, "", &hides, &mut spans);
            }
        }
    }
    spans.sort_by_key(|span| std::cmp::Reverse(span.start));
    let mut text = found.text.clone();
    for span in spans {
        text.replace_range(span, &format!("\"{HIDDEN}\""));
    }
    Ok(text)
}

fn collect(
    table: &DeTable<'_>,
    path: &str,
    hides: &dyn Fn(&str) -> bool,
    spans: &mut Vec<Range<usize>>,
) {
    for (key, value) in table {
        let path = match path {
            "" => key.get_ref().to_string(),
            path => format!("{path}.{}", key.get_ref()),
        };
        of_value(value, &path, hides, spans);
    }
}

fn of_value(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    hides: &dyn Fn(&str) -> bool,
    spans: &mut Vec<Range<usize>>,
) {
    match value.get_ref() {
        // A table may be written in several places: its values go one by one.
        DeValue::Table(table) => collect(table, path, hides, spans),
        DeValue::Array(array) if !hides(path) => {
            for item in array {
                of_value(item, path, hides, spans);
            }
        }
        DeValue::Array(array) if array.iter().any(|item| item.get_ref().is_table()) => {
            for item in array {
                of_value(item, path, hides, spans);
            }
        }
        _ if hides(path) => spans.push(value.span()),
        _ => {}
    }
}
