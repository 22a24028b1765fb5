//! The help of the commands, made from their definitions.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::{
    env::{self, Variable},
    error::{CliError, Result},
};

/// The version as users see it.
pub(crate) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

const APP: &str = "A framework for cloud native development\n\n   \
    Use `micro [command] --help` to see command specific help.";

/// The help of the command with this path; an empty path means the whole program.
///
/// # Errors
/// There is no such command.
pub(crate) fn of(tree: &Command, path: &[String]) -> Result<String> {
    let mut command = tree;
    for name in path {
        command = command
            .find_subcommand(name)
            .ok_or_else(|| CliError::unknown_command(name))?;
    }
    let mut title = String::from("micro");
    for name in path {
        title.push(' ');
        title.push_str(name);
    }
    Ok(page(command, &title, path.first().map(String::as_str)))
}

fn page(command: &Command, title: &str, name: Option<&str>) -> String {
    let about = match name {
        None => APP.to_owned(),
        Some(_) => text(command.get_about()),
    };
    let mut page = format!("NAME:\n   {title} - {about}\n\nUSAGE:\n   {title}");
    let global = name.is_none();
    let flags: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
        .collect();
    if !flags.is_empty() {
        page.push_str(if global {
            " [global options]"
        } else {
            " [command options]"
        });
    }
    if command.has_subcommands() {
        page.push_str(" command [arguments...]");
    }
    for positional in command.get_positionals().filter(|arg| !arg.is_hide_set()) {
        let _infallible = write!(page, " {}", positional_name(positional));
    }
    page.push('\n');
    if global {
        let _infallible = write!(page, "\nVERSION:\n   {VERSION}\n");
    }
    if let Some(long) = command.get_long_about().filter(|_| !global) {
        let _infallible = write!(
            page,
            "\nDESCRIPTION:\n   {}\n",
            long.to_string().replace('\n', "\n   ")
        );
    }
    let mut commands: Vec<(String, String)> = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| (sub.get_name().to_owned(), text(sub.get_about())))
        .collect();
    commands.sort();
    section(&mut page, "COMMANDS", &commands);
    let mut options: Vec<(String, String)> =
        flags.into_iter().map(|flag| option(name, flag)).collect();
    options.push(("--help, -h".to_owned(), "show help".to_owned()));
    if global {
        options.push(("--version, -v".to_owned(), "print the version".to_owned()));
    }
    section(
        &mut page,
        if global { "GLOBAL OPTIONS" } else { "OPTIONS" },
        &options,
    );
    page
}

fn text(about: Option<&clap::builder::StyledStr>) -> String {
    about.map(ToString::to_string).unwrap_or_default()
}

fn positional_name(arg: &Arg) -> String {
    let name = arg.get_id().as_str().to_uppercase();
    let many = arg.get_action().takes_values()
        && arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1);
    if many { format!("[{name}...]") } else { name }
}

/// The two columns of a flag: its spellings, and what it does with its default and variable.
fn option(command: Option<&str>, arg: &Arg) -> (String, String) {
    let mut names: Vec<String> = arg.get_long().into_iter().map(dashed).collect();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_all_aliases().into_iter().flatten().map(dashed));
    let mut left = names.join(", ");
    if arg.get_action().takes_values() {
        left.push_str(" value");
    }
    let mut right = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let variable: Option<&Variable> = arg.get_long().and_then(|long| env::behind(command, long));
    let default = match (arg.get_default_values(), variable) {
        ([default, ..], _) => default.to_string_lossy().into_owned(),
        ([], Some(variable)) => variable.default.to_owned(),
        ([], None) => String::new(),
    };
    if !default.is_empty() && arg.get_action().takes_values() {
        let _infallible = write!(right, " (default: {default})");
    }
    if let Some(variable) = variable {
        let _infallible = write!(right, " [${}]", variable.name);
    }
    (left, right)
}

fn dashed(name: &str) -> String {
    if name.chars().count() == 1 {
        format!("-{name}")
    } else {
        format!("--{name}")
    }
}

fn section(page: &mut String, heading: &str, rows: &[(String, String)]) {
    if rows.is_empty() {
        return;
    }
    let width = rows
        .iter()
        .map(|(left, _)| left.chars().count())
        .max()
        .unwrap_or(0);
    let _infallible = write!(page, "\n{heading}:\n");
    for (left, right) in rows {
        let line = format!("   {left:width$}  {right}");
        page.push_str(line.trim_end());
        page.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;

    #[test]
    fn every_command_says_its_name_and_use() {
        let tree = app::tree();
        let whole = of(&tree, &[]).unwrap();
        let mut names: Vec<&str> = tree.get_subcommands().map(Command::get_name).collect();
        for name in &names {
            let page = of(&tree, &[(*name).to_owned()]).unwrap();
            assert!(page.contains(&format!("micro {name} -")), "{page}");
            assert!(whole.contains(&format!("\n   {name} ")), "{whole}");
        }
        names.sort_unstable();
        let listed: Vec<&str> = whole
            .split("COMMANDS:\n")
            .nth(1)
            .unwrap()
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn a_flag_shows_its_variable() {
        let page = of(&app::tree(), &["server".to_owned()]).unwrap();
        assert!(page.contains("[$MICRO_PROXY_ADDRESS]"), "{page}");
        assert!(!page.contains("[$MICRO_PROXY]"), "{page}");
        let page = of(&app::tree(), &[]).unwrap();
        assert!(page.contains("[$MICRO_PROXY]"), "{page}");
    }
}
