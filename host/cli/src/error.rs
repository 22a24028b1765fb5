//! What a command's failure looks like: one table from causes to message, exit code and hint.

use micro_wire::Error as WireError;

/// A failed command: what to say on stderr, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// What happened, and to which thing.
    pub message: String,
    /// The exit code of the process.
    pub code: u8,
    /// What to do next.
    pub hint: Option<String>,
    /// Set when there is nobody to tell, or nothing to tell them: the command ends without a word.
    pub quiet: bool,
}

/// The result of a command.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

impl CliError {
    /// A failure with this message and exit code.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code,
            hint: None,
            quiet: false,
        }
    }

    /// A failure of the user's input or machine: exit code 1.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(1, message)
    }

    /// The same with a hint on what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reader of our output has gone; that is no failure of ours.
    pub fn broken_pipe() -> Self {
        Self {
            quiet: true,
            ..Self::new(0, "broken pipe")
        }
    }

    /// The person typed Ctrl-C at a prompt: the code that a shell gives for that signal.
    pub fn interrupted() -> Self {
        Self {
            quiet: true,
            ..Self::new(130, "interrupted")
        }
    }

    /// A file of ours that cannot be read or written.
    pub fn file(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::plain(format!("Cannot {action} {}: {error}", path.display()))
    }

    /// Nobody listens at the address.
    pub fn connect(address: &str) -> Self {
        Self::new(4, format!("Failed to connect to micro server at {address}")).hint(
            "start it with `micro server`, or choose another environment with `micro env set`",
        )
    }

    /// There is no such command, here or on the server.
    pub fn unknown_command(name: &str) -> Self {
        Self::plain(format!(
            "Unrecognized micro command: {name}. Please refer to 'micro --help'"
        ))
    }

    /// The command needs an account and there is none.
    pub fn not_logged_in() -> Self {
        Self::plain("Not logged in").hint("log in with `micro login`")
    }

    /// The endpoint has no dot in the middle.
    pub fn malformed_method(name: &str) -> Self {
        Self::new(
            3,
            format!("Method name \"{name}\" invalid format. Expecting service.endpoint"),
        )
    }

    /// A refusal of the account commands: its detail alone, exit code 1.
    pub fn detail(error: &WireError) -> Self {
        let message = if error.detail.is_empty() {
            error.status.clone()
        } else {
            error.detail.clone()
        };
        Self::plain(message)
    }
}

/// The table: what an answer of the server becomes. The first match decides.
impl From<WireError> for CliError {
    fn from(error: WireError) -> Self {
        let detail = error.detail.as_str();
        if let Some(name) = between(detail, "malformed method name: \"", "\"") {
            return Self::malformed_method(name);
        }
        if let Some(name) = between(detail, "service ", ": route not found") {
            return Self::new(4, format!("Service \"{name}\" not found"))
                .hint("`micro services` lists what can be called");
        }
        if let Some(name) = detail.strip_prefix("unknown service ") {
            return match name.contains('.') {
                true => Self::new(5, format!("Service method \"{name}\" not found")),
                false => Self::new(5, format!("Service \"{name}\" not found")),
            };
        }
        match error.code {
            0 => Self::new(128, detail),
            401 => Self::new(2, "Not authorized to perform this request")
                .hint("log in with `micro login`"),
            408 => Self::new(1, "Request timed out"),
            _ if detail.is_empty() => Self::new(127, error.status),
            _ => Self::new(127, detail),
        }
    }
}

/// The word between `before` and `after`; nested errors repeat themselves, so the last one, which names the cause.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.rmatch_indices(before).find_map(|(start, _)| {
        let rest = text.get(start + before.len()..)?;
        let word = rest.get(..rest.find(after)?)?;
        (!word.is_empty() && !word.contains(char::is_whitespace)).then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table() {
        let nested = WireError::new("go.micro.client", 500, "service nosuch: route not found");
        for (code, detail, message, exit) in [
            (
                404,
                "service nosuch: route not found",
                "Service \"nosuch\" not found",
                4,
            ),
            (
                500,
                nested.to_json().as_str(),
                "Service \"nosuch\" not found",
                4,
            ),
            (
                404,
                "unknown service Helloworld.Nosuch",
                "Service method \"Helloworld.Nosuch\" not found",
                5,
            ),
            (
                404,
                "unknown service Nosuch",
                "Service \"Nosuch\" not found",
                5,
            ),
            (
                400,
                "malformed method name: \"Call\"",
                "Method name \"Call\" invalid format. Expecting service.endpoint",
                3,
            ),
            (408, "context deadline exceeded", "Request timed out", 1),
            (
                401,
                "An account is required",
                "Not authorized to perform this request",
                2,
            ),
            (500, "not found", "not found", 127),
            (503, "", "Service Unavailable", 127),
            (0, "plain words", "plain words", 128),
        ] {
            let error = CliError::from(WireError::new("id", code, detail));
            assert_eq!((error.message.as_str(), error.code), (message, exit));
        }
    }
}
