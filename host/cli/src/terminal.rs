//! The terminal that a person types at: a line that is not shown while it is typed.

use std::{
    io::{self, Read},
    os::fd::AsFd,
};

use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};

const END_OF_TEXT: u8 = 0x03;
const END_OF_INPUT: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

use crate::error::{CliError, Result};

/// How typing a line ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// With Enter.
    Line(String),
    /// With Ctrl-D on an empty line, or the terminal is gone.
    Ended,
    /// With Ctrl-C.
    Interrupted,
}

/// Reads a line that is not shown. Nothing that is typed from now on is shown, so `ask` is called, to print the prompt,
/// only then: who answers as soon as they see it is not seen answering.
///
/// Ctrl-C comes as a character, since the signal would end the process before the terminal shows again what is typed.
///
/// # Errors
/// The terminal cannot be set or read, or what was typed is not UTF-8; what `ask` says.
pub(crate) fn read_hidden(
    mut terminal: impl Read + AsFd,
    ask: impl FnOnce() -> Result<()>,
) -> Result<Typed> {
    let before = hide(&terminal).map_err(unreadable)?;
    let typed = ask().and_then(|()| read_line(&mut terminal).map_err(unreadable));
    let shown = tcsetattr(&terminal, SetArg::TCSANOW, &before);
    shown.map_err(|error| unreadable(error.into()))?;
    typed
}

fn unreadable(error: io::Error) -> CliError {
    CliError::plain(format!("Cannot read from the terminal: {error}"))
}

/// Shows no longer what is typed. Gives the settings that held before.
fn hide(terminal: &impl AsFd) -> io::Result<Termios> {
    let before = tcgetattr(terminal)?;
    let mut settings = before.clone();
    let shown = LocalFlags::ECHO | LocalFlags::ECHONL;
    settings.local_flags &= !(shown | LocalFlags::ICANON | LocalFlags::ISIG);
    settings.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    settings.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    // What was typed ahead stays: it may be the answer.
    tcsetattr(terminal, SetArg::TCSANOW, &settings)?;
    Ok(before)
}

fn read_line(terminal: &mut impl Read) -> io::Result<Typed> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match terminal.read(&mut byte) {
            Ok(0) => return Ok(Typed::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match byte[0] {
            b'\n' | b'\r' => break,
            END_OF_TEXT => return Ok(Typed::Interrupted),
            END_OF_INPUT if line.is_empty() => return Ok(Typed::Ended),
            END_OF_INPUT => break,
            KILL_LINE => line.clear(),
            BACKSPACE | DELETE => erase(&mut line),
            other => line.push(other),
        }
    }
    String::from_utf8(line)
        .map(Typed::Line)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not valid UTF-8"))
}

/// Takes the last character, which may be several bytes.
fn erase(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use nix::pty::openpty;

    use super::*;

    fn typed(bytes: &[u8]) -> io::Result<Typed> {
        read_line(&mut io::Cursor::new(bytes))
    }

    #[test]
    fn a_line_can_be_corrected() {
        let line = |text: &str| Typed::Line(text.to_owned());
        for (bytes, expected) in [
            (&b"hush\nmore"[..], line("hush")),
            (b"hush\r", line("hush")),
            (b"hx\x7fush\n", line("hush")),
            ("hü\x7fush\n".as_bytes(), line("hush")),
            (b"\x7f\x08a\n", line("a")),
            (b"wrong\x15hush\n", line("hush")),
            (b"hush\x04", line("hush")),
            (b"\x04", Typed::Ended),
            (b"", Typed::Ended),
            (b"hu\x03sh\n", Typed::Interrupted),
        ] {
            assert_eq!(typed(bytes).unwrap(), expected, "{bytes:?}");
        }
        assert!(typed(b"\xff\n").is_err());
    }

    #[test]
    fn echo_is_off_when_the_prompt_shows_and_on_again_afterwards() {
        let pty = openpty(None, None).unwrap();
        let (mut person, slave) = (File::from(pty.master), File::from(pty.slave));
        let terminal = slave.try_clone().unwrap();
        let shows = || {
            let flags = tcgetattr(&slave).unwrap().local_flags;
            flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
        };
        assert!(shows());
        let typed = read_hidden(&terminal, || {
            assert!(!shows());
            person.write_all(b"hush\n").unwrap();
            Ok(())
        });
        assert_eq!(typed.unwrap(), Typed::Line("hush".to_owned()));
        assert!(shows());
        let refused = read_hidden(&terminal, || Err(CliError::plain("no prompt")));
        assert!(refused.is_err());
        assert!(shows(), "a prompt that fails does not leave it off");
    }
}
