//! `${VAR}` and `${VAR:-default}` in the strings of a manifest.

/// Why a string could not be expanded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// The variable is not set and has no default.
    Missing(String),
    /// The string is not well formed; says how.
    Malformed(String),
}

/// The text with every variable replaced. `$${` stands for `${` itself. A default is taken when
/// the variable is not set or empty, as in a shell; it ends at the next `}`.
pub(crate) fn expand(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let before = &rest[..at];
        let after = &rest[at + 2..];
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some(end) = after.find('}') else {
            return Err(ExpandError::Malformed(
                "a `${` has no closing `}` (write `$${` for the characters themselves)".into(),
            ));
        };
        out.push_str(&value(&after[..end], lookup)?);
        rest = &after[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

fn value(inside: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let well_formed = name
        .strip_prefix(|c: char| c.is_ascii_alphabetic() || c == '_')
        .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    if !well_formed {
        // What stands there is not told: it may be part of a secret.
        return Err(ExpandError::Malformed(
            "a `${` begins what is neither ${VAR} nor ${VAR:-default}; `$${` is `${` itself"
                .to_owned(),
        ));
    }
    match (lookup(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(ExpandError::Missing(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, ExpandError>) {
        let lookup = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(expand(text, &lookup), expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn variables_are_replaced() {
        check("plain", Ok("plain"));
        check("a $ and a } alone", Ok("a $ and a } alone"));
        check("${SET}", Ok("value"));
        check("<${SET}|${SET}>", Ok("<value|value>"));
        check("${EMPTY}", Ok(""));
        check(
            "nats://${HOST:-127.0.0.1}:4222",
            Ok("nats://127.0.0.1:4222"),
        );
        check("${SET:-other}", Ok("value"));
        check("${EMPTY:-other}", Ok("other"));
        check("${UNSET:-}", Ok(""));
        check("$${SET} stays", Ok("${SET} stays"));
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        let lookup = |_: &str| Some("${SET}".to_owned());
        assert_eq!(expand("${A}", &lookup), Ok("${SET}".to_owned()));
    }

    #[test]
    fn what_cannot_be_replaced_is_named() {
        check("${UNSET}", Err(ExpandError::Missing("UNSET".into())));
        for malformed in ["${", "${SET", "${}", "${1A}", "${A B}", "${A-b}", "${:-x}"] {
            let result = expand(malformed, &|_| None);
            assert!(
                matches!(result, Err(ExpandError::Malformed(_))),
                "{malformed}: {result:?}"
            );
        }
    }
}
