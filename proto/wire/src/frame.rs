//! The framing of gRPC messages: one flag byte, four bytes of length, the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest message taken, in bytes: 16 MiB, both ways.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// The length of what stands before a message.
pub const HEADER: usize = 5;

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field promises more than is taken.
    #[error("a message of {size} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What the frame announces.
        size: usize,
        /// What is taken.
        limit: usize,
    },
    /// The flag is neither 0 nor 1.
    #[error("invalid compression flag {0}: these bytes are not gRPC frames")]
    Flag(u8),
    /// The body ended inside a frame.
    #[error("the body ended inside a message frame")]
    Truncated,
}

impl From<FrameError> for tonic::Status {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge { .. } => Self::resource_exhausted(error.to_string()),
            FrameError::Flag(_) | FrameError::Truncated => Self::internal(error.to_string()),
        }
    }
}

/// One message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether the payload is compressed as `grpc-encoding` says.
    pub compressed: bool,
    /// The message.
    pub payload: Bytes,
}

/// What stands before an uncompressed message of this length.
///
/// # Panics
/// Never for a message within [`MAX_MESSAGE`]; a length above 4 GiB has no frame.
#[must_use]
pub fn header(length: usize) -> [u8; HEADER] {
    let length = u32::try_from(length).expect("a message is far smaller than 4 GiB");
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

/// An uncompressed frame around a message.
#[must_use]
pub fn encode(message: Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER + message.len());
    out.put_slice(&header(message.len()));
    out.put(message);
    out.freeze()
}

/// Takes frames out of chunks of any size. A frame within one chunk is not copied.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    buffer: Buffered,
}

/// Most bodies come as one chunk, which then needs no copy.
#[derive(Debug)]
enum Buffered {
    One(Bytes),
    Joined(BytesMut),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_MESSAGE)
    }
}

impl Decoder {
    /// A decoder that takes messages of up to `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Buffered::One(Bytes::new()),
        }
    }

    /// Adds what came.
    pub fn push(&mut self, chunk: Bytes) {
        match &mut self.buffer {
            Buffered::One(held) if held.is_empty() => *held = chunk,
            Buffered::One(held) => {
                let mut joined = BytesMut::with_capacity(held.len() + chunk.len());
                joined.put_slice(held);
                joined.put_slice(&chunk);
                self.buffer = Buffered::Joined(joined);
            }
            Buffered::Joined(held) if held.is_empty() => self.buffer = Buffered::One(chunk),
            Buffered::Joined(held) => held.put_slice(&chunk),
        }
    }

    /// The next whole message, if it has come.
    ///
    /// # Errors
    /// A message above the limit, as soon as its length is known, or bytes that are no frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let held = self.held();
        let Some(&[flag, a, b, c, d]) = held.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        if flag > 1 {
            return Err(FrameError::Flag(flag));
        }
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if size > self.limit {
            return Err(FrameError::TooLarge {
                size,
                limit: self.limit,
            });
        }
        if held.len() < HEADER + size {
            return Ok(None);
        }
        let payload = match &mut self.buffer {
            Buffered::One(bytes) => {
                bytes.advance(HEADER);
                bytes.split_to(size)
            }
            Buffered::Joined(bytes) => {
                bytes.advance(HEADER);
                bytes.split_to(size).freeze()
            }
        };
        Ok(Some(Frame {
            compressed: flag == 1,
            payload,
        }))
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// To be asked when the body has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] if part of a frame is held.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(FrameError::Truncated)
        }
    }

    fn held(&self) -> &[u8] {
        match &self.buffer {
            Buffered::One(bytes) => bytes,
            Buffered::Joined(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let messages: Vec<Bytes> = [&b"hello"[..], b"", b"a longer message"]
            .map(Bytes::from_static)
            .to_vec();
        let wire: Vec<u8> = messages.iter().cloned().flat_map(encode).collect();
        for size in 1..=wire.len() {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for chunk in wire.chunks(size) {
                decoder.push(Bytes::copy_from_slice(chunk));
                while let Some(frame) = decoder.next_frame().unwrap() {
                    assert!(!frame.compressed);
                    got.push(frame.payload);
                }
            }
            decoder.finish().unwrap();
            assert_eq!(got, messages, "chunks of {size}");
        }
    }

    #[test]
    fn refuses() {
        let mut decoder = Decoder::new(4);
        decoder.push(Bytes::from_static(&[0, 0, 0, 0, 5]));
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::TooLarge { size: 5, limit: 4 })
        );
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(b"garbage"));
        assert_eq!(decoder.next_frame(), Err(FrameError::Flag(b'g')));
        let mut decoder = Decoder::default();
        decoder.push(Bytes::from_static(&[1, 0, 0, 0, 2, 7]));
        assert_eq!(decoder.next_frame(), Ok(None));
        assert_eq!(decoder.finish(), Err(FrameError::Truncated));
        decoder.push(Bytes::from_static(&[8]));
        let frame = decoder.next_frame().unwrap().unwrap();
        assert!(frame.compressed);
        assert_eq!(frame.payload, [7, 8][..]);
    }
}
