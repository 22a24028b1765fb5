//! A resolved profile as it is shown: sections with keys and values, secrets hidden, each with the
//! line that it comes from.

use micro_plugin_api::userinfo;
use micro_profile::{HIDDEN, Keys, Location, Profile, Slot};
use serde_json::Value;

use super::asked::Asked;

/// One heading and what stands under it.
pub(super) struct Section {
    /// `store`, `plugins.etcd`, `server`.
    pub(super) name: String,
    /// Where it was written.
    pub(super) location: Option<Location>,
    /// Its entries.
    pub(super) entries: Vec<Entry>,
}

/// One key.
pub(super) struct Entry {
    /// The key.
    pub(super) key: String,
    /// Its value, for comparing alone: it may be secret.
    value: Value,
    /// Its value as it may be seen.
    pub(super) shown: Value,
    /// Where it was written.
    pub(super) location: Option<Location>,
}

impl Entry {
    /// The entry as a line of a manifest.
    pub(super) fn line(&self) -> String {
        format!("{} = {}", key(&self.key), toml(&self.shown))
    }

    /// Whether both say the same, secrets included.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// The sections of a profile.
pub(super) fn sections(profile: &Profile, asked: &Asked) -> Vec<Section> {
    let slots = profile.slots.iter().map(|(module, slot)| Section {
        name: module.to_string(),
        location: Some(slot.location.clone()),
        entries: slot_entries(slot, asked),
    });
    let plugins = profile.plugins.iter().map(|(name, source)| {
        let path = source.path.as_ref();
        let path = path.map(|path| ("path", path.display().to_string()));
        let sha256 = source.sha256.clone().map(|sha256| ("sha256", sha256));
        let entries = path.into_iter().chain(sha256).map(|(key, value)| Entry {
            key: key.to_owned(),
            shown: userinfo::hide_in_value(&value).into(),
            value: value.into(),
            location: None,
        });
        Section {
            name: format!("plugins.{name}"),
            location: Some(source.location.clone()),
            entries: entries.collect(),
        }
    });
    let keys = Value::from(match profile.server.keys {
        Keys::File => "file",
        Keys::Memory => "memory",
        Keys::Store => "store",
    });
    let lease = profile.server.lease.map(|lease| lease.as_secs().into());
    let lease = lease.map(|lease| ("lease_seconds", lease));
    let settings = [("keys", keys)].into_iter().chain(lease);
    let server = Section {
        name: "server".to_owned(),
        location: profile.server.location.clone(),
        entries: settings
            .map(|(key, value): (&str, Value)| Entry {
                key: key.to_owned(),
                value: value.clone(),
                shown: value,
                location: None,
            })
            .collect(),
    };
    slots.chain(plugins).chain([server]).collect()
}

fn slot_entries(slot: &Slot, asked: &Asked) -> Vec<Entry> {
    let plugin = Value::from(slot.plugin.as_str());
    let mut entries = vec![Entry {
        key: "plugin".to_owned(),
        value: plugin.clone(),
        shown: plugin,
        location: Some(slot.locate("plugin")),
    }];
    let hides = |path: &str| asked.hides(&slot.plugin, path);
    entries.extend(slot.settings.iter().map(|(key, value)| Entry {
        key: key.clone(),
        value: value.clone(),
        shown: shown(value, key, &hides),
        location: Some(slot.locate(key)),
    }));
    entries
}

/// The value without what must not be seen. A table shows its keys.
fn shown(value: &Value, path: &str, hides: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Object(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), shown(value, &format!("{path}.{key}"), hides)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) if !hides(path) || list.iter().any(Value::is_object) => {
            list.iter().map(|item| shown(item, path, hides)).collect()
        }
        _ if hides(path) => HIDDEN.into(),
        Value::String(text) => userinfo::hide_in_value(text).into(),
        other => other.clone(),
    }
}

/// A value in the spelling of a manifest. JSON's texts and numbers are TOML's too.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<_> = list.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) => {
            let pair =
                |(name, value): (&String, &Value)| format!("{} = {}", key(name), toml(value));
            let pairs: Vec<_> = table.iter().map(pair).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

fn key(text: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_spelt_as_in_a_manifest() {
        let value = json!({"a b": ["x\n", 1, 2.5], "c": {"d": true}});
        assert_eq!(
            toml(&value),
            r#"{ "a b" = ["x\n", 1, 2.5], c = { d = true } }"#
        );
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let hides = |path: &str| path == "nodes.token" || path == "password";
        let value = json!([{"token": "t", "address": "a"}]);
        assert_eq!(
            shown(&value, "nodes", &hides),
            json!([{"token": "(secret)", "address": "a"}])
        );
        assert_eq!(shown(&json!("p"), "password", &hides), json!("(secret)"));
        assert_eq!(
            shown(&json!({"part": ["p"]}), "password", &|_| true),
            json!({"part": "(secret)"})
        );
        assert_eq!(
            shown(&json!(["nats://me:mine@a", "b"]), "urls", &hides),
            json!(["nats://***@a", "b"])
        );
    }
}
