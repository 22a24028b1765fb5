//! What the zoo did, a line each, in a file that a test reads.

use std::{fs::OpenOptions, io::Write, path::PathBuf, sync::Arc};

use tokio::runtime::Handle;

/// Clones write to the same file.
#[derive(Clone)]
pub(crate) struct Journal(Option<Arc<PathBuf>>);

impl Journal {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self(path.map(Arc::new))
    }

    pub(crate) fn write(&self, line: &str) {
        let Some(path) = &self.0 else { return };
        // One write of one line: threads do not mix theirs.
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path.as_path())
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::error!(%error, "the journal");
        }
    }

    /// The line, with whether the code runs within a tokio runtime.
    pub(crate) fn write_with_context(&self, line: &str) {
        let context = match Handle::try_current() {
            Ok(_) => "inside",
            Err(_) => "outside",
        };
        self.write(&format!("{line} {context} the runtime"));
    }
}

/// Writes a line when it is dropped.
pub(crate) struct Leaves {
    pub(crate) journal: Journal,
    pub(crate) line: &'static str,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.journal.write_with_context(self.line);
    }
}
