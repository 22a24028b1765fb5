//! Whose voice an event is, and what of it is news. A client library tells of every attempt to
//! connect, and says the same of each that fails; to whoever runs a server it is news that the
//! connection is lost, which the plugin tells.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::logs::{DEBUG, INFO};

/// How long the same complaint of a library is no news.
const PAUSE: Duration = Duration::from_secs(60);

/// How many complaints are remembered.
const MOST: usize = 64;

/// Who speaks in a plugin: its own crate, and the libraries that it is linked with.
pub(super) struct Voices {
    /// The plugin's own crate.
    own: &'static str,
    /// When libraries complained of what.
    complaints: Mutex<HashMap<String, Instant>>,
}

impl Voices {
    /// Those of a plugin, given a path in its own crate.
    pub(super) fn new(module: &'static str) -> Self {
        Self {
            own: crate_of(module),
            complaints: Mutex::default(),
        }
    }

    /// The level at which an event of `module` is told. What a library has to say for information
    /// is for debugging.
    pub(super) fn level(&self, level: u32, module: &str) -> u32 {
        if level == INFO && !self.is_own(module) {
            return DEBUG;
        }
        level
    }

    /// The level of this text. What a library has complained of just now is for debugging.
    pub(super) fn of_text(&self, level: u32, module: &str, text: &str, now: Instant) -> u32 {
        let level = self.level(level, module);
        if level >= INFO || self.is_own(module) || self.is_new(text, now) {
            return level;
        }
        DEBUG
    }

    fn is_new(&self, text: &str, now: Instant) -> bool {
        // A panic cannot leave a map of texts half changed.
        let complaints = self.complaints.lock();
        let mut complaints = complaints.unwrap_or_else(PoisonError::into_inner);
        complaints.retain(|_, said| now.saturating_duration_since(*said) < PAUSE);
        if complaints.contains_key(text) {
            return false;
        }
        if complaints.len() < MOST {
            complaints.insert(text.to_owned(), now);
        }
        true
    }

    /// Whether a module is the plugin's: of its crate, of one that is a part of it (`mystore_core`
    /// of `mystore`), or of this one.
    fn is_own(&self, module: &str) -> bool {
        let name = crate_of(module);
        let part = name.strip_prefix(self.own);
        name == crate_of(module_path!())
            || part.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    }
}

/// The crate that a path begins with.
fn crate_of(module: &str) -> &str {
    module.split_once("::").map_or(module, |(first, _)| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WARN: u32 = 2;

    #[test]
    fn a_plugin_is_its_crate_and_the_parts_of_it() {
        let voices = Voices::new("mystore::export");
        for module in ["mystore", "mystore::a::b", "mystore_core", module_path!()] {
            assert_eq!(voices.level(INFO, module), INFO, "{module}");
        }
        for module in ["mystores", "my", "sqlx_core::pool", ""] {
            assert_eq!(voices.level(INFO, module), DEBUG, "{module}");
            assert_eq!(voices.level(WARN, module), WARN, "{module}");
        }
    }

    #[test]
    fn a_library_complains_of_the_same_once_a_minute() {
        let voices = Voices::new("mystore");
        let begun = Instant::now();
        let told = |module: &str, text: &str, now| voices.of_text(WARN, module, text, now);
        assert_eq!(told("client", "closed", begun), WARN);
        assert_eq!(told("client", "refused", begun), WARN);
        let almost = begun + PAUSE - Duration::from_millis(1);
        assert_eq!(told("client", "closed", almost), DEBUG);
        assert_eq!(told("mystore", "closed", almost), WARN);
        assert_eq!(told("client", "closed", begun + PAUSE), WARN);
        // What is not remembered is told.
        for at in 0..=MOST {
            assert_eq!(told("client", &format!("attempt {at}"), begun), WARN);
        }
        assert_eq!(told("client", &format!("attempt {MOST}"), begun), WARN);
    }
}
