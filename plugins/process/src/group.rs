//! Process groups: every service leads one, so that what it started ends with it.

use std::{fs, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::time::Instant;

/// How often a group is looked at while it ends. Only the end of its leader is told by the system.
const POLL: Duration = Duration::from_millis(20);

/// The process group that the process `0` leads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group(pub(crate) u32);

impl Group {
    fn pid(self) -> Pid {
        Pid::from_raw(self.0 as i32)
    }

    /// Sends a signal to every process of the group. One that is gone needs none.
    pub(crate) fn signal(self, signal: Signal) {
        if let Err(error) = killpg(self.pid(), signal)
            && error != Errno::ESRCH
        {
            tracing::warn!(group = self.0, %signal, %error, "cannot signal a process group");
        }
    }

    /// Whether a process of the group still runs. A zombie does not: nobody may ever collect it.
    fn is_alive(self) -> bool {
        if killpg(self.pid(), None) == Err(Errno::ESRCH) {
            return false;
        }
        let Ok(processes) = fs::read_dir("/proc") else {
            return true;
        };
        processes
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
            .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
            .any(|stat| self.is_running_member(&stat))
    }

    /// Reads a line of `/proc/PID/stat`: `PID (NAME) STATE PPID PGRP …`; the name may hold
    /// anything, so the fields are counted from its last bracket.
    fn is_running_member(self, stat: &str) -> bool {
        let Some((_, fields)) = stat.rsplit_once(')') else {
            return false;
        };
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next().unwrap_or("Z");
        let group = fields.nth(1).and_then(|group| group.parse::<u32>().ok());
        group == Some(self.0) && !matches!(state, "Z" | "X")
    }

    /// Waits until nothing of the group runs; false if that is not so by `deadline`.
    pub(crate) async fn ended_by(self, deadline: Instant) -> bool {
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_group() {
        let group = Group(77);
        assert!(group.is_running_member("80 (a) S 9 (b)) S 1 77 77 0 -1"));
        assert!(!group.is_running_member("80 (sh) Z 1 77 77 0 -1"));
        assert!(!group.is_running_member("80 (sh) S 1 78 77 0 -1"));
        assert!(!group.is_running_member("garbage"));
    }
}
