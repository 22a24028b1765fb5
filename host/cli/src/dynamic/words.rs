//! The words after `micro`: a service, perhaps an endpoint, and flags whose types are not known yet.

use crate::error::{CliError, Result};

/// What was typed, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// The service and what else is no flag.
    pub(super) names: Vec<String>,
    /// The flags in their order, each with all its values; none where a flag had no value.
    pub(super) flags: Vec<Flag>,
    /// True if `--help` stands anywhere.
    pub(super) help: bool,
}

/// A flag with the values that it was given, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) key: String,
    pub(super) values: Vec<Option<String>>,
}

impl Words {
    /// Takes `--k=v`, `--k v`, `--k` apart from the rest. A value may contain `=`.
    pub(super) fn parse(words: &[String]) -> Result<Self> {
        let mut parsed = Self::default();
        let mut rest = words.iter().peekable();
        while let Some(word) = rest.next() {
            let Some(flag) = word.strip_prefix("--") else {
                parsed.names.push(word.clone());
                continue;
            };
            let (key, value) = match flag.split_once('=') {
                Some((key, value)) => (key, Some(value.to_owned())),
                None if flag == "help" => {
                    parsed.help = true;
                    continue;
                }
                None => (flag, rest.next_if(|next| !next.starts_with("--")).cloned()),
            };
            if key.is_empty() {
                return Err(CliError::new(
                    128,
                    format!("Invalid flag: {word}. Expected format: --foo=bar"),
                ));
            }
            parsed.give(key, value);
        }
        Ok(parsed)
    }

    fn give(&mut self, key: &str, value: Option<String>) {
        match self.flags.iter_mut().find(|flag| flag.key == key) {
            Some(flag) => flag.values.push(value),
            None => self.flags.push(Flag {
                key: key.to_owned(),
                values: vec![value],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Words {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Words::parse(&words).unwrap()
    }

    #[test]
    fn flags_and_names_are_told_apart() {
        let words = parse("svc --a=1 b --c 2 --d --a=x=y --e -1 --f");
        assert_eq!(words.names, ["svc", "b"]);
        let flags: Vec<(&str, Vec<Option<&str>>)> = words
            .flags
            .iter()
            .map(|flag| {
                let values = flag.values.iter().map(Option::as_deref).collect();
                (flag.key.as_str(), values)
            })
            .collect();
        assert_eq!(
            flags,
            [
                ("a", vec![Some("1"), Some("x=y")]),
                ("c", vec![Some("2")]),
                ("d", vec![None]),
                ("e", vec![Some("-1")]),
                ("f", vec![None]),
            ]
        );
        assert!(!words.help);
        assert!(parse("svc --name --help").help);
    }

    #[test]
    fn a_flag_has_a_name() {
        for word in ["--", "--=x"] {
            let error = Words::parse(&[word.to_owned()]).unwrap_err();
            assert_eq!(error.code, 128);
            assert_eq!(
                error.message,
                format!("Invalid flag: {word}. Expected format: --foo=bar")
            );
        }
    }
}
