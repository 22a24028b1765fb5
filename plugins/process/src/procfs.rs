//! What `/proc` tells of processes: who they are beyond their reusable number, and whose they are.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process for certain: numbers are given away again, a number with a time of start is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Field 22 of `/proc/PID/stat`: clock ticks from the boot of the system.
    pub(crate) start: u64,
}

impl Identity {
    /// Whether this very process still runs. A zombie does not: nobody may ever collect it.
    pub(crate) fn runs(self) -> bool {
        Process::read(self.pid).is_some_and(|process| process.identity == self)
    }
}

/// A process that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) identity: Identity,
    pub(crate) parent: u32,
    pub(crate) group: u32,
}

impl Process {
    /// The process of this number; `None` if there is none, or only its zombie.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let (process, runs) = Self::parse(pid, &stat(pid)?)?;
        runs.then_some(process)
    }

    /// The process of this number, even if only its zombie is left.
    pub(crate) fn read_any(pid: u32) -> Option<Self> {
        Some(Self::parse(pid, &stat(pid)?)?.0)
    }

    /// Reads a line of `/proc/PID/stat`: `PID (NAME) STATE PPID PGRP …`; the name may hold
    /// anything, so the fields are counted from its last bracket. Also whether it runs.
    fn parse(pid: u32, stat: &str) -> Option<(Self, bool)> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let runs = !matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // The group is field 5 and the start field 22.
        let start = fields.nth(16)?.parse().ok()?;
        let process = Self {
            identity: Identity { pid, start },
            parent,
            group,
        };
        Some((process, runs))
    }

    /// All that run now.
    pub(crate) fn all() -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(Self::read)
            .collect()
    }

    /// The value of a variable in the environment that it was started with, if this user may see
    /// it.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.identity.pid)).ok()?;
        environment
            .split(|byte| *byte == 0)
            .filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .find_map(|value| String::from_utf8(value.to_vec()).ok())
    }
}

fn stat(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Which boot of the system this is: times of start say nothing across two. Empty where the system
/// does not tell.
pub(crate) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "9 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1";

    #[test]
    fn a_name_with_brackets_hides_nothing() {
        let (process, runs) = Process::parse(80, &format!("80 (a) S 9 (b)) S {REST}")).unwrap();
        let identity = Identity {
            pid: 80,
            start: 12345,
        };
        assert_eq!((process.identity, runs), (identity, true));
        assert_eq!((process.parent, process.group), (9, 77));
        let (_, runs) = Process::parse(80, &format!("80 (sh) Z {REST}")).unwrap();
        assert!(!runs);
        assert_eq!(Process::parse(80, "garbage"), None);
    }

    #[test]
    fn this_process_is_itself() {
        let own = Process::read(std::process::id()).unwrap();
        assert!(own.identity.runs());
        let another = Identity {
            start: own.identity.start + 1,
            ..own.identity
        };
        assert!(!another.runs());
        let path = std::env::var("PATH").unwrap();
        assert_eq!(own.variable("PATH"), Some(path));
    }
}
