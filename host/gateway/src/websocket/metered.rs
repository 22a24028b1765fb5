//! The bytes of a websocket on their way in, metered: a frame is paid for before room is made for it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use micro_route::Charge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames up to this size are not worth counting, in bytes.
const SMALL: u64 = 16 * 1024;

/// A connection whose incoming frames are charged to a budget. Whoever reads it sets aside what a
/// frame's header announces, so the header is looked at before it gets there.
pub(super) struct Metered<I> {
    io: I,
    charge: Charge,
    taken: usize,
    at: At,
    error: Option<micro_wire::Error>,
}

/// Where in the frames the bytes are.
#[derive(Clone, Copy)]
enum At {
    /// Within a header, of which these have come.
    Header { bytes: [u8; 14], count: usize },
    /// Within a payload, of which this much is missing.
    Payload { missing: u64, last: bool },
}

const START: At = At::Header {
    bytes: [0; 14],
    count: 0,
};

impl<I> Metered<I> {
    pub(super) fn new(io: I, charge: Charge) -> Self {
        Self {
            io,
            charge,
            taken: 0,
            at: START,
            error: None,
        }
    }

    /// Looks at bytes that have come.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), micro_wire::Error> {
        while let Some((&byte, rest)) = bytes.split_first() {
            match &mut self.at {
                At::Header {
                    bytes: header,
                    count,
                } => {
                    header[*count] = byte;
                    *count += 1;
                    bytes = rest;
                    let header = *header;
                    if let Some(length) = length(&header, *count) {
                        // A message of several frames is paid for until its last has come.
                        // Pings and their kind stand between its frames.
                        let last = header[0] & 0x88 == 0x80;
                        self.begin(length, last)?;
                    }
                }
                At::Payload { missing, last } => {
                    let here = (bytes.len() as u64).min(*missing);
                    *missing -= here;
                    let (done, last) = (*missing == 0, *last);
                    // Not more than there are bytes here.
                    bytes = &bytes[usize::try_from(here).unwrap_or(bytes.len())..];
                    if done {
                        self.end(last);
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, length: u64, last: bool) -> Result<(), micro_wire::Error> {
        if length > SMALL {
            // What is larger than any message is refused for that by whoever reads it.
            let bytes = usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(micro_wire::frame::MAX_MESSAGE);
            self.charge.grow(bytes)?;
            self.taken += bytes;
        }
        match length {
            0 => self.end(last),
            missing => self.at = At::Payload { missing, last },
        }
        Ok(())
    }

    fn end(&mut self, last: bool) {
        self.at = START;
        if last {
            self.charge.shrink(std::mem::take(&mut self.taken));
        }
    }
}

/// The length of the payload, if the header is whole with `count` bytes.
fn length(header: &[u8; 14], count: usize) -> Option<u64> {
    if count < 2 {
        return None;
    }
    let mask = if header[1] & 0x80 == 0 { 0 } else { 4 };
    let (extended, length) = match header[1] & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes([header[2], header[3]]))),
        127 => {
            let [_, _, bytes @ .., _, _, _, _] = *header;
            (8, u64::from_be_bytes(bytes))
        }
        short => (0, u64::from(short)),
    };
    (count == 2 + extended + mask).then_some(length)
}

impl<I: AsyncRead + Unpin> AsyncRead for Metered<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = &this.error {
            return Poll::Ready(Err(io::Error::other(error.clone())));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        if let Err(error) = this.pass(&buffer.filled()[before..]) {
            buffer.set_filled(before);
            this.error = Some(error.clone());
            return Poll::Ready(Err(io::Error::other(error)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Metered<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_route::Budget;

    fn frame(first: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => frame.push(mask | short),
            (_, Ok(medium)) => {
                frame.push(mask | 126);
                frame.extend(medium.to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(vec![7; length + if masked { 4 } else { 0 }]);
        frame
    }

    #[test]
    fn frames_are_charged_while_they_are_incomplete() {
        const LARGE: usize = 70_000;
        let budget = Budget::new(200_000, 200_000);
        for masked in [true, false] {
            for chunk in [1, 3, 1000, usize::MAX] {
                let mut metered = Metered::new((), budget.connection().charge());
                let mut wire = Vec::new();
                for (first, length) in [(0x81, 5), (0x81, 0), (0x82, 300), (0x82, 20_000)] {
                    wire.extend(frame(first, length, masked));
                }
                // In two frames, with a ping in between; of the second one byte is missing.
                wire.extend(frame(0x02, LARGE, masked));
                wire.extend(frame(0x89, 4, masked));
                wire.extend(frame(0x80, LARGE, masked));
                wire.pop();
                for part in wire.chunks(chunk.min(wire.len())) {
                    metered.pass(part).unwrap();
                }
                assert_eq!(budget.taken(), 2 * LARGE, "chunks of {chunk}");
                metered.pass(&[7]).unwrap();
                assert_eq!(budget.taken(), 0, "chunks of {chunk}");
            }
        }
    }

    #[test]
    fn what_is_beyond_the_budget_is_refused_by_its_header() {
        let budget = Budget::new(100_000, 100_000);
        let mut metered = Metered::new((), budget.connection().charge());
        let header = &frame(0x82, 100_001, true)[..14];
        assert_eq!(metered.pass(header).unwrap_err().code, 429);
    }
}
