//! One address that serves a service, and how it has behaved: its load, and its back-off after a
//! refused connection.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::Authority;
use micro_plugin_api::registry;

/// How long a node is left alone after its first refused connection; doubles with each further one.
const FIRST_BACK_OFF: Duration = Duration::from_millis(200);

/// The longest that a node is left alone.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);

/// A node of a service. It outlives the snapshot that it was found in, so that what is known of
/// its behaviour survives a change elsewhere in the registry.
#[derive(Debug)]
pub struct Node {
    id: String,
    authority: Authority,
    in_flight: AtomicUsize,
    failures: AtomicU32,
    /// Milliseconds since [`epoch`] until which it is not tried; 0 for now.
    rests_until: AtomicU64,
}

impl Node {
    /// The node of a registry record; `None` if its address is none.
    pub(crate) fn new(record: &registry::Node) -> Option<Self> {
        Some(Self {
            id: record.id.clone(),
            authority: authority(&record.address, record.port)?,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
        })
    }

    /// Its id in the registry.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `host:port`, an IPv6 host in brackets.
    pub fn address(&self) -> &str {
        self.authority.as_str()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether the registry still describes this node so.
    pub(crate) fn is(&self, record: &registry::Node) -> bool {
        self.id == record.id
            && (self.authority.as_str() == record.address
                || authority(&record.address, record.port).as_ref() == Some(&self.authority))
    }

    /// The calls that are with the node just now, of every thread.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the node may be tried: it is not within the back-off after a failed connection.
    pub fn is_available(&self) -> bool {
        match self.rests_until.load(Ordering::Relaxed) {
            0 => true,
            until => now() >= until,
        }
    }

    /// Notes that no connection to the node could be made: it is left alone for a while.
    pub(crate) fn failed(&self) {
        if !self.is_available() {
            // Those who waited for the same connection tell of the same failure.
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(16);
        let rest = (FIRST_BACK_OFF * 2u32.pow(failures)).min(LONGEST_BACK_OFF);
        let until = now() + u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.rests_until.store(until, Ordering::Relaxed);
    }

    /// Notes that a connection to the node was made.
    pub(crate) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.rests_until.store(0, Ordering::Relaxed);
    }
}

/// A call that is with a node, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Node>);

impl InFlight {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        node.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(node)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Milliseconds since some moment in the life of this process, never 0.
fn now() -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// Whether calls can be sent to a node with this address, which may hold its port itself or leave
/// it to `port`.
pub fn is_address(address: &str, port: i64) -> bool {
    authority(address, port).is_some()
}

/// The authority of an address, which may hold its port itself or leave it to `port`.
fn authority(address: &str, port: i64) -> Option<Authority> {
    let text = match (address.rsplit_once(':'), port) {
        // A bare IPv6 address has colons too, but never a bracket in front of its last one.
        _ if address.parse::<std::net::Ipv6Addr>().is_ok() => format!("[{address}]:{port}"),
        (Some((_, digits)), _) if digits.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:{port}"),
    };
    let authority: Authority = text.parse().ok()?;
    let usable = authority.port_u16().is_some_and(|port| port != 0)
        && !authority.host().is_empty()
        && !text.contains('@');
    usable.then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(address: &str, port: i64) -> registry::Node {
        registry::Node {
            id: "a".into(),
            address: address.into(),
            port,
            ..Default::default()
        }
    }

    #[test]
    fn addresses() {
        for (address, port, want) in [
            ("127.0.0.1:80", 0, Some("127.0.0.1:80")),
            ("127.0.0.1", 80, Some("127.0.0.1:80")),
            ("[fd00::2]:46067", 0, Some("[fd00::2]:46067")),
            ("fd00::2", 46067, Some("[fd00::2]:46067")),
            ("[fd00::2]", 46067, Some("[fd00::2]:46067")),
            ("host.example", 8080, Some("host.example:8080")),
            ("host.example:8080", 9, Some("host.example:8080")),
            ("host.example", 0, None),
            ("host.example:0", 0, None),
            ("", 0, None),
            (":80", 0, None),
            ("user@host:80", 0, None),
            ("a b:80", 0, None),
            ("127.0.0.1", 70_000, None),
        ] {
            let node = Node::new(&record(address, port));
            assert_eq!(node.as_ref().map(Node::address), want, "{address} {port}");
        }
    }

    #[test]
    fn a_failed_node_rests_and_recovers() {
        let node = Node::new(&record("127.0.0.1:80", 0)).unwrap();
        assert!(node.is_available());
        node.failed();
        assert!(!node.is_available());
        node.answered();
        assert!(node.is_available());
    }
}
