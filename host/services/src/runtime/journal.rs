//! What happens to one run of a service, kept so that whoever begins to watch in the middle
//! misses nothing.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use micro_builder::LineSink;
use micro_proto::runtime::WatchEvent;
use tokio::sync::watch;

use super::status::Status;

/// How many events are kept; the oldest go first.
const KEPT: usize = 4096;

/// How many bytes of lines are told together: a loud build would be a flood of tiny messages else,
/// which a watcher's HTTP/2 takes for an attack.
const TOGETHER: usize = 16 * 1024;

/// The events of one run, from its beginning.
pub(crate) struct Journal {
    state: Mutex<State>,
    /// Changes with every event.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    events: VecDeque<WatchEvent>,
    /// How many events have gone.
    dropped: usize,
    /// The last change of status.
    last: WatchEvent,
    closed: bool,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            news: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: WatchEvent, is_status: bool) {
        let mut state = self.lock();
        if is_status {
            state.last = event.clone();
        }
        if state.events.len() == KEPT {
            state.events.pop_front();
            state.dropped += 1;
        }
        state.events.push_back(event);
        drop(state);
        self.news.send_replace(());
    }

    /// Notes a change of status; with [`Status::Error`], why, and what the service printed last.
    pub(crate) fn status(&self, status: Status, error: &str, output: Vec<String>) {
        let event = WatchEvent {
            status: status.number(),
            error: error.to_owned(),
            output,
            ..WatchEvent::default()
        };
        self.push(event, true);
    }

    /// Notes that nothing more will come.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.news.send_replace(());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Where a new watcher begins: at its last change for a service that runs, else at the
    /// beginning of the run, so that the lines of its build are told too.
    pub(crate) fn begin(&self) -> (usize, watch::Receiver<()>) {
        let news = self.news.subscribe();
        let state = self.lock();
        let at = if state.last.status == Status::Running.number() {
            state.dropped + state.events.len()
        } else {
            0
        };
        (at, news)
    }

    /// The present status.
    pub(crate) fn last(&self) -> WatchEvent {
        self.lock().last.clone()
    }

    /// The event at `at`, or the oldest that is kept, with where the next one is; `Err(closed)`
    /// when there is none for now. Lines of a build that follow each other come as one event.
    pub(crate) fn get(&self, at: usize) -> Result<(WatchEvent, usize), bool> {
        let state = self.lock();
        let at = at.max(state.dropped);
        let mut events = state.events.iter().skip(at - state.dropped);
        let Some(first) = events.next() else {
            return Err(state.closed);
        };
        let (mut event, mut next) = (first.clone(), at + 1);
        if !event.build_line.is_empty() {
            for more in events {
                let line = &more.build_line;
                if line.is_empty() || event.build_line.len() + line.len() > TOGETHER {
                    break;
                }
                event.build_line.push('\n');
                event.build_line.push_str(line);
                next += 1;
            }
        }
        Ok((event, next))
    }
}

impl LineSink for Journal {
    fn line(&self, line: &str) {
        let status = self.lock().last.status;
        let event = WatchEvent {
            status,
            build_line: line.to_owned(),
            ..WatchEvent::default()
        };
        self.push(event, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_watcher_sees_the_build_but_not_that_of_what_runs() {
        let journal = Journal::new();
        journal.status(Status::Building, "", Vec::new());
        journal.line("one");
        journal.status(Status::Error, "bad", vec!["out".to_owned()]);
        let (mut at, _news) = journal.begin();
        let mut seen = Vec::new();
        while let Ok((event, next)) = journal.get(at) {
            seen.push((event.status, event.build_line, event.error));
            at = next;
        }
        let text = |text: &str| text.to_owned();
        assert_eq!(
            seen,
            [
                (2, text(""), text("")),
                (2, text("one"), text("")),
                (7, text(""), text("bad"))
            ]
        );
        journal.status(Status::Running, "", Vec::new());
        assert_eq!(journal.get(journal.begin().0), Err(false));
        journal.close();
        assert_eq!(journal.get(journal.begin().0), Err(true));
    }

    #[test]
    fn only_so_much_is_kept() {
        let journal = Journal::new();
        for line in 0..=KEPT {
            journal.line(&line.to_string());
        }
        let (event, mut at) = journal.get(0).unwrap();
        assert!(event.build_line.starts_with("1\n2\n"), "the oldest is gone");
        assert!(event.build_line.len() <= TOGETHER + KEPT);
        let mut lines = event.build_line.lines().count();
        while let Ok((event, next)) = journal.get(at) {
            lines += event.build_line.lines().count();
            at = next;
        }
        assert_eq!((lines, at), (KEPT, KEPT + 1));
    }
}
