//! Accounts and rules as messages.

use micro_access::{Account, Effect, Resource, Rule};
use micro_proto::auth as proto;

/// The account, without a secret: nobody can read that again.
pub(super) fn account(account: Account) -> proto::Account {
    proto::Account {
        id: account.id,
        r#type: account.kind,
        metadata: account.metadata.into_iter().collect(),
        scopes: account.scopes,
        issuer: account.issuer,
        secret: String::new(),
        name: account.name,
    }
}

/// The rule.
pub(super) fn rule(rule: Rule) -> proto::Rule {
    let access = match rule.access {
        Effect::Granted => proto::Access::Granted,
        Effect::Denied => proto::Access::Denied,
    };
    proto::Rule {
        id: rule.id,
        scope: rule.scope,
        resource: Some(proto::Resource {
            name: rule.resource.name,
            r#type: rule.resource.kind,
            endpoint: rule.resource.endpoint,
        }),
        access: access.into(),
        priority: rule.priority,
    }
}

/// The rule that somebody wants to make.
///
/// # Errors
/// What is missing, as clients know it.
pub(super) fn new_rule(rule: Option<proto::Rule>) -> Result<Rule, &'static str> {
    let rule = rule.ok_or("Rule missing")?;
    if rule.id.is_empty() {
        return Err("ID missing");
    }
    let access = match rule.access() {
        proto::Access::Granted => Some(Effect::Granted),
        proto::Access::Denied => Some(Effect::Denied),
        proto::Access::Unknown => None,
    };
    let resource = rule.resource.ok_or("Resource missing")?;
    Ok(Rule {
        id: rule.id,
        scope: rule.scope,
        resource: Resource {
            kind: resource.r#type,
            name: resource.name,
            endpoint: resource.endpoint,
        },
        access: access.ok_or("Access missing")?,
        priority: rule.priority,
    })
}
