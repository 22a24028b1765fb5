//! How a websocket ends: the code of RFC 6455 for each error, and a reason that fits.

use micro_wire::Error;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// The longest reason that a close frame holds, in bytes.
const LONGEST: usize = 123;

/// The end of a call that went well.
pub(super) fn normal() -> CloseFrame {
    frame(CloseCode::Normal, "")
}

/// The end of a server.
pub(super) fn away() -> CloseFrame {
    frame(CloseCode::Away, "the server is shutting down")
}

/// The end of a call that failed.
pub(super) fn failed(error: &Error) -> CloseFrame {
    let code = match error.code {
        400 => CloseCode::Invalid,
        401 | 403 => CloseCode::Policy,
        413 => CloseCode::Size,
        429 | 503 => CloseCode::Again,
        _ => CloseCode::Error,
    };
    frame(code, &error.detail)
}

fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    let reason = &reason[..reason.floor_char_boundary(LONGEST)];
    CloseFrame {
        code,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_reasons() {
        for (code, close) in [
            (400, 1007),
            (401, 1008),
            (403, 1008),
            (404, 1011),
            (408, 1011),
            (413, 1009),
            (429, 1013),
            (500, 1011),
            (502, 1011),
            (503, 1013),
        ] {
            let frame = failed(&Error::new("x", code, "why"));
            assert_eq!(u16::from(frame.code), close, "{code}");
            assert_eq!(frame.reason.as_str(), "why");
        }
        let long = failed(&Error::bad_request("x", "é".repeat(100)));
        assert_eq!(long.reason.as_str(), "é".repeat(61));
    }
}
