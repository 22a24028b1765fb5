//! `micro auth list|create|delete rule`.

use std::cmp::Reverse;

use micro_proto::auth::{
    Access, CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, ListRequest,
    ListResponse, Resource, Rule,
};

use super::{failed, options};
use crate::{
    error::{CliError, Result},
    printer::{Align, Output, Table},
    session::Session,
};

/// A rule to be made.
#[derive(Debug, clap::Args)]
pub(crate) struct New {
    /// What to call it
    id: Vec<String>,
    /// Whom it is about: nothing for everybody, * for every account of the namespace, + for every account of any namespace, else the accounts with this scope
    #[arg(long, default_value = "", hide_default_value = true)]
    scope: String,
    /// What it is about, as type:name:endpoint, each of which may be *
    #[arg(long, default_value = "", hide_default_value = true)]
    resource: String,
    /// granted or denied
    #[arg(long, default_value = "granted")]
    access: String,
    /// Of several rules the one with the largest priority decides
    #[arg(long, default_value_t = 0)]
    priority: i32,
}

/// A rule to be deleted, and what the reference's command takes without looking at it.
#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Which one
    id: Vec<String>,
    #[arg(long, hide = true)]
    scope: Option<String>,
    #[arg(long, hide = true)]
    resource: Option<String>,
    #[arg(long, hide = true)]
    access: Option<String>,
    #[arg(long, hide = true)]
    priority: Option<String>,
}

impl New {
    /// The rule that the words describe.
    pub(super) fn rule(self) -> Result<Rule> {
        let [id] = <[String; 1]>::try_from(self.id)
            .map_err(|_| CliError::plain("Too many arguments, expected one argument: ID"))?;
        let access = match self.access.to_lowercase().as_str() {
            "granted" => Access::Granted,
            "denied" => Access::Denied,
            _ => {
                return Err(CliError::plain(format!(
                    "Invalid access: {}, must be granted or denied",
                    self.access
                )));
            }
        };
        let parts: Vec<&str> = self.resource.split(':').collect();
        let [kind, name, endpoint] = parts[..] else {
            return Err(CliError::plain(
                "Invalid resource, must be in the format type:name:endpoint",
            )
            .hint("for example --resource=\"service:helloworld:*\""));
        };
        Ok(Rule {
            id,
            scope: self.scope,
            resource: Some(Resource {
                name: name.to_owned(),
                r#type: kind.to_owned(),
                endpoint: endpoint.to_owned(),
            }),
            access: access.into(),
            priority: self.priority,
        })
    }
}

impl Which {
    /// The one id.
    pub(super) fn id(self) -> Result<String> {
        let [id] = <[String; 1]>::try_from(self.id)
            .map_err(|_| CliError::plain("Expected one argument: ID"))?;
        Ok(id)
    }
}

/// The rules, under headings.
pub(super) async fn list(session: &Session<'_>) -> Result<Output> {
    let request = ListRequest {
        options: options(session, None),
    };
    let response: ListResponse = session
        .call("auth", "Rules.List", &request)
        .await
        .map_err(failed("Error listing rules"))?;
    Ok(table(response.rules))
}

/// Those of the greatest resource first, as texts go, and of the same the highest priority.
fn table(mut rules: Vec<Rule>) -> Output {
    let resource = |rule: &Rule| {
        let resource = rule.resource.clone().unwrap_or_default();
        format!(
            "{}:{}:{}",
            resource.r#type, resource.name, resource.endpoint
        )
    };
    rules.sort_by_cached_key(|rule| Reverse((resource(rule), rule.priority, rule.id.clone())));
    let headings = ["ID", "Scope", "Access", "Resource", "Priority"].map(str::to_owned);
    let rows = rules.into_iter().map(|rule| {
        let access = match rule.access() {
            Access::Granted => "GRANTED",
            Access::Denied => "DENIED",
            Access::Unknown => "UNKNOWN",
        };
        let resource = resource(&rule);
        let scope = match rule.scope.as_str() {
            "" => "<public>".to_owned(),
            _ => rule.scope,
        };
        let priority = rule.priority.to_string();
        [rule.id, scope, access.to_owned(), resource, priority]
    });
    Output::Table(Table {
        align: Align::Tabs,
        rows: [headings].into_iter().chain(rows).map(spread).collect(),
    })
}

/// The cells with an empty one between any two, as the reference spaces its tables.
pub(super) fn spread<const N: usize>(cells: [String; N]) -> Vec<String> {
    let mut row = Vec::with_capacity(2 * N);
    for cell in cells {
        if !row.is_empty() {
            row.push(String::new());
        }
        row.push(cell);
    }
    row
}

/// Makes the rule.
pub(super) async fn create(session: &Session<'_>, rule: Rule) -> Result<Output> {
    let request = CreateRequest {
        rule: Some(rule),
        options: options(session, None),
    };
    let CreateResponse {} = session
        .call("auth", "Rules.Create", &request)
        .await
        .map_err(failed("Error"))?;
    Ok(Output::line("Rule created"))
}

/// Deletes the rule.
pub(super) async fn delete(session: &Session<'_>, id: String) -> Result<Output> {
    let request = DeleteRequest {
        id,
        options: options(session, None),
    };
    let DeleteResponse {} = session
        .call("auth", "Rules.Delete", &request)
        .await
        .map_err(failed("Error"))?;
    Ok(Output::line("Rule deleted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::Printer;

    #[test]
    fn the_table_is_the_reference_pages() {
        let rule = |id: &str, scope: &str, kind: &str, name: &str| Rule {
            id: id.into(),
            scope: scope.into(),
            resource: Some(Resource {
                r#type: kind.into(),
                name: name.into(),
                endpoint: "*".into(),
            }),
            access: Access::Granted.into(),
            priority: 0,
        };
        let check = |rules, expected: &str| {
            let (printer, out, _) = Printer::captured();
            printer.output(&table(rules)).unwrap();
            assert_eq!(out.text(), expected);
        };
        let default = rule("default", "", "*", "*");
        check(
            vec![default.clone()],
            "ID\t\tScope\t\t\tAccess\t\tResource\t\tPriority\n\
             default\t\t<public>\t\tGRANTED\t\t*:*:*\t\t\t0\n",
        );
        check(
            vec![
                rule("auth-public", "", "service", "auth"),
                default,
                rule("onlyloggedin", "*", "*", "*"),
            ],
            "ID\t\t\tScope\t\t\tAccess\t\tResource\t\tPriority\n\
             auth-public\t\t<public>\t\tGRANTED\t\tservice:auth:*\t\t0\n\
             onlyloggedin\t\t*\t\t\tGRANTED\t\t*:*:*\t\t\t0\n\
             default\t\t\t<public>\t\tGRANTED\t\t*:*:*\t\t\t0\n",
        );
    }
}
