//! Where a topic is: in the namespace of whoever publishes or subscribes, and in no other.

use micro_access::{Caller, namespace as names};
use micro_plugin_api::broker::Message;
use micro_wire::Error;

/// The most bytes in the name of a topic: what a broker takes, less room for the namespace.
pub(super) const MAX_TOPIC: usize = Message::MAX_NAME - names::MAX_LENGTH - 1;

/// The namespace that a call publishes or subscribes in.
///
/// It is that of the account. An admin or service of the platform, who may act everywhere, acts in
/// the one that the call is made in.
///
/// # Errors
/// 401 without an account, 403 in a namespace that is not the account's. The platform's own, which
/// clients name for every core service, counts as none.
pub(super) fn namespace(id: &str, caller: &Caller) -> Result<String, Error> {
    let Some(account) = &caller.account else {
        return Err(Error::unauthorized(id, "Access denied to namespace"));
    };
    let asked = caller.namespace.as_str();
    if account.issuer != names::DEFAULT && asked == names::DEFAULT {
        return Ok(account.issuer.clone());
    }
    caller.authorize(id, asked)?;
    Ok(asked.to_owned())
}

/// The topic of the module for one of a namespace.
///
/// # Errors
/// 400 for one that is empty or too long.
pub(super) fn full(id: &str, namespace: &str, topic: &str) -> Result<String, Error> {
    match topic.len() {
        0 => Err(Error::bad_request(id, "Missing topic")),
        1..=MAX_TOPIC => Ok(in_namespace(namespace, topic)),
        length => {
            let detail =
                format!("the topic has {length} bytes; a topic has no more than {MAX_TOPIC}");
            Err(Error::bad_request(id, detail))
        }
    }
}

/// The topic of the module for one of a namespace, whose name holds no `/`.
pub(crate) fn in_namespace(namespace: &str, topic: &str) -> String {
    format!("{namespace}/{topic}")
}

#[cfg(test)]
mod tests {
    use micro_access::Account;

    use super::*;

    fn caller(issuer: &str, scopes: &[&str], namespace: &str) -> Caller {
        let account = Account {
            issuer: issuer.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            ..Account::default()
        };
        Caller::new(account, namespace)
    }

    #[test]
    fn topics_are_of_the_callers_namespace() {
        for (issuer, scopes, asked, wanted) in [
            ("foo", &["service"][..], "foo", Ok("foo")),
            ("foo", &[], "foo", Ok("foo")),
            ("foo", &["admin"], "micro", Ok("foo")),
            ("foo", &["admin"], "bar", Err(403)),
            ("micro", &["admin"], "bar", Ok("bar")),
            ("micro", &["service"], "micro", Ok("micro")),
            ("micro", &[], "micro", Ok("micro")),
            ("micro", &[], "bar", Err(403)),
            ("micro", &["admin"], "$platform", Err(403)),
        ] {
            let found = namespace("id", &caller(issuer, scopes, asked));
            assert_eq!(
                found.as_deref().map_err(|error| error.code),
                wanted,
                "{issuer} {scopes:?} in {asked}"
            );
        }
        let nobody = namespace("id", &Caller::anonymous("micro")).unwrap_err();
        assert_eq!(
            nobody,
            Error::unauthorized("id", "Access denied to namespace")
        );
    }

    #[test]
    fn topics_have_a_name_of_bounded_length() {
        assert_eq!(full("id", "a", "b/c").unwrap(), "a/b/c");
        assert_eq!(full("id", "a", "").unwrap_err().detail, "Missing topic");
        let longest = "t".repeat(MAX_TOPIC);
        let of_longest = "n".repeat(names::MAX_LENGTH);
        let full_length = full("id", &of_longest, &longest).unwrap().len();
        assert_eq!(full_length, Message::MAX_NAME);
        assert_eq!(full("id", "a", &(longest + "t")).unwrap_err().code, 400);
    }
}
