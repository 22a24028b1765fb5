//! Whose a listening port is: a free port can be taken before a server binds it, and then it is
//! somebody else who answers there.

use std::{collections::HashSet, fs};

use nix::unistd::Pid;

/// The state `LISTEN` in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Whether each of the ports is listened on by one of the processes.
pub(crate) fn listen(processes: &[Pid], ports: &[u16]) -> bool {
    let theirs: HashSet<String> = processes.iter().flat_map(|pid| sockets(*pid)).collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    ports.iter().all(|port| {
        table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields[..] else {
                return false;
            };
            state == LISTEN
                && local.ends_with(&format!(":{port:04X}"))
                && theirs.contains(&format!("socket:[{inode}]"))
        })
    })
}

/// What `/proc` calls the sockets of a process.
fn sockets(pid: Pid) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            Some(target.to_str()?.to_owned())
        })
        .collect()
}
