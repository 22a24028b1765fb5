//! How whoever administers rules gets back in when rules shut them out.

use crate::{Account, namespace};

/// The service that this is about.
const SERVICE: &str = "auth";
/// Where a token is had for a secret.
const TOKEN: &str = "Auth.Token";
/// What else it takes to mend rules: knowing whose a token is, and the rules.
const ENDPOINTS: [&str; 4] = ["Auth.Inspect", "Rules.Create", "Rules.Delete", "Rules.List"];

/// How a call that the rules deny goes on nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WayBack {
    /// As if they granted it.
    Open,
    /// If its caller turns out to be one who administers them.
    OnProof,
}

/// The way of a call that the rules of `namespace` deny, if there is any.
pub(crate) fn of(
    account: Option<&Account>,
    service: &str,
    endpoint: &str,
    namespace: &str,
) -> Option<WayBack> {
    if service != SERVICE {
        return None;
    }
    let administers = account.is_some_and(|account| administers(account, namespace));
    match endpoint {
        TOKEN if administers => Some(WayBack::Open),
        TOKEN => Some(WayBack::OnProof),
        _ if administers && ENDPOINTS.contains(&endpoint) => Some(WayBack::Open),
        _ => None,
    }
}

/// Whether an account is that of a person who administers the rules of `namespace`.
pub(crate) fn administers(account: &Account, namespace: &str) -> bool {
    account.is_admin_person()
        && (account.issuer == namespace || account.issuer == namespace::DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gets_where() {
        let account = |issuer: &str, kind: &str, scope: &str| Account {
            issuer: issuer.into(),
            kind: kind.into(),
            scopes: vec![scope.into()],
            ..Account::default()
        };
        let chief = account("micro", "user", "admin");
        let local = account("foo", "user", "admin");
        let service = account("micro", "service", "service");
        let plain = account("micro", "user", "x");
        let (open, proof) = (Some(WayBack::Open), Some(WayBack::OnProof));
        for (who, service, endpoint, namespace, way) in [
            (Some(&chief), "auth", "Rules.Delete", "micro", open),
            (Some(&chief), "auth", "Rules.Delete", "foo", open),
            (Some(&chief), "auth", "Auth.Token", "micro", open),
            (Some(&chief), "auth", "Accounts.List", "micro", None),
            (Some(&chief), "helloworld", "Rules.Delete", "micro", None),
            (Some(&local), "auth", "Rules.List", "foo", open),
            (Some(&local), "auth", "Rules.List", "micro", None),
            (Some(&local), "auth", "Auth.Token", "micro", proof),
            (Some(&service), "auth", "Rules.List", "micro", None),
            (Some(&plain), "auth", "Auth.Token", "micro", proof),
            (None, "auth", "Auth.Token", "micro", proof),
            (None, "auth", "Rules.List", "micro", None),
        ] {
            let what = format!("{who:?} {service}:{endpoint} in {namespace}");
            assert_eq!(of(who, service, endpoint, namespace), way, "{what}");
        }
    }
}
