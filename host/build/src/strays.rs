//! Builds that outlived their server: found by a mark in their environment, and ended.

use std::{collections::HashSet, fs};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::toolchain::OWNER;

/// How often it is looked again: what is being killed may start something meanwhile.
const ROUNDS: usize = 16;

/// Kills every process of a build that a server called `owner` began (see
/// [`Toolchain::owned_by`](crate::Toolchain::owned_by)) and that is not this process's own. Must be
/// called before this server begins to build. Blocks, for a moment. Gives how many there were.
///
/// A server that dies suddenly cannot end its builds, and one that goes on would hold the lock of
/// the shared cache, or write into it behind the next build's back.
pub fn end_strays(owner: &str) -> usize {
    let mark = format!("{OWNER}={owner}");
    let mut ended = HashSet::new();
    for _ in 0..ROUNDS {
        let strays = marked(mark.as_bytes());
        if strays.is_empty() {
            break;
        }
        for stray in strays {
            // One that has ended by itself needs no killing.
            let _ = kill(Pid::from_raw(stray), Signal::SIGKILL);
            ended.insert(stray);
        }
        std::thread::yield_now();
    }
    ended.len()
}

/// The processes with this entry in their environment. A zombie has none.
fn marked(entry: &[u8]) -> Vec<i32> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|all| all.split(|byte| *byte == 0).any(|found| found == entry))
        })
        .filter_map(|pid| i32::try_from(pid).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::process::{CommandExt, ExitStatusExt},
        process::Command,
    };

    use super::*;

    #[test]
    fn ends_what_bears_the_mark_and_nothing_else() {
        let owner = format!("test-{}", std::process::id());
        let sleep = |owner: &str| {
            Command::new("sleep")
                .arg("100")
                .env(OWNER, owner)
                .process_group(0)
                .spawn()
                .unwrap()
        };
        let mut stray = sleep(&owner);
        let mut other = sleep(&format!("{owner}x"));
        assert_eq!(end_strays(&owner), 1);
        assert_eq!(stray.wait().unwrap().signal(), Some(9));
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(end_strays(&owner), 0);
    }
}
