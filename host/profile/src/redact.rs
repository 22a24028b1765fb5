//! The text of a manifest for others to see: as it stands in its file, without what is secret or may
//! be.

use std::ops::Range;

use micro_plugin_api::userinfo;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Module, ProfileError, Search, document::Document, resolve, search::Found};

/// What is shown in place of a secret value.
pub const HIDDEN: &str = "(secret)";

/// The text of `found`, with the values of settings that `hides` names replaced.
pub(crate) fn redact(
    found: &Found,
    search: &Search,
    hides: &dyn Fn(&str, &str) -> bool,
) -> Result<String, ProfileError> {
    let mut wrong = Vec::new();
    let document = resolve::read(found, search, &mut wrong);
    if let Some(error) = ProfileError::of(wrong) {
        return Err(error);
    }
    let mut shown = Shown::default();
    let mut sections = Vec::new();
    // It has just been parsed: only a manifest without mistakes gets here.
    if let Ok(table) = DeTable::parse(&found.text) {
        for (key, value) in table.get_ref() {
            let plugin = plugin_of(&document, key.get_ref());
            sections.push((key.span().start, plugin));
            shown.value(value, "", &|path| is_hidden(plugin, path, hides));
        }
    }
    sections.sort_unstable();
    shown.comments(&found.text, |at, key| {
        let before = sections.iter().rev().find(|(start, _)| *start < at);
        match before {
            Some((_, plugin)) => is_hidden(*plugin, key, hides),
            // Nobody knows whose it is.
            None => true,
        }
    });
    Ok(shown.over(&found.text))
}

/// The plugin that fills the slot of a heading, if it is the heading of one.
fn plugin_of<'a>(document: &'a Document, heading: &str) -> Option<&'a str> {
    let slot = document.slots.get(&Module::parse(heading)?)?;
    Some(&slot.plugin)
}

/// Whether the value of a key of a slot is hidden. What is no slot has no secrets.
fn is_hidden(plugin: Option<&str>, path: &str, hides: &dyn Fn(&str, &str) -> bool) -> bool {
    plugin.is_some_and(|plugin| path != "plugin" && hides(plugin, path))
}

/// What is shown in the place of what.
#[derive(Default)]
struct Shown {
    changes: Vec<(Range<usize>, String)>,
    /// Where values are, in which nothing is a comment.
    values: Vec<Range<usize>>,
}

impl Shown {
    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str, hides: &dyn Fn(&str) -> bool) {
        match value.get_ref() {
            // A table may be written in several places: its values go one by one.
            DeValue::Table(table) => {
                for (key, value) in table {
                    let key = key.get_ref();
                    let path = match path {
                        "" => key.to_string(),
                        path => format!("{path}.{key}"),
                    };
                    self.value(value, &path, hides);
                }
            }
            DeValue::Array(array)
                if !hides(path) || array.iter().any(|item| item.get_ref().is_table()) =>
            {
                for item in array {
                    self.value(item, path, hides);
                }
            }
            other => {
                self.values.push(value.span());
                if hides(path) {
                    self.changes.push((value.span(), format!("{HIDDEN:?}")));
                } else if let Some(text) = other.as_str() {
                    let shown = userinfo::hide_in_value(text);
                    if shown != text {
                        let shown = serde_json::Value::from(shown).to_string();
                        self.changes.push((value.span(), shown));
                    }
                }
            }
        }
    }

    /// Comments are shown as settings are: `hides` is asked with where one is and the key that it
    /// sets.
    fn comments(&mut self, text: &str, hides: impl Fn(usize, &str) -> bool) {
        let mut at = 0;
        while let Some(start) = text[at..].find('#').map(|found| at + found) {
            let within = self.values.iter().find(|value| value.contains(&start));
            if let Some(value) = within {
                at = value.end;
                continue;
            }
            let line = text[start..].lines().next().unwrap_or_default();
            at = start + line.len();
            let comment = line.trim_start_matches('#');
            let begin = at - comment.len();
            let mut setting = Self::default();
            if let Ok(table) = DeTable::parse(comment)
                && comment.contains('=')
            {
                let table = Spanned::new(0..0, DeValue::Table(table.into_inner()));
                setting.value(&table, "", &|key| hides(start, key));
            }
            let shown = setting.over(comment);
            let shown = userinfo::hide_in_text(&shown);
            if shown != comment {
                self.changes.push((begin..at, shown.into_owned()));
            }
        }
    }

    fn over(mut self, text: &str) -> String {
        self.changes
            .sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut text = text.to_owned();
        for (span, shown) in self.changes {
            text.replace_range(span, &shown);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::search;

    #[test]
    fn secrets_users_of_urls_and_what_is_commented_out_are_hidden() {
        let text = r##"# password = "hunter2"
extends = "x" # see http://me:hunter2@a
[store]
plugin = "p" # a plugin
urls = ["nats://me:hunter2@a:1", "b:2"]
"pass\u0077ord" = 1
"passwrod" = """
hunter2 # no comment"""
# token = "hunter2"
# size = 3
## a = prose
limits = { password = "hunter2", size = 3, deep = [{ token = ["hunter2"] }] }
[store.tls]
# ca = "c"
ca = '#'
[server]
keys = "memory"
"##;
        let search = Search::new([], |_| None);
        let found =
            search::of_text("own", Path::new("own.toml"), text.to_owned()).expect("a manifest");
        let known = ["urls", "size", "limits.size", "tls.ca"];
        let hides = |plugin: &str, path: &str| plugin != "p" || !known.contains(&path);
        let shown = redact(&found, &search, &hides).expect("no mistakes");
        assert_eq!(
            shown,
            r##"# password = "(secret)"
extends = "x" # see http://***@a
[store]
plugin = "p" # a plugin
urls = ["nats://***@a:1", "b:2"]
"pass\u0077ord" = "(secret)"
"passwrod" = "(secret)"
# token = "(secret)"
# size = 3
## a = prose
limits = { password = "(secret)", size = 3, deep = [{ token = "(secret)" }] }
[store.tls]
# ca = "(secret)"
ca = '#'
[server]
keys = "memory"
"##
        );
    }
}
