//! How large a rule may be, and which one can never apply.

use super::{Rule, RuleError};
use crate::text;

/// The most bytes of an id, a scope, a type or a name.
const MAX_NAME: usize = 253;
/// The most bytes of an endpoint, which may be a path.
const MAX_ENDPOINT: usize = 1024;

/// Checks a rule that somebody wants.
///
/// # Errors
/// No id; a part that is too long, holds control characters, or is missing.
pub(super) fn check(rule: &Rule) -> Result<(), RuleError> {
    if rule.id.is_empty() {
        return Err(RuleError::IdMissing);
    }
    let resource = &rule.resource;
    for (what, text, longest) in [
        ("ID", &rule.id, MAX_NAME),
        ("scope", &rule.scope, MAX_NAME),
        ("type of the resource", &resource.kind, MAX_NAME),
        ("name of the resource", &resource.name, MAX_NAME),
        ("endpoint of the resource", &resource.endpoint, MAX_ENDPOINT),
    ] {
        text::check(what, text, longest).map_err(RuleError::Invalid)?;
    }
    for (what, text) in [
        ("type", &resource.kind),
        ("name", &resource.name),
        ("endpoint", &resource.endpoint),
    ] {
        if text.is_empty() {
            return Err(RuleError::Invalid(format!(
                "the resource has no {what}, so the rule would never apply; '*' stands for any"
            )));
        }
    }
    Ok(())
}
