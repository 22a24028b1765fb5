//! The address of a proxy as users give it: `HOST:PORT`, or `HOST` alone for port 443 with TLS.

use std::net::Ipv6Addr;

use crate::error::{CliError, Result};

/// The longest host name of DNS, in bytes.
const LONGEST_HOST: usize = 253;

/// The longest part of a host name, in bytes.
const LONGEST_LABEL: usize = 63;

/// Refuses what can never be reached.
///
/// # Errors
/// It is no `HOST` or `HOST:PORT`, with the reason.
pub(super) fn check(address: &str) -> Result<()> {
    let why = match split(address) {
        Ok((host, port)) => host_fault(host).or_else(|| port.and_then(port_fault)),
        Err(why) => Some(why),
    };
    match why {
        None => Ok(()),
        Some(why) => Err(
            CliError::plain(format!("\"{address}\" is not an address: {why}"))
                .hint("an address is HOST:PORT, such as 127.0.0.1:8081"),
        ),
    }
}

fn split(address: &str) -> std::result::Result<(&str, Option<&str>), &'static str> {
    if address.contains("://") {
        return Err("it has a scheme");
    }
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a bracket is missing")?;
        host.parse::<Ipv6Addr>()
            .map_err(|_| "in brackets stands no IPv6 address")?;
        return match (rest.is_empty(), rest.strip_prefix(':')) {
            (true, _) => Ok((address, None)),
            (false, Some(port)) => Ok((address, Some(port))),
            (false, None) => Err("behind the bracket comes no port"),
        };
    }
    Ok(match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    })
}

fn host_fault(host: &str) -> Option<&'static str> {
    if host.starts_with('[') {
        return None;
    }
    if host.is_empty() {
        return Some("it has no host");
    }
    let is_label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && label.chars().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    (host.len() > LONGEST_HOST || !name.split('.').all(is_label))
        .then_some("its host is no name and no IP address")
}

fn port_fault(port: &str) -> Option<&'static str> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let usable = digits && port.parse::<u16>().is_ok_and(|port| port > 0);
    (!usable).then_some("its port is no number from 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        for good in [
            "example.com",
            "example.com:8081",
            "127.0.0.1:1",
            "localhost:65535",
            "[::1]:8081",
            "[fd00::2]",
            "a_b-c.d.",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        for (bad, why) in [
            ("", "it has no host"),
            (":80", "it has no host"),
            ("http://example.com", "it has a scheme"),
            ("a b:1", "no name and no IP address"),
            ("a..b:1", "no name and no IP address"),
            ("-a:1", "no name and no IP address"),
            ("a/b:1", "no name and no IP address"),
            ("user@host:1", "no name and no IP address"),
            ("h:0", "no number from 1 to 65535"),
            ("h:65536", "no number from 1 to 65535"),
            ("h:", "no number from 1 to 65535"),
            ("h:+1", "no number from 1 to 65535"),
            ("h:1:2", "no number from 1 to 65535"),
            ("[::1", "a bracket is missing"),
            ("[x]:1", "no IPv6 address"),
            ("[::1]1", "no port"),
        ] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.code, 1);
            assert!(error.message.contains(why), "{bad}: {error}");
        }
    }
}
