//! Why a backend must not take the place of the one that is in use: in words that say what would
//! happen, and name only ways that work.

use std::fmt;

use crate::identity::Holds;

/// Why a store must not take the place of the one that is in use, and which ways there are. So many
/// servers use the store.
pub(super) fn unlike(plugin: &str, holds: &Holds, servers: usize) -> String {
    let (what, ways) = match holds {
        Holds::OlderOurs => (
            "accounts, rules and all else would go back to what they were then",
            format!(
                "{} brings it up to date first; a restart of the server begins with the older copy",
                copying(servers)
            ),
        ),
        Holds::PartOfOurs => (
            "what was not copied yet would be gone",
            format!(
                "{} makes it whole first; no server starts on it as it is",
                copying(servers)
            ),
        ),
        Holds::Another(_) | Holds::Something => (
            "its accounts and rules would take the place of this platform's",
            format!(
                "To take this platform's records along, name an empty database, prefix or folder, \
                 and {} copies them there; a restart of the server begins with what this one holds",
                copying(servers)
            ),
        ),
        Holds::Nothing | Holds::Ours => (
            "all accounts, rules and records would be gone",
            format!(
                "{} copies them first; a restart of the server begins without them",
                copying(servers)
            ),
        ),
    };
    format!("the store of plugin {plugin} {holds}: with it {what}. {ways}")
}

/// Why a blob store must not take the place of the one that is in use, and which ways there are.
pub(super) fn strange_blobs(holds: &Holds, servers: usize) -> String {
    let without = "the sources of services among them";
    match holds {
        Holds::Another(_) | Holds::Something => {
            let whose = match holds {
                Holds::Another(id) => format!("the blobs of another platform ({id})"),
                _ => "blobs, and not this platform's id".to_owned(),
            };
            format!(
                "the new plugin holds {whose}, and not this platform's blobs, {without}. To take \
                 them along, name an empty database or folder, and {} copies them there; a restart \
                 of the server begins with what this one holds",
                copying(servers)
            )
        }
        _ => format!(
            "the new plugin does not hold this platform's blobs, {without}. {} copies them first; a \
             restart of the server begins without them",
            copying(servers)
        ),
    }
}

/// The command that copies, and what it takes while so many servers use the store.
fn copying(servers: usize) -> String {
    let command = "`micro profile reload --copy`";
    match servers {
        0 | 1 => command.to_owned(),
        servers => format!(
            "{command}, once all but this one of the {servers} servers that use the store are \
             stopped,"
        ),
    }
}

/// Why events stay where they are. Their order, their times and where each group is in them are the
/// backend's own: no other can be made to hold the same.
pub(super) fn strange_events() -> String {
    "the new plugin does not hold this platform's events, and no copy would have the same positions, \
     which groups have yet to consume: let the consumers finish, then restart the server, which \
     begins without them"
        .to_owned()
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours => f.write_str("holds this platform's records"),
            Self::PartOfOurs => f.write_str("holds an unfinished copy of this platform's records"),
            Self::OlderOurs => f.write_str("holds an older copy of this platform's records"),
            Self::Another(id) => write!(f, "holds the records of another platform ({id})"),
            Self::Something => f.write_str("holds records, and not this platform's id"),
            Self::Nothing => f.write_str("does not hold this platform's id and accounts"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_only_ways_that_work() {
        let another = Holds::Another("id".to_owned());
        for holds in [&another, &Holds::Something] {
            for text in [unlike("p", holds, 1), strange_blobs(holds, 1)] {
                let empty = text.find("name an empty database").expect("a way");
                let copy = text.find("--copy").expect("a way");
                assert!(
                    empty < copy,
                    "what holds others' data is not copied into: {text}"
                );
            }
        }
        for holds in [&Holds::Nothing, &Holds::OlderOurs] {
            for text in [unlike("p", holds, 1), strange_blobs(holds, 1)] {
                assert!(!text.contains("empty database"), "{text}");
                assert!(!text.contains("servers"), "{text}");
            }
            for text in [unlike("p", holds, 3), strange_blobs(holds, 3)] {
                assert!(text.contains("all but this one of the 3 servers"), "{text}");
            }
        }
        let older = unlike("p", &Holds::OlderOurs, 1);
        assert!(
            older.contains("would go back to what they were then"),
            "{older}"
        );
    }
}
