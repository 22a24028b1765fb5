//! What becomes of commits that wait together: decided one after another, each upon what the ones
//! before it leave.

use std::collections::HashMap;

use micro_plugin_api::{
    Result,
    store::{Commit, Operation, Version},
};

use crate::key::TableId;

/// A record's place.
pub(super) type Place<'a> = (TableId, &'a str);

/// What is to be written, and what each commit is told once it is.
#[derive(Debug, Default)]
pub(super) struct Decision<'a> {
    /// For each commit, in order.
    pub(super) outcomes: Vec<Result<Version>>,
    /// What each key is left with: the last operation on it and its version.
    pub(super) writes: HashMap<Place<'a>, (&'a Operation, Version)>,
    /// Each operation of each commit that goes through, in order.
    pub(super) changes: Vec<Change<'a>>,
}

/// One operation of a commit that goes through.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) table: TableId,
    pub(super) operation: &'a Operation,
    pub(super) version: Version,
    /// Its place in the commit.
    pub(super) ordinal: i32,
}

/// Decides on commits. `there` are the versions of the records that are there, of all keys with a
/// precondition; `first` is the version of the first commit, the next one has the next.
pub(super) fn decide<'a>(
    commits: impl IntoIterator<Item = &'a Commit>,
    there: &HashMap<Place<'_>, Version>,
    first: u64,
) -> Decision<'a> {
    let mut decision = Decision::default();
    for (commit, version) in commits.into_iter().zip(first..) {
        let outcome = check(commit, there, &decision.writes);
        decision.outcomes.push(outcome.map(|()| Version(version)));
        if matches!(decision.outcomes.last(), Some(Ok(_))) {
            for (operation, ordinal) in commit.operations.iter().zip(0..) {
                let table = TableId::new(operation.table());
                let version = Version(version);
                let place = (table, operation.key.as_str());
                decision.writes.insert(place, (operation, version));
                decision.changes.push(Change {
                    table,
                    operation,
                    version,
                    ordinal,
                });
            }
        }
    }
    decision
}

fn check(
    commit: &Commit,
    there: &HashMap<Place<'_>, Version>,
    writes: &HashMap<Place<'_>, (&Operation, Version)>,
) -> Result<()> {
    commit.operations.iter().try_for_each(|operation| {
        let place = (TableId::new(operation.table()), operation.key.as_str());
        operation.check(match writes.get(&place) {
            Some((written, version)) => {
                let put = written.put.as_ref();
                let stays = put.filter(|put| !put.expiry.is_some_and(|it| it.has_passed()));
                stays.map(|_| *version)
            }
            None => there.get(&place).copied(),
        })
    })
}

#[cfg(test)]
mod tests {
    use micro_plugin_api::store::{Expiry, Precondition, Put, Table};

    use super::*;

    const TABLE: Table<'static> = Table::new("d", "t");

    fn put(key: &str, precondition: Precondition) -> Commit {
        Commit::new().put(TABLE, key, precondition, Put::default())
    }

    fn outcomes(commits: &[Commit], there: &HashMap<Place<'_>, Version>) -> Vec<Option<u64>> {
        let decision = decide(commits, there, 10);
        let versions = decision.outcomes.into_iter();
        versions
            .map(|it| it.ok().map(|version| version.0))
            .collect()
    }

    #[test]
    fn of_two_creators_in_a_batch_the_first_wins() {
        let commits = [
            put("k", Precondition::Absent),
            put("k", Precondition::Absent),
            put("k", Precondition::Version(Version(10))),
            Commit::new().delete(TABLE, "k", Precondition::Version(Version(12))),
            put("k", Precondition::Absent),
        ];
        let seen = outcomes(&commits, &HashMap::new());
        assert_eq!(seen, [Some(10), None, Some(12), Some(13), Some(14)]);
    }

    #[test]
    fn what_is_there_counts_until_it_is_written() {
        let there = HashMap::from([((TableId::new(TABLE), "k"), Version(3))]);
        let commits = [
            put("k", Precondition::Absent),
            put("k", Precondition::Version(Version(3))),
            put("k", Precondition::Version(Version(3))),
        ];
        assert_eq!(outcomes(&commits, &there), [None, Some(11), None]);
    }

    #[test]
    fn what_was_put_with_an_expiry_in_the_past_is_absent() {
        let put_expired = Put {
            expiry: Some(Expiry(1)),
            ..Put::default()
        };
        let commits = [
            Commit::new().put(TABLE, "k", Precondition::Any, put_expired),
            put("k", Precondition::Absent),
        ];
        assert_eq!(outcomes(&commits, &HashMap::new()), [Some(10), Some(11)]);
    }

    #[test]
    fn a_commit_that_fails_leaves_nothing_of_itself() {
        let commits = [
            put("a", Precondition::Any).put(
                TABLE,
                "b",
                Precondition::Version(Version(1)),
                Put::default(),
            ),
            put("a", Precondition::Absent),
        ];
        let decision = decide(&commits, &HashMap::new(), 1);
        assert!(decision.outcomes[0].is_err() && decision.outcomes[1].is_ok());
        assert_eq!((decision.writes.len(), decision.changes.len()), (1, 1));
    }
}
