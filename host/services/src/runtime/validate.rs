//! What a service may be called, and what may be asked of one.

use std::collections::BTreeMap;

use micro_wire::shown;

/// The most characters of a name or a version.
const LONGEST: usize = 128;

/// The version of a service that names none.
pub(crate) const LATEST: &str = "latest";

/// Checks the name of a service: it is part of paths, of keys and of addresses.
pub(crate) fn name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the service has no name".to_owned());
    }
    part("name", name)?;
    if micro_route::is_reserved(name) {
        return Err(format!(
            "{name} is the name of a service of the platform; choose another"
        ));
    }
    Ok(())
}

/// The version that is meant by `version`.
pub(crate) fn version(version: &str) -> Result<String, String> {
    if version.is_empty() {
        return Ok(LATEST.to_owned());
    }
    part("version", version)?;
    Ok(version.to_owned())
}

fn part(what: &str, text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() > LONGEST || !begins_well || !text.chars().all(allowed) {
        return Err(format!(
            "the {what} {} is not allowed: it begins with a letter or digit, goes on with those, `-`, `_` and `.`, and has at most {LONGEST} characters",
            shown(text)
        ));
    }
    Ok(())
}

/// The variables of `NAME=VALUE` entries.
pub(crate) fn environment(entries: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut variables = BTreeMap::new();
    for entry in entries {
        // Without the entry itself: its value may be a secret.
        let (name, value) = entry
            .split_once('=')
            .ok_or("an environment variable must be given as NAME=VALUE")?;
        variable(name, value)?;
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

/// Whether a process can be given this variable.
pub(crate) fn variable(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains(['\0', '=']) || value.contains('\0') {
        return Err(format!(
            "the environment variable {} has no name, `=` in it, or holds a NUL",
            shown(name)
        ));
    }
    Ok(())
}

/// How many processes of a service are asked for: every runtime so far runs one.
pub(crate) fn instances(number: i64) -> Result<(), String> {
    if !(0..=1).contains(&number) {
        return Err(format!(
            "{number} instances are asked for; this runtime runs one of each service"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions() {
        for good in ["helloworld", "a", "Hello_World-2.0", "9lives"] {
            assert_eq!(name(good), Ok(()), "{good}");
            assert_eq!(version(good), Ok(good.to_owned()));
        }
        let long = "x".repeat(LONGEST + 1);
        for bad in [
            "",
            "..",
            ".x",
            "-x",
            "a/b",
            "a:b",
            "a b",
            "ü",
            "a\n",
            long.as_str(),
            "store",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert_eq!(version(""), Ok("latest".to_owned()));
        assert!(
            version("../x")
                .unwrap_err()
                .contains("the version \"../x\" is not allowed")
        );
    }

    #[test]
    fn variables() {
        let entries = ["A=1", "B=x=y", "C="].map(str::to_owned);
        let variables = environment(&entries).unwrap();
        assert_eq!(variables["B"], "x=y");
        assert_eq!(variables["C"], "");
        let error = environment(&["hunter2".to_owned()]).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(environment(&["=x".to_owned()]).is_err());
    }
}
