//! What the system allows this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the number of open files to the most that is allowed: every connection is one, and the
/// usual start value of 1024 is for programs that still use select(2).
pub(crate) fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::debug!("cannot raise the number of open files: {error}");
    }
}
