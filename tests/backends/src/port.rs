//! Free ports that stay free while a server is down.

use std::{fs, net::TcpListener};

use uuid::Uuid;

/// A free port of the loopback address, below those that the system gives to outgoing connections
/// and to whoever binds port 0: a server that ends for a while finds its port free again.
pub(crate) fn free() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next();
    let end = lowest.and_then(|port| port.parse().ok()).unwrap_or(32768);
    let start = 10_240.min(end / 2);
    loop {
        let [high, low, ..] = *Uuid::new_v4().as_bytes();
        let port = start + u16::from_be_bytes([high, low]) % (end - start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
