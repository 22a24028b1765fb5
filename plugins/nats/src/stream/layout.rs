//! What the plugin keeps in NATS, and under which names.
//!
//! ```text
//! stream PREFIX_events    PREFIX.events.t.TOPIC          the events of a topic
//!                         PREFIX.events.p.ID             pieces of what is too large for one message
//!                         PREFIX.events.x.ID             whether a batch for many topics holds
//! stream PREFIX_groups    PREFIX.groups.CONSUMER.SEQ     what is settled of a message, and how often
//!                                                        the rest was delivered
//! subject PREFIX.members.CONSUMER                        members of a group answer with its terms
//! ```

use sha2::{Digest as _, Sha256};

use crate::subject::{escaped, token};

/// The names that begin with one prefix.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    prefix: String,
    /// The stream of events.
    pub(super) events: String,
    /// The stream of what groups remember beyond what JetStream does.
    pub(super) groups: String,
}

impl Layout {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            events: format!("{prefix}_events"),
            groups: format!("{prefix}_groups"),
        }
    }

    /// What the stream of events takes in.
    pub(super) fn all_events(&self) -> String {
        format!("{}.events.>", self.prefix)
    }

    /// What the stream of groups takes in.
    pub(super) fn all_groups(&self) -> String {
        format!("{}.groups.>", self.prefix)
    }

    /// Where the events of a topic are.
    pub(super) fn topic(&self, topic: &str) -> String {
        format!("{}.events.t.{}", self.prefix, token(topic))
    }

    /// Where the pieces of a batch are.
    pub(super) fn pieces(&self, batch: &str) -> String {
        format!("{}.events.p.{batch}", self.prefix)
    }

    /// Where it says whether a batch for many topics holds.
    pub(super) fn outcome(&self, batch: &str) -> String {
        format!("{}.events.x.{batch}", self.prefix)
    }

    /// Where it says what is settled of the message `sequence`.
    pub(super) fn progress(&self, consumer: &str, sequence: u64) -> String {
        format!("{}.groups.{consumer}.{sequence}", self.prefix)
    }

    /// Where members of a group listen.
    pub(super) fn members(&self, consumer: &str) -> String {
        format!("{}.members.{consumer}", self.prefix)
    }
}

/// The name of a group's durable consumer: what a person recognises, and what no other group has.
pub(super) fn consumer(topic: &str, group: &str) -> String {
    let mut hash = Sha256::new();
    // Lengths first: no other pair of names gives the same bytes.
    hash.update((topic.len() as u64).to_be_bytes());
    hash.update(topic);
    hash.update(group);
    let plain = escaped(group, |byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let plain: String = plain.chars().take(40).collect();
    let mut name = plain.replace('%', "_");
    name.push('-');
    for byte in hash.finalize().iter().take(16) {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_of_different_groups_differ_and_their_names_are_plain() {
        let names = [
            consumer("orders", "billing"),
            consumer("orders", "Billing"),
            consumer("ordersb", "illing"),
            consumer("orders", "日本/语 *.>"),
            consumer("orders", &"g".repeat(256)),
        ];
        assert!(names[0].starts_with("billing-"), "{}", names[0]);
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() < 80, "{name}");
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            assert!(name.chars().all(plain), "{name}");
            assert!(!names[..at].contains(name), "{name}");
        }
    }
}
