//! Makes the arguments uniform before they are parsed: `-x` is `--x`, a flag's value is joined to it, and environment
//! variables stand in for flags that were not given.

use std::collections::BTreeSet;

use clap::{Arg, ArgAction, Command};

use crate::{
    env::{self, Environment},
    error::{CliError, Result},
};

/// Arguments that the parser reads without further thought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// The program's name, the global flags, the command, its flags and its arguments.
    pub(crate) args: Vec<String>,
    /// The command and its sub-commands, as far as they are known.
    pub(crate) path: Vec<String>,
    /// True if help was asked for.
    pub(crate) help: bool,
    /// True if the version was asked for.
    pub(crate) version: bool,
    /// The environment variables that were used.
    pub(crate) variables: Vec<&'static str>,
}

/// Goes through the arguments (the program's name first) along the tree of commands.
/// What follows an unknown command is left as it is.
///
/// # Errors
/// A boolean flag or variable with another value than true or false.
pub(crate) fn prepare(
    tree: &Command,
    args: &[String],
    environment: &Environment,
) -> Result<Prepared> {
    let mut level = Level::of(tree);
    let mut prepared = Prepared {
        args: args.first().cloned().into_iter().collect(),
        ..Prepared::default()
    };
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        if arg == "--" {
            level.enter(&mut prepared, environment)?;
            prepared.args.push(arg.clone());
            prepared.args.extend(rest.cloned());
            return Ok(prepared);
        }
        if let Some((name, value)) = flag(arg) {
            match name {
                "help" | "h" => prepared.help = true,
                "version" | "v" if prepared.path.is_empty() => prepared.version = true,
                name => {
                    let given = match level.find(name) {
                        Some(found) if takes_value(found) && value.is_none() => {
                            rest.next().map(String::as_str)
                        }
                        _ => value,
                    };
                    level.give(name, given)?;
                }
            }
            continue;
        }
        if level.command.has_subcommands() {
            level.enter(&mut prepared, environment)?;
            prepared.args.push(arg.clone());
            if let Some(sub) = level.command.find_subcommand(arg) {
                prepared.path.push(sub.get_name().to_owned());
                level = Level::of(sub);
                continue;
            }
            if prepared.path.is_empty() {
                prepared.args.extend(rest.cloned());
                return Ok(prepared);
            }
            level = Level::of(level.command);
            level.over = true;
            continue;
        }
        level.positionals.push(arg.clone());
    }
    level.enter(&mut prepared, environment)?;
    Ok(prepared)
}

/// Name and value of `-name`, `--name`, `--name=value`; numbers and a lone `-` are no flags.
fn flag(arg: &str) -> Option<(&str, Option<&str>)> {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    if !name.starts_with(|first: char| first.is_alphabetic()) {
        return None;
    }
    Some(match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    })
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// The flags of one command, gathered until its name or its end is reached.
struct Level<'a> {
    command: &'a Command,
    flags: Vec<String>,
    positionals: Vec<String>,
    given: BTreeSet<String>,
    /// Set once the flags have been handed over.
    over: bool,
}

impl<'a> Level<'a> {
    fn of(command: &'a Command) -> Self {
        Self {
            command,
            flags: Vec::new(),
            positionals: Vec::new(),
            given: BTreeSet::new(),
            over: false,
        }
    }

    fn find(&self, name: &str) -> Option<&'a Arg> {
        let mut letters = name.chars();
        let short = letters.next().filter(|_| letters.as_str().is_empty());
        self.command.get_arguments().find(|arg| {
            let long = arg.get_long() == Some(name)
                || arg
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(&name));
            long || (short.is_some() && arg.get_short() == short)
        })
    }

    /// Notes a flag, in the one spelling that the parser sees.
    fn give(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let arg = self.find(name);
        let long = arg.and_then(Arg::get_long).unwrap_or(name);
        self.given.insert(long.to_owned());
        let switch = arg.is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue));
        match value {
            Some(value) if switch => {
                let set = truth(value).ok_or_else(|| {
                    CliError::plain(format!("--{long} is true or false, not \"{value}\""))
                })?;
                // The last word counts, as with every other flag.
                let flag = format!("--{long}");
                self.flags.retain(|given| *given != flag);
                if set {
                    self.flags.push(flag);
                }
            }
            Some(value) => self.flags.push(format!("--{long}={value}")),
            None if arg.is_some_and(takes_value) => {
                return Err(CliError::plain(format!("--{long} needs a value")));
            }
            None => self.flags.push(format!("--{long}")),
        }
        Ok(())
    }

    /// Adds the variables of flags that were not given, and hands everything over.
    fn enter(&mut self, prepared: &mut Prepared, environment: &Environment) -> Result<()> {
        let command = prepared.path.first().map(String::as_str);
        let tree = self.command;
        let open = !self.over;
        for arg in tree.get_arguments().filter(|_| open) {
            let Some(long) = arg.get_long().filter(|long| !self.given.contains(*long)) else {
                continue;
            };
            let Some(variable) = env::behind(command, long) else {
                continue;
            };
            if let Some(value) = environment.get(variable.name) {
                self.give(long, Some(value)).map_err(|error| {
                    error.hint(format!("the value comes from {}", variable.name))
                })?;
                prepared.variables.push(variable.name);
            }
        }
        self.over = true;
        prepared.args.append(&mut self.flags);
        prepared.args.append(&mut self.positionals);
        Ok(())
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;

    fn prepared_with(environment: &[(&str, &str)], line: &[&str]) -> Prepared {
        let args: Vec<String> = ["micro"]
            .iter()
            .chain(line)
            .map(|arg| (*arg).to_owned())
            .collect();
        prepare(&app::tree(), &args, &Environment::of(environment, "/")).unwrap()
    }

    fn check(line: &[&str], expected: &[&str]) {
        assert_eq!(prepared_with(&[], line).args[1..], *expected, "{line:?}");
    }

    #[test]
    fn one_dash_is_two_and_values_are_joined() {
        check(
            &["-env", "dev", "run", "-name", "-x", "."],
            &["--env=dev", "run", "--name=-x", "."],
        );
        check(
            &["run", ".", "--force", "--name=a=b"],
            &["run", "--force", "--name=a=b", "."],
        );
        check(&["run", "-force=false", "."], &["run", "."]);
        check(&["run", "-", "--", "--x"], &["run", "-", "--", "--x"]);
        check(&["logs", "-n", "3", "x"], &["logs", "--lines=3", "x"]);
        check(&["logs", "-f", "x"], &["logs", "--follow", "x"]);
        check(&["run", "--nosuch=1", "."], &["run", "--nosuch=1", "."]);
    }

    #[test]
    fn what_follows_an_unknown_command_is_its_own() {
        check(
            &["--env=dev", "helloworld", "--name", "-John", "--help"],
            &["--env=dev", "helloworld", "--name", "-John", "--help"],
        );
    }

    #[test]
    fn a_flag_wins_over_its_variable() {
        let environment = [("MICRO_ENV", "dev"), ("MICRO_OUTPUT", "raw")];
        let prepared = prepared_with(&environment, &["call", "a", "B.C"]);
        assert_eq!(
            prepared.args[1..],
            ["--env=dev", "call", "--output=raw", "a", "B.C"]
        );
        assert_eq!(prepared.variables, ["MICRO_ENV", "MICRO_OUTPUT"]);
        let prepared = prepared_with(&environment, &["-e", "x", "helloworld"]);
        assert_eq!(prepared.args[1..], ["--env=x", "helloworld"]);
    }

    #[test]
    fn help_and_version_are_seen_on_the_way() {
        let prepared = prepared_with(&[], &["user", "set", "--help"]);
        assert!(prepared.help);
        assert_eq!(prepared.path, ["user", "set"]);
        assert!(prepared_with(&[], &["-v"]).version);
    }
}
