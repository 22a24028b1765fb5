//! The caller of one call, as the doors found them.

use std::{net::IpAddr, sync::Arc};

use micro_wire::Error;

use crate::{Account, SCOPE_ADMIN, SCOPE_SERVICE, namespace, way_back};

/// Who makes a call, and in which namespace. The doors put it into the extensions of the request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account of a valid token; `None` for an anonymous caller.
    pub account: Option<Arc<Account>>,
    /// The namespace that the call is made in.
    pub namespace: String,
    /// The address that the call came from, as far as the door told; in errors and logs it has no
    /// place.
    pub source: Option<IpAddr>,
    stale: bool,
    denial: Option<Box<Error>>,
}

impl Caller {
    /// A caller who has authenticated.
    pub fn new(account: impl Into<Arc<Account>>, namespace: impl Into<String>) -> Self {
        Self {
            account: Some(account.into()),
            namespace: namespace.into(),
            source: None,
            stale: false,
            denial: None,
        }
    }

    /// A caller of whom nothing is known.
    pub fn anonymous(namespace: impl Into<String>) -> Self {
        Self {
            account: None,
            namespace: namespace.into(),
            source: None,
            stale: false,
            denial: None,
        }
    }
}

impl Caller {
    /// The same caller, admitted while the store could not be read: what accounts and rules say
    /// now is not known.
    #[must_use]
    pub(crate) fn with_stale(mut self, stale: bool) -> Self {
        self.stale = stale;
        self
    }

    /// The same caller, from this address.
    #[must_use]
    pub fn with_source(mut self, source: Option<IpAddr>) -> Self {
        self.source = source;
        self
    }

    /// The same caller, whom the rules deny this call unless they prove to administer them.
    #[must_use]
    pub(crate) fn with_denial(mut self, denial: Option<Error>) -> Self {
        self.denial = denial.map(Box::new);
        self
    }

    /// What a call of `Auth.Token` that the rules deny is to be answered, unless the one who asks
    /// proves to be `account`, and that administers the rules: rules must not lock out those who
    /// could mend them.
    pub fn denial(&self, account: Option<&Account>) -> Option<Error> {
        let denial = self.denial.as_deref()?;
        let excused = account.is_some_and(|a| way_back::administers(a, &self.namespace));
        (!excused).then(|| denial.clone())
    }

    /// The account, if it may act in `namespace`. `id` names the endpoint in the error
    /// (`store.Store.Read`).
    ///
    /// An admin or service of namespace `micro` may act everywhere, others in their own
    /// namespace. An empty namespace is anybody's who has an account; the platform's own (`$…`)
    /// is nobody's. [`namespace::EVERY`] is for those who may act everywhere, and for endpoints
    /// that say what it means there.
    ///
    /// # Errors
    /// 401 `An account is required`, 403 `Access denied to namespace`, 400 for what cannot be a
    /// namespace.
    pub fn authorize(&self, id: &str, namespace: &str) -> Result<&Account, Error> {
        let Some(account) = &self.account else {
            return Err(Error::unauthorized(id, "An account is required"));
        };
        let allowed = !namespace::is_reserved(namespace)
            && (account.is_platform_admin() || namespace.is_empty() || account.issuer == namespace);
        if !allowed {
            return Err(Error::forbidden(id, "Access denied to namespace"));
        }
        if !(namespace.is_empty() || namespace == namespace::EVERY) {
            namespace::check(namespace).map_err(|e| Error::bad_request(id, e.to_string()))?;
        }
        Ok(account)
    }

    /// The account, if it may administer `namespace`: as [`Caller::authorize`], and with scope
    /// `admin` or `service`.
    ///
    /// # Errors
    /// Those of [`Caller::authorize`]; 401 `Unauthorized`; 400 for [`namespace::EVERY`], which
    /// nothing is written to; 503 while accounts and rules cannot be read.
    pub fn authorize_admin(&self, id: &str, namespace: &str) -> Result<&Account, Error> {
        let account = self.authorize(id, namespace)?;
        if !(account.has_scope(SCOPE_ADMIN) || account.has_scope(SCOPE_SERVICE)) {
            return Err(Error::unauthorized(id, "Unauthorized"));
        }
        if namespace == namespace::EVERY {
            let none = namespace::InvalidNamespace(namespace.to_owned());
            return Err(Error::bad_request(id, none.to_string()));
        }
        if self.stale {
            return Err(Error::service_unavailable(
                id,
                "accounts and rules cannot be read from the store just now, so admin calls are refused; try again in a few seconds",
            ));
        }
        Ok(account)
    }

    /// The account of the person who administers `namespace`: as [`Caller::authorize_admin`], but
    /// not a service. Who may call what is for people to decide, and a service that somebody has
    /// broken into must not be able to make itself at home.
    ///
    /// # Errors
    /// Those of [`Caller::authorize_admin`]; 403 for whoever is no person with scope `admin`.
    pub fn authorize_person(&self, id: &str, namespace: &str) -> Result<&Account, Error> {
        let account = self.authorize_admin(id, namespace)?;
        if !account.is_admin_person() {
            return Err(Error::forbidden(
                id,
                "only an account of type `user` with scope `admin` may do this, not a service",
            ));
        }
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(issuer: &str, kind: &str, scopes: &[&str]) -> Caller {
        let account = Account {
            id: "x".into(),
            kind: kind.into(),
            issuer: issuer.into(),
            scopes: scopes.iter().map(|&s| s.into()).collect(),
            ..Account::default()
        };
        Caller::new(account, issuer)
    }

    #[test]
    fn who_may_act_where() {
        const DENIED: Result<(), (i32, &str)> = Err((403, "Access denied to namespace"));
        const PLAIN: Result<(), (i32, &str)> = Err((401, "Unauthorized"));
        const IMPOSSIBLE: Result<(), (i32, &str)> = Err((400, ""));
        let micro_admin = caller("micro", "user", &["admin"]);
        let micro_service = caller("micro", "service", &["service"]);
        let micro_user = caller("micro", "user", &[]);
        let foo_admin = caller("foo", "user", &["admin"]);
        let foo_service = caller("foo", "service", &["service"]);
        let foo_user = caller("foo", "user", &["other"]);
        for (who, namespace, any, admin) in [
            (&micro_admin, "foo", Ok(()), Ok(())),
            (&micro_admin, "*", Ok(()), IMPOSSIBLE),
            (&micro_admin, "a/b", IMPOSSIBLE, IMPOSSIBLE),
            (&micro_admin, "$platform", DENIED, DENIED),
            (&micro_service, "foo", Ok(()), Ok(())),
            (&micro_service, "micro", Ok(()), Ok(())),
            (&micro_user, "micro", Ok(()), PLAIN),
            (&micro_user, "foo", DENIED, DENIED),
            (&foo_admin, "foo", Ok(()), Ok(())),
            (&foo_admin, "micro", DENIED, DENIED),
            (&foo_service, "foo", Ok(()), Ok(())),
            (&foo_service, "bar", DENIED, DENIED),
            (&foo_user, "foo", Ok(()), PLAIN),
            (&foo_user, "", Ok(()), PLAIN),
            (&foo_user, "*", DENIED, DENIED),
        ] {
            let flat = |result: Result<&Account, Error>| {
                result.map(drop).map_err(|e| match e.code {
                    400 => (400, String::new()),
                    code => (code, e.detail),
                })
            };
            let want = |result: Result<(), (i32, &str)>| {
                result.map_err(|(code, detail)| (code, detail.to_owned()))
            };
            let what = format!("{who:?} in {namespace}");
            assert_eq!(flat(who.authorize("id", namespace)), want(any), "{what}");
            assert_eq!(
                flat(who.authorize_admin("id", namespace)),
                want(admin),
                "admin {what}"
            );
        }
    }

    #[test]
    fn a_person_is_no_service() {
        for (kind, scopes, code) in [
            ("user", &["admin"][..], None),
            ("user", &["service", "admin"], None),
            ("service", &["service"], Some(403)),
            ("service", &["admin"], Some(403)),
            ("user", &["service"], Some(403)),
            ("user", &[], Some(401)),
        ] {
            let refused = caller("foo", kind, scopes)
                .authorize_person("x", "foo")
                .map(drop)
                .map_err(|error| error.code);
            assert_eq!(refused.err(), code, "{kind} {scopes:?}");
        }
    }

    #[test]
    fn nobody_may_do_anything() {
        let error = Caller::anonymous("micro")
            .authorize("store.Store.Read", "micro")
            .unwrap_err();
        assert_eq!(
            error,
            Error::unauthorized("store.Store.Read", "An account is required")
        );
    }

    #[test]
    fn admins_wait_while_accounts_cannot_be_read() {
        let caller = caller("micro", "user", &["admin"]).with_stale(true);
        assert!(caller.authorize("x", "micro").is_ok());
        assert_eq!(caller.authorize_admin("x", "micro").unwrap_err().code, 503);
    }
}
