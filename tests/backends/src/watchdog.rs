//! A small process that ends a server and removes its folder when its owner is gone.
//!
//! The owner holds one end of a pipe, and the system closes it however the owner ends. A signal
//! on the death of the parent would not do: it comes when the thread ends that started the child,
//! and it removes no folder.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{Error, error::Doing as _};

/// Reads until the owner is gone, then ends what works in the folder `$1`, and removes that.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
while cwd=$(find /proc/[0-9]*/cwd -prune \( -lname "$1" -o -lname "$1/*" \) 2>/dev/null); [ -n "$cwd" ]
do
    for link in $cwd; do pid=${link#/proc/}; kill -9 "${pid%/cwd}" 2>/dev/null; done
done
rm -rf "$1"
"#;

/// Runs as long as its owner; dropping it lets it do its work, and waits for that.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Watches over the servers that work in this folder.
    pub(crate) fn of(folder: &Path) -> Result<Self, Error> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The terminal's Ctrl-C is for the owner.
            .process_group(0)
            .spawn()
            .map(Self)
            .doing("start /bin/sh")
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nobody can be told here if it fails.
        let _ = self.0.wait();
    }
}
