//! The messages that a process has of a group's consumer, and which of their events are open.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use async_nats::Subject;
use micro_plugin_api::stream::Event;
use serde::{Deserialize, Serialize};

use super::envelope::place;

/// How many messages are remembered that were dealt with: JetStream may deliver one again when the
/// acknowledgement was lost on its way.
const REMEMBERED: usize = 4_096;

/// Which events of a message are open, and how often each was delivered: what the next process that
/// gets the message has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// By their place in the message.
    pub(super) open: BTreeMap<usize, u32>,
}

/// A message that this process has.
#[derive(Debug)]
pub(super) struct Message {
    /// Where acknowledgements go.
    pub(super) reply: Subject,
    /// How often JetStream delivered it.
    pub(super) times: u64,
    /// How many events it has.
    pub(super) events: usize,
    /// What is open, and how often that was delivered before this process had it.
    pub(super) progress: Progress,
    /// Whether something is written down of it.
    pub(super) is_noted: bool,
    /// Whether that is not all.
    pub(super) is_changed: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Held {
    messages: HashMap<u64, Message>,
    /// Dealt with: to be acknowledged, and whether something is written down of it.
    finished: Vec<(u64, Subject, bool)>,
    remembered: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Held {
    /// Whether a message that comes is new; one that is not, is dealt with here.
    pub(super) fn is_new(&mut self, sequence: u64, reply: &Subject, times: u64) -> bool {
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.reply = reply.clone();
            message.times = times;
            return false;
        }
        if self.remembered.contains(&sequence) {
            self.finished.push((sequence, reply.clone(), false));
            return false;
        }
        true
    }

    pub(super) fn add(&mut self, sequence: u64, message: Message) {
        self.messages.insert(sequence, message);
    }

    /// How often an event was delivered before this process had it.
    pub(super) fn attempts(&self, position: u64) -> u32 {
        let (sequence, index) = place(position);
        let message = self.messages.get(&sequence);
        let attempts = message.and_then(|message| message.progress.open.get(&index));
        attempts.copied().unwrap_or_default()
    }

    /// Notes that an event is dealt with. Whether its message is, too.
    pub(super) fn done(&mut self, position: u64) -> bool {
        let (sequence, index) = place(position);
        let Some(message) = self.messages.get_mut(&sequence) else {
            return false;
        };
        message.progress.open.remove(&index);
        message.is_changed = true;
        if !message.progress.open.is_empty() {
            return false;
        }
        if let Some(message) = self.messages.remove(&sequence) {
            self.finish(sequence, message.reply, message.is_noted);
        }
        true
    }

    /// Notes that a message is dealt with.
    pub(super) fn finish(&mut self, sequence: u64, reply: Subject, is_noted: bool) {
        self.finished.push((sequence, reply, is_noted));
        if self.remembered.insert(sequence) {
            self.order.push_back(sequence);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
    }

    /// What is to be acknowledged.
    pub(super) fn finished(&mut self) -> Vec<(u64, Subject, bool)> {
        std::mem::take(&mut self.finished)
    }

    /// Where to say that this process still has what it has.
    pub(super) fn replies(&self) -> Vec<Subject> {
        let messages = self.messages.values();
        messages.map(|message| message.reply.clone()).collect()
    }

    /// The messages of which some events are dealt with and others not, unless that is written down.
    /// From now on it is.
    pub(super) fn changed(&mut self) -> Vec<(u64, Progress)> {
        let messages = self.messages.iter_mut();
        let changed = messages.filter_map(|(sequence, message)| {
            let is_changed = std::mem::take(&mut message.is_changed);
            message.is_noted |= is_changed;
            is_changed.then(|| (*sequence, message.progress.clone()))
        });
        changed.collect()
    }

    /// Of these events those whose messages have no other that is open.
    pub(super) fn whole(&self, positions: &HashSet<u64>) -> HashSet<u64> {
        let is_whole = |position: &&u64| {
            let (sequence, _) = place(**position);
            let message = self.messages.get(&sequence);
            message.is_some_and(|message| {
                let mut open = message.progress.open.keys();
                open.all(|index| positions.contains(&super::envelope::position(sequence, *index)))
            })
        };
        positions.iter().filter(is_whole).copied().collect()
    }

    /// Takes the messages of these events, with how often each was delivered by now, to be given
    /// back.
    pub(super) fn take(&mut self, events: &[(u64, u32)]) -> Vec<(u64, Message)> {
        let mut taken = BTreeMap::new();
        for (position, attempts) in events {
            let (sequence, index) = place(*position);
            if let Some(message) = self.messages.remove(&sequence) {
                taken.insert(sequence, message);
            }
            if let Some(message) = taken.get_mut(&sequence) {
                message.progress.open.insert(index, *attempts);
            }
        }
        taken.into_iter().collect()
    }
}

impl Message {
    /// What is open of a message that comes: as it is written down, or else all of it, and each
    /// event was delivered as often as the message was before.
    pub(super) fn new(
        reply: Subject,
        times: u64,
        events: &[Event],
        noted: Option<Progress>,
    ) -> Self {
        let is_noted = noted.is_some();
        let before = u32::try_from(times.saturating_sub(1)).unwrap_or(u32::MAX);
        let progress = noted.unwrap_or_else(|| Progress {
            open: (0..events.len()).map(|index| (index, before)).collect(),
        });
        Self {
            reply,
            times,
            events: events.len(),
            progress,
            is_noted,
            is_changed: false,
        }
    }

    /// Whether the next process has to be told: it would take something else for granted.
    pub(super) fn is_special(&self) -> bool {
        let open = &self.progress.open;
        self.is_noted
            || open.len() != self.events
            || open
                .values()
                .any(|attempts| u64::from(*attempts) != self.times)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::envelope::position, *};

    fn message(times: u64, events: usize) -> Message {
        let events = vec![Event::default(); events];
        Message::new("reply".into(), times, &events, None)
    }

    #[test]
    fn a_message_is_acknowledged_with_its_last_event_and_once_more_if_it_comes_again() {
        let mut held = Held::default();
        assert!(held.is_new(1, &"a".into(), 1));
        held.add(1, message(1, 2));
        assert!(!held.done(position(1, 1)));
        assert!(held.finished().is_empty());
        assert_eq!(
            held.changed(),
            [(
                1,
                Progress {
                    open: BTreeMap::from([(0, 0)])
                }
            )]
        );
        assert_eq!(held.changed(), []);
        assert!(held.done(position(1, 0)));
        assert_eq!(held.finished(), [(1, "reply".into(), true)]);
        assert!(!held.is_new(1, &"again".into(), 2));
        assert_eq!(held.finished(), [(1, "again".into(), false)]);
    }

    #[test]
    fn what_is_given_back_says_what_cannot_be_guessed() {
        let mut held = Held::default();
        held.add(1, message(1, 1));
        held.add(2, message(1, 2));
        held.add(3, message(1, 2));
        held.done(position(3, 0));
        let all: HashSet<_> = [position(1, 0), position(2, 0), position(3, 1)].into();
        let whole = held.whole(&all);
        assert_eq!(whole, [position(1, 0), position(3, 1)].into());
        let taken = held.take(&[(position(1, 0), 1), (position(3, 1), 1)]);
        let special: Vec<_> = taken
            .iter()
            .map(|(at, it)| (*at, it.is_special()))
            .collect();
        assert_eq!(special, [(1, false), (3, true)]);
        assert_eq!(held.replies().len(), 1);
        // Not delivered to anybody here: the next one's is the first.
        let taken = held.take(&[(position(2, 0), 0), (position(2, 1), 0)]);
        assert!(taken[0].1.is_special());
    }
}
