//! All processes of one instance, and how they are ended.
//!
//! A process belongs to an instance if it is its leader, is in the leader's group, was started with
//! the instance's mark in its environment, or descends from one of these. The mark finds what made
//! itself independent (`setsid`, a double fork): children inherit it. What escapes is a program
//! that clears its environment, leaves the group, *and* whose parents have all ended; only a
//! control group could hold that, and this plugin does not need one to be delegated to it.

use std::{collections::HashSet, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::procfs::{Identity, Process};

/// The variable that marks the processes of an instance: `RUNTIME:INSTANCE`.
pub(crate) const MARK: &str = "MICRO_RUNTIME_INSTANCE";

/// How often processes are looked at while they end. The system tells of its own children alone.
const POLL: Duration = Duration::from_millis(20);

/// How long what was killed may take to be gone. The system is not asked to be quick about it.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// The processes of one instance.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The leader of the instance's process group, also after its end.
    pub(crate) leader: Identity,
    pub(crate) mark: String,
}

impl Tree {
    /// Everything of it that runs now.
    fn members(&self) -> Vec<Identity> {
        let own = std::process::id();
        // Nothing of it is older than its leader.
        let all: Vec<_> = Process::all()
            .into_iter()
            .filter(|process| process.identity.start >= self.leader.start)
            .filter(|process| process.identity.pid != own)
            .collect();
        // If the number was given away since, so was that of its group.
        let is_reused = |process: &&Process| {
            process.identity.pid == self.leader.pid && process.identity != self.leader
        };
        let has_group = !all.iter().any(|process| is_reused(&process));
        let mut found: HashSet<u32> = all
            .iter()
            .filter(|process| {
                process.identity == self.leader
                    || (has_group && process.group == self.leader.pid)
                    || process.variable(MARK).as_ref() == Some(&self.mark)
            })
            .map(|process| process.identity.pid)
            .collect();
        loop {
            let before = found.len();
            for process in &all {
                if found.contains(&process.parent) {
                    found.insert(process.identity.pid);
                }
            }
            if found.len() == before {
                break;
            }
        }
        let members = all.iter().map(|process| process.identity);
        members
            .filter(|member| found.contains(&member.pid))
            .collect()
    }

    /// Ends all of it: politely within `grace`, then by force. True if force was needed.
    pub(crate) async fn end(&self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        let mut members = self.look().await;
        if members.is_empty() {
            return false;
        }
        // The group at once, so that a parent does not start anew what has just ended.
        let _ = killpg(number(self.leader.pid), Signal::SIGTERM);
        for member in members.iter().filter(|member| !self.in_group(**member)) {
            signal(*member, Signal::SIGTERM);
        }
        loop {
            members.retain(|member| member.runs());
            if members.is_empty() {
                members = self.look().await;
                if members.is_empty() {
                    return false;
                }
            }
            if Instant::now() >= deadline {
                break;
            }
            sleep(POLL).await;
        }
        self.kill().await;
        true
    }

    /// Ends all of it by force.
    pub(crate) async fn kill(&self) {
        let deadline = Instant::now() + KILL_PATIENCE;
        loop {
            // Again and again: it may start new ones meanwhile.
            let members = self.look().await;
            if members.is_empty() {
                return;
            }
            if Instant::now() >= deadline {
                tracing::error!(pids = ?members, "processes of a service cannot be killed");
                return;
            }
            for member in members {
                signal(member, Signal::SIGKILL);
            }
            sleep(POLL / 4).await;
        }
    }

    fn in_group(&self, member: Identity) -> bool {
        Process::read(member.pid).is_some_and(|process| process.group == self.leader.pid)
    }

    async fn look(&self) -> Vec<Identity> {
        let tree = self.clone();
        let looked = spawn_blocking(move || tree.members()).await;
        looked.unwrap_or_default()
    }
}

/// The processes that bear a mark of the runtime `root`, with the instance that it names.
pub(crate) fn marked(root: &str) -> Vec<(Process, String)> {
    let own = std::process::id();
    Process::all()
        .into_iter()
        .filter(|process| process.identity.pid != own)
        .filter_map(|process| {
            let mark = process.variable(MARK)?;
            let instance = mark.strip_prefix(root)?.strip_prefix(':')?;
            Some((process, instance.to_owned()))
        })
        .collect()
}

/// Ends these processes: politely within `grace`, then by force.
pub(crate) async fn end_all(mut members: Vec<Identity>, grace: Duration) {
    for member in &members {
        signal(*member, Signal::SIGTERM);
    }
    let mut deadline = Instant::now() + grace;
    let mut forced = false;
    loop {
        members.retain(|member| member.runs());
        if members.is_empty() {
            return;
        }
        if Instant::now() >= deadline {
            if forced {
                tracing::error!(pids = ?members, "stray processes cannot be killed");
                return;
            }
            forced = true;
            deadline = Instant::now() + KILL_PATIENCE;
            for member in &members {
                signal(*member, Signal::SIGKILL);
            }
        }
        sleep(POLL).await;
    }
}

/// Sends a signal to this very process. One that is gone needs none.
fn signal(member: Identity, signal: Signal) {
    if member.runs()
        && let Err(error) = kill(number(member.pid), signal)
        && error != Errno::ESRCH
    {
        tracing::warn!(pid = member.pid, %signal, %error, "cannot signal a process");
    }
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid as i32)
}
