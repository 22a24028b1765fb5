//! Callers as a door would have found them, for tests of what a service answers to whom.

use std::convert::Infallible;

use http::Request;
use micro_access::{Account, Caller, KIND_SERVICE, KIND_USER};
use tonic::body::Body;
use tower::{service_fn, util::BoxCloneSyncService};

use crate::{Core, Door};

impl Core {
    /// The core services as this caller reaches them.
    pub fn by(&self, caller: Caller) -> Door {
        let services = self.services.clone();
        BoxCloneSyncService::new(service_fn(move |mut request: Request<Body>| {
            request.extensions_mut().insert(caller.clone());
            let answer = services.call(request);
            async move { Ok::<_, Infallible>(answer.await) }
        }))
    }
}

/// An admin of `namespace`, in it.
pub fn admin(namespace: &str) -> Caller {
    with_account(namespace, KIND_USER, "admin")
}

/// A service that runs in `namespace`.
pub fn service(namespace: &str) -> Caller {
    with_account(namespace, KIND_SERVICE, "service")
}

/// A person of `namespace` without a scope that counts, in it.
pub fn user(namespace: &str) -> Caller {
    with_account(namespace, KIND_USER, "other")
}

/// Somebody without an account, in `namespace`.
pub fn anonymous(namespace: &str) -> Caller {
    Caller::anonymous(namespace)
}

/// The same caller, in another namespace.
pub fn within(namespace: &str, mut caller: Caller) -> Caller {
    namespace.clone_into(&mut caller.namespace);
    caller
}

fn with_account(namespace: &str, kind: &str, scope: &str) -> Caller {
    let account = Account {
        id: format!("{scope}-of-{namespace}"),
        kind: kind.to_owned(),
        issuer: namespace.to_owned(),
        scopes: vec![scope.to_owned()],
        ..Account::default()
    };
    Caller::new(account, namespace)
}
