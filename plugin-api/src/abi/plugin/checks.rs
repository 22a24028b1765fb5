//! What `export_plugin!` refuses at build time.

use super::{describe::equal, instance::Method};
use crate::Capabilities;

/// Refuses a name that is no method.
pub const fn check_methods(names: &[&str]) {
    let mut at = 0;
    while at < names.len() {
        assert!(
            contains(Method::NAMES, names[at]),
            "export_plugin!: `except` names something that is no method; write for example \"store.commit\""
        );
        at += 1;
    }
}

/// Refuses a capability that there is not, or that is none of these modules'.
pub const fn check_capabilities(modules: &[&str], promises: &[&str], lacks: &[&str]) {
    let mut at = 0;
    while at < promises.len() {
        assert!(
            contains(&Capabilities::BEYOND, promises[at]),
            "export_plugin!: `promises` names something that cannot be promised; write for example \"store.durable\""
        );
        assert!(
            is_of(modules, promises[at]),
            "export_plugin!: `promises` names a module that the plugin does not have"
        );
        at += 1;
    }
    at = 0;
    while at < lacks.len() {
        assert!(
            is_of(modules, lacks[at]),
            "export_plugin!: `lacks` names no rule of the plugin's modules; write for example \"store.watch\""
        );
        at += 1;
    }
}

const fn contains(names: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < names.len() {
        if equal(names[at], name) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether `name` begins with one of these modules and a dot.
const fn is_of(modules: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < modules.len() {
        if let Some((module, rest)) = name.as_bytes().split_at_checked(modules[at].len())
            && rest.len() > 1
            && rest[0] == b'.'
            && let Ok(module) = std::str::from_utf8(module)
            && equal(module, modules[at])
        {
            return true;
        }
        at += 1;
    }
    false
}
