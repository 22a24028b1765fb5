//! The configuration of a namespace as a tree: objects are branches, everything else is a leaf.

use std::collections::BTreeMap;

use micro_access::{ConfigKey, Place, SealError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::path::{MAX_DEPTH, Path};

/// What the secrets of configurations are sealed as.
const PURPOSE: &str = "micro.config/1";

/// What stands for a secret that was not asked for.
const HIDDEN: &str = "[secret]";

/// A part of a configuration. Its JSON, in the store, says of each node which it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Node {
    /// An object.
    #[serde(rename = "map")]
    Branch(BTreeMap<String, Node>),
    /// A value; a list is one, with all that is in it.
    #[serde(rename = "value")]
    Leaf(Value),
    /// A sealed value.
    #[serde(rename = "secret")]
    Secret(String),
}

impl Default for Node {
    fn default() -> Self {
        Self::Branch(BTreeMap::new())
    }
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("{part} is a value, not an object, so nothing can be set below it; delete it first")]
    NotAnObject { part: String },
    #[error("the configuration would have more than {MAX_DEPTH} levels of objects")]
    TooDeep,
}

impl Node {
    /// The node for a value: an object becomes branches. Secrets are sealed for the place where
    /// `path` leads in `namespace`.
    pub(super) fn new(
        value: Value,
        path: &Path,
        secret: Option<(&ConfigKey, &str)>,
    ) -> Result<Self, SealError> {
        build(value, &mut path.parts().to_vec(), secret)
    }

    /// The node at a path.
    pub(super) fn at(&self, path: &Path) -> Option<&Self> {
        let mut node = self;
        for part in path.parts() {
            match node {
                Self::Branch(children) => node = children.get(part)?,
                _ => return None,
            }
        }
        Some(node)
    }

    /// Puts a node at a path: a branch goes into the branch that is there, leaf by leaf; else it
    /// replaces what is there. On an error nothing has changed.
    pub(super) fn set(&mut self, path: &Path, node: Self) -> Result<(), ChangeError> {
        if path.parts().len() + node.levels() > MAX_DEPTH {
            return Err(ChangeError::TooDeep);
        }
        self.check_way(path)?;
        let mut target = self;
        for part in path.parts() {
            let Self::Branch(children) = target else {
                // Checked above.
                return Ok(());
            };
            target = children.entry(part.clone()).or_default();
        }
        target.merge(node);
        Ok(())
    }

    /// Whether every node before the last on this way is a branch, or not there yet.
    fn check_way(&self, path: &Path) -> Result<(), ChangeError> {
        let mut node = self;
        for (depth, part) in path.parts().iter().enumerate() {
            let Self::Branch(children) = node else {
                let part = path.parts()[..depth].join(".");
                return Err(ChangeError::NotAnObject { part });
            };
            match children.get(part) {
                Some(child) => node = child,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn merge(&mut self, node: Self) {
        match (self, node) {
            (Self::Branch(there), Self::Branch(new)) => {
                for (name, child) in new {
                    match there.get_mut(&name) {
                        Some(old) => old.merge(child),
                        None => {
                            there.insert(name, child);
                        }
                    }
                }
            }
            (slot, node) => *slot = node,
        }
    }

    /// Removes what is at a path, if anything is.
    pub(super) fn delete(&mut self, path: &Path) {
        let Some((last, before)) = path.parts().split_last() else {
            return;
        };
        let mut node = self;
        for part in before {
            match node {
                Self::Branch(children) => match children.get_mut(part) {
                    Some(child) => node = child,
                    None => return,
                },
                _ => return,
            }
        }
        if let Self::Branch(children) = node {
            children.remove(last);
        }
    }

    /// The value of the node at `path`, secrets opened with a key or hidden without.
    pub(super) fn render(
        &self,
        namespace: &str,
        path: &Path,
        key: Option<&ConfigKey>,
    ) -> Result<Value, SealError> {
        render(self, namespace, &mut path.parts().to_vec(), key)
    }

    /// How many levels of branches there are.
    fn levels(&self) -> usize {
        match self {
            Self::Branch(children) => 1 + children.values().map(Self::levels).max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn build(
    value: Value,
    path: &mut Vec<String>,
    secret: Option<(&ConfigKey, &str)>,
) -> Result<Node, SealError> {
    match (value, secret) {
        (Value::Object(fields), _) => {
            let mut children = BTreeMap::new();
            for (name, value) in fields {
                path.push(name);
                let child = build(value, path, secret);
                let name = path.pop().unwrap_or_default();
                children.insert(name, child?);
            }
            Ok(Node::Branch(children))
        }
        (value, Some((key, namespace))) => {
            let text = zeroize::Zeroizing::new(sorted(value).to_string());
            Ok(Node::Secret(key.seal(&place(namespace, path), &text)?))
        }
        (value, None) => Ok(Node::Leaf(sorted(value))),
    }
}

fn place<'a>(namespace: &'a str, path: &'a [String]) -> Place<'a> {
    Place {
        purpose: PURPOSE,
        namespace,
        path,
    }
}

/// The value with the objects in its lists in the order of their keys.
fn sorted(mut value: Value) -> Value {
    value.sort_all_objects();
    value
}

fn render(
    node: &Node,
    namespace: &str,
    path: &mut Vec<String>,
    key: Option<&ConfigKey>,
) -> Result<Value, SealError> {
    Ok(match (node, key) {
        (Node::Leaf(value), _) => value.clone(),
        (Node::Secret(_), None) => HIDDEN.into(),
        (Node::Secret(sealed), Some(key)) => {
            let text = key.open(&place(namespace, path), sealed)?;
            serde_json::from_str(&text).map_err(|_| SealError::Encoding)?
        }
        (Node::Branch(children), _) => {
            let mut fields = serde_json::Map::with_capacity(children.len());
            for (name, child) in children {
                path.push(name.clone());
                let value = render(child, namespace, path, key);
                path.pop();
                fields.insert(name.clone(), value?);
            }
            fields.into()
        }
    })
}

/// The dotted paths below which two nodes at `path` differ.
pub(super) fn differences(before: Option<&Node>, after: Option<&Node>, path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    differ(before, after, &mut path.parts().to_vec(), &mut found);
    found
}

fn differ(
    before: Option<&Node>,
    after: Option<&Node>,
    path: &mut Vec<String>,
    found: &mut Vec<String>,
) {
    if before == after {
        return;
    }
    let (Some(Node::Branch(before)), Some(Node::Branch(after))) = (before, after) else {
        found.push(path.join("."));
        return;
    };
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let mut names: Vec<_> = after.keys().chain(gone).collect();
    names.sort_unstable();
    for name in names {
        path.push(name.clone());
        differ(before.get(name), after.get(name), path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use micro_access::ConfigKeySource;

    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn plain(value: Value) -> Node {
        Node::new(value, &Path::default(), None).unwrap()
    }

    fn shown(tree: &Node, at: &str) -> Option<String> {
        let (at, namespace) = (path(at), "micro");
        let node = tree.at(&at)?;
        Some(node.render(namespace, &at, None).unwrap().to_string())
    }

    #[test]
    fn objects_merge_and_values_replace() {
        let mut tree = Node::default();
        let mut set = |at: &str, value| tree.set(&path(at), plain(value));
        set("a.b", json!(1)).unwrap();
        set("a", json!({"c": {"d": true}})).unwrap();
        set("a.c", json!({"e": [{"z": 1, "y": 2}]})).unwrap();
        set("x", json!({"gone": 1})).unwrap();
        set("x", json!("leaf")).unwrap();
        set("empty", json!({})).unwrap();
        let whole = r#"{"a":{"b":1,"c":{"d":true,"e":[{"y":2,"z":1}]}},"empty":{},"x":"leaf"}"#;
        assert_eq!(shown(&tree, "").as_deref(), Some(whole));
        assert_eq!(shown(&tree, "a.c.d").as_deref(), Some("true"));
        assert_eq!(shown(&tree, "a.b.c"), None);
        tree.set(&path("x"), plain(json!({"y": 1}))).unwrap();
        assert_eq!(shown(&tree, "x").as_deref(), Some(r#"{"y":1}"#));
        tree.delete(&path("a.c"));
        tree.delete(&path("a.nothing.here"));
        tree.delete(&path("x.y.z"));
        assert_eq!(
            shown(&tree, "").as_deref(),
            Some(r#"{"a":{"b":1},"empty":{},"x":{"y":1}}"#)
        );
    }

    #[test]
    fn nothing_is_set_below_a_value() {
        let mut tree = plain(json!({"a": {"b": 1}}));
        let before = tree.clone();
        let refused = tree.set(&path("a.b.c.d"), plain(json!(9)));
        let part = "a.b".to_owned();
        assert_eq!(refused, Err(ChangeError::NotAnObject { part }));
        assert_eq!(tree, before);
    }

    #[test]
    fn a_tree_has_limits() {
        let deep = (0..MAX_DEPTH).fold(json!(1), |value, _| json!({"a": value}));
        let mut tree = Node::default();
        let refused = tree.set(&path("a"), plain(deep));
        assert_eq!(refused, Err(ChangeError::TooDeep));
    }

    #[test]
    fn secrets_are_hidden_at_any_depth_and_opened_for_those_who_ask() {
        let key = ConfigKeySource::Memory.load().unwrap();
        let at = path("a.b");
        let value = json!({"pw": "hunter2", "n": 42, "list": [1]});
        let node = Node::new(value.clone(), &at, Some((&key, "micro"))).unwrap();
        let mut tree = plain(json!({"a": {"open": true}}));
        tree.set(&at, node).unwrap();
        let hidden =
            r#"{"a":{"b":{"list":"[secret]","n":"[secret]","pw":"[secret]"},"open":true}}"#;
        assert_eq!(shown(&tree, "").as_deref(), Some(hidden));
        let stored = serde_json::to_string(&tree).unwrap();
        assert!(!stored.contains("hunter2"), "{stored}");
        let read: Node = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, tree);
        let opened = read.at(&at).unwrap().render("micro", &at, Some(&key));
        assert_eq!(opened.unwrap(), value);
        assert!(
            read.at(&at)
                .unwrap()
                .render("other", &at, Some(&key))
                .is_err()
        );
    }

    #[test]
    fn differences_are_named_by_their_paths() {
        let before = plain(json!({"a": {"b": 1, "c": 2}, "d": 3}));
        let after = plain(json!({"a": {"b": 1, "c": {"x": 2}}, "e": 3}));
        let found = differences(Some(&before), Some(&after), &path(""));
        assert_eq!(found, ["a.c", "d", "e"]);
        let (all, none) = (Some(&before), None);
        assert_eq!(differences(all, none, &path("p.q")), ["p.q"]);
        assert_eq!(differences(all, all, &path("p")), [""; 0]);
    }
}
