//! The first bytes of a connection: HTTP/2, a whole head of HTTP/1, or nothing worth waiting for.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Chain, Join, join},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

use super::HEADER_LIMIT;

/// How long a new connection has for its first request head.
pub const SNIFF_TIMEOUT: Duration = Duration::from_secs(4);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain\r\n\
    connection: close\r\ncontent-length: 46\r\n\r\nno whole request has come within 4 seconds\r\n\r\n";

/// A connection from its first byte on, also of what has been looked at already.
pub type Io = Join<Chain<io::Cursor<Bytes>, OwnedReadHalf>, OwnedWriteHalf>;

/// What a connection begins with.
pub enum Opening {
    /// The preface of HTTP/2.
    Http2(Io),
    /// The head of an HTTP/1 request, or what no protocol begins with: an HTTP/1 server knows what
    /// to answer to either.
    Http1(Io),
}

/// Looks at the first bytes of a connection. `None` if the connection is over, or has not sent the
/// head of a request within [`SNIFF_TIMEOUT`]; it has been told so, then.
pub async fn sniff(mut socket: TcpStream) -> Option<Opening> {
    let mut seen = BytesMut::with_capacity(4096);
    match timeout(SNIFF_TIMEOUT, read(&mut socket, &mut seen)).await {
        Ok(Ok(true)) => Some(Opening::Http2(resume(socket, seen))),
        Ok(Ok(false)) if seen.is_empty() => None,
        Ok(Ok(false)) => Some(Opening::Http1(resume(socket, seen))),
        Ok(Err(_)) => None,
        Err(_) => {
            if !seen.is_empty() {
                // Whether the peer still listens is its own business.
                let _ = timeout(SNIFF_TIMEOUT, socket.write_all(LATE)).await;
            }
            None
        }
    }
}

/// Reads until it is clear what the connection speaks: whether that is HTTP/2.
async fn read(socket: &mut TcpStream, seen: &mut BytesMut) -> io::Result<bool> {
    loop {
        if socket.read_buf(seen).await? == 0 {
            return Ok(false);
        }
        let compared = seen.len().min(PREFACE.len());
        if seen[..compared] == PREFACE[..compared] {
            if compared == PREFACE.len() {
                return Ok(true);
            }
            continue;
        }
        if is_decided(seen) {
            return Ok(false);
        }
    }
}

/// Whether an HTTP/1 parser can tell what to do with these bytes without any more.
fn is_decided(seen: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || b" \t\r\n".contains(byte);
    seen.len() >= HEADER_LIMIT as usize
        || !seen.iter().take(8).all(is_text)
        || seen.windows(2).any(|pair| pair == b"\n\n")
        || seen.windows(4).any(|end| end == b"\r\n\r\n")
}

fn resume(socket: TcpStream, seen: BytesMut) -> Io {
    let (read, write) = socket.into_split();
    join(
        AsyncReadExt::chain(io::Cursor::new(seen.freeze()), read),
        write,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides_on_whole_heads_and_on_garbage() {
        for (bytes, decided) in [
            (&b"GET / HTTP/1.1\r\nhost: a\r\n"[..], false),
            (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
            (b"GET / HTTP/1.1\nhost: a\n\n", true),
            (b"GARBAGE", false),
            (b"\x16\x03\x01\x02\x00", true),
            (b"\x00\x00\x00", true),
        ] {
            assert_eq!(is_decided(bytes), decided, "{bytes:?}");
        }
        assert!(is_decided(&vec![b'a'; HEADER_LIMIT as usize]));
    }

    #[test]
    fn the_late_answer_is_well_formed() {
        let text = std::str::from_utf8(LATE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
    }
}
