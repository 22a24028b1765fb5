//! `micro profile diff`: in what two profiles differ once everything is laid together.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    asked::Asked,
    view::{Section, sections},
};
use crate::{
    commands::{Outcome, missing},
    context::Context,
    error::Result,
    plugins::Places,
    printer::Output,
};

/// Which two.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The one: a name or a path
    one: Option<String>,
    /// The other
    other: Option<String>,
    /// text or json
    #[arg(long, value_parser = ["text", "json"], default_value = "text")]
    output: String,
}

/// Prints what differs, nothing if nothing does. A secret that differs is named, not shown.
pub(super) async fn run(context: &Context<'_>, places: &Places, args: Args) -> Result<Outcome> {
    let (Some(one), Some(other)) = (args.one, args.other) else {
        return Err(missing("profile diff", "two profiles"));
    };
    let mut both = Vec::new();
    for name in [one, other] {
        let profile = places.profile(&name)?;
        let asked = Asked::of(places, &profile).await;
        asked.explain(context.printer);
        both.push(sections(&profile, &asked));
    }
    let (Some(other), Some(one)) = (both.pop(), both.pop()) else {
        return Ok(Output::Nothing.into());
    };
    let differences = differences(&one, &other);
    Ok(match args.output == "json" {
        true => Output::Spaced(as_json(&differences)),
        false => Output::Lines(as_lines(&differences)),
    }
    .into())
}

/// A section that is not the same: the entries that only the one and only the other has.
struct Difference<'a> {
    section: &'a str,
    one: Vec<(&'a str, &'a Value, String)>,
    other: Vec<(&'a str, &'a Value, String)>,
}

fn differences<'a>(one: &'a [Section], other: &'a [Section]) -> Vec<Difference<'a>> {
    let mut seen = BTreeSet::new();
    let names = one.iter().chain(other).map(|section| section.name.as_str());
    let names = names.filter(|name| seen.insert(*name));
    let differs = |name: &'a str| {
        let difference = Difference {
            section: name,
            one: only(one, other, name),
            other: only(other, one, name),
        };
        (!difference.one.is_empty() || !difference.other.is_empty()).then_some(difference)
    };
    names.filter_map(differs).collect()
}

/// The entries of a section in `here` that are not the same in `there`.
fn only<'a>(
    here: &'a [Section],
    there: &[Section],
    name: &str,
) -> Vec<(&'a str, &'a Value, String)> {
    let there = there.iter().find(|section| section.name == name);
    let here = here.iter().find(|section| section.name == name);
    here.into_iter()
        .flat_map(|section| &section.entries)
        .filter(|entry| {
            !there.is_some_and(|there| there.entries.iter().any(|other| entry.is_same(other)))
        })
        .map(|entry| (entry.key.as_str(), &entry.shown, entry.line()))
        .collect()
}

fn as_lines(differences: &[Difference<'_>]) -> Vec<String> {
    let mut lines = Vec::new();
    for difference in differences {
        lines.push(format!("[{}]", difference.section));
        lines.extend(difference.one.iter().map(|(.., line)| format!("- {line}")));
        lines.extend(
            difference
                .other
                .iter()
                .map(|(.., line)| format!("+ {line}")),
        );
    }
    lines
}

fn as_json(differences: &[Difference<'_>]) -> Value {
    let side = |entries: &[(&str, &Value, String)]| {
        let pairs = entries
            .iter()
            .map(|(key, shown, _)| ((*key).to_owned(), (*shown).clone()));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let sections = differences.iter().map(|difference| {
        let both = json!({"one": side(&difference.one), "other": side(&difference.other)});
        (difference.section.to_owned(), both)
    });
    Value::Object(sections.collect())
}
