//! The subscribers of one topic, and who of them gets a message.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use micro_plugin_api::{
    Error,
    broker::{MailboxSender, Message},
};

/// Numbers subscribers: no number comes twice in a process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Where a subscriber stands in its topic.
pub(super) struct Place {
    queue: Option<String>,
    number: u64,
}

struct Subscriber {
    number: u64,
    mailbox: MailboxSender,
}

/// The members of a queue, one of whom gets each message.
#[derive(Default)]
struct Queue {
    members: Vec<Subscriber>,
    turn: AtomicUsize,
}

#[derive(Default)]
pub(super) struct Topic {
    everybody: Vec<Subscriber>,
    queues: HashMap<String, Queue>,
}

impl Topic {
    /// Adds a subscriber.
    pub(super) fn add(&mut self, queue: Option<&str>, mailbox: MailboxSender) -> Place {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber { number, mailbox };
        match queue {
            None => self.everybody.push(subscriber),
            Some(queue) => self
                .queues
                .entry(queue.to_owned())
                .or_default()
                .members
                .push(subscriber),
        }
        Place {
            queue: queue.map(str::to_owned),
            number,
        }
    }

    /// Takes a subscriber away, if it is one.
    pub(super) fn remove(&mut self, place: &Place) {
        match &place.queue {
            None => take(&mut self.everybody, place.number),
            Some(name) => {
                if let Some(queue) = self.queues.get_mut(name) {
                    take(&mut queue.members, place.number);
                    if queue.members.is_empty() {
                        self.queues.remove(name);
                    }
                }
            }
        }
    }

    /// How many there are.
    pub(super) fn subscribers(&self) -> usize {
        let members = self.queues.values().map(|queue| queue.members.len());
        self.everybody.len() + members.sum::<usize>()
    }

    /// Puts a message into the mailboxes of those who get it.
    pub(super) fn publish(&self, message: &Arc<Message>) {
        for subscriber in &self.everybody {
            subscriber.mailbox.send(message);
        }
        for queue in self.queues.values() {
            queue.publish(message);
        }
    }

    /// Ends all subscriptions.
    pub(super) fn end(&self, error: &Error) {
        let members = self.queues.values().flat_map(|queue| &queue.members);
        for subscriber in self.everybody.iter().chain(members) {
            subscriber.mailbox.end(error.clone());
        }
    }
}

fn take(subscribers: &mut Vec<Subscriber>, number: u64) {
    subscribers.retain(|subscriber| subscriber.number != number);
}

impl Queue {
    /// By turns, but nobody who is full gets one while another has room.
    fn publish(&self, message: &Arc<Message>) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        let (after, before) = self.members.split_at(turn);
        let in_turn = || before.iter().chain(after);
        let size = message.size();
        let taken =
            in_turn().any(|member| member.mailbox.has_room(size) && member.mailbox.send(message));
        if !taken {
            // All are full: the one whose turn it is loses its oldest message.
            in_turn().any(|member| member.mailbox.send(message));
        }
    }
}
