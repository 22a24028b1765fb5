//! The listeners of the doors: one socket for each core on the same address, which nobody else
//! has.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::ServerError;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// An address that is ours, with one socket for each core. Who connects already waits until the
/// sockets are served.
#[derive(Debug)]
pub(crate) struct Bound {
    address: SocketAddr,
    flag: &'static str,
    sockets: Vec<Socket>,
}

impl Bound {
    /// Takes `address` for `count` listeners. Port 0 is any free one. `flag` is what error
    /// messages tell to set.
    ///
    /// The first socket is bound and listens without `SO_REUSEPORT`, which fails if anybody has the
    /// address, another server of the same user included; only then does it let the others join
    /// it. (Bound alone is not enough: `SO_REUSEADDR` lets two sockets bind one address as long as
    /// neither listens.)
    pub(crate) fn new(
        address: SocketAddr,
        count: usize,
        flag: &'static str,
    ) -> Result<Self, ServerError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => ServerError::InUse { address, flag },
            _ => ServerError::Listen {
                address,
                flag,
                source,
            },
        };
        let first = socket(address).map_err(failed)?;
        first.bind(&address.into()).map_err(failed)?;
        first.listen(BACKLOG).map_err(failed)?;
        first.set_reuse_port(true).map_err(failed)?;
        let address = first
            .local_addr()
            .map_err(failed)?
            .as_socket()
            .unwrap_or(address);
        let mut sockets = vec![first];
        while sockets.len() < count {
            let next = socket(address).map_err(failed)?;
            next.set_reuse_port(true).map_err(failed)?;
            next.bind(&address.into()).map_err(failed)?;
            next.listen(BACKLOG).map_err(failed)?;
            sockets.push(next);
        }
        Ok(Self {
            address,
            flag,
            sockets,
        })
    }

    /// The real address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// One listener for each core, non-blocking. (The one place where a listener could come to
    /// speak TLS.)
    pub(crate) fn into_listeners(self) -> Result<Vec<TcpListener>, ServerError> {
        let (address, flag) = (self.address, self.flag);
        self.sockets
            .into_iter()
            .map(|socket| {
                socket.set_nonblocking(true)?;
                Ok(TcpListener::from(socket))
            })
            .collect::<std::io::Result<_>>()
            .map_err(|source| ServerError::Listen {
                address,
                flag,
                source,
            })
    }
}

fn socket(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of a server that has just stopped do not keep its successor from the address.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn every_listener_has_the_one_port_that_was_free() {
        let bound = Bound::new(any(), 3, "api_address").expect("a port");
        let address = bound.address();
        assert_ne!(address.port(), 0);
        let listeners = bound.into_listeners().expect("listeners");
        assert_eq!(listeners.len(), 3);
        for listener in &listeners {
            assert_eq!(listener.local_addr().expect("an address"), address);
        }
        std::net::TcpStream::connect(address).expect("a connection");
    }

    #[test]
    fn an_address_is_not_shared() {
        let first = Bound::new(any(), 2, "api_address").expect("a port");
        let address = first.address();
        let taken = format!("{address} is in use; stop that process or set --proxy_address");
        let error = Bound::new(address, 2, "proxy_address").expect_err("taken");
        assert_eq!(error.to_string(), taken, "bound");
        let listeners = first.into_listeners().expect("listeners");
        let error = Bound::new(address, 2, "proxy_address").expect_err("taken");
        assert_eq!(error.to_string(), taken, "listening");
        drop(listeners);
        Bound::new(address, 2, "proxy_address").expect("free again");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let address = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = Bound::new(address, 1, "api_address").expect_err("not ours");
        assert!(
            error
                .to_string()
                .starts_with("cannot listen on 192.0.2.1:0 (--api_address): "),
            "{error}"
        );
    }
}
