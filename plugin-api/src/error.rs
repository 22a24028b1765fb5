//! The one error of the plugin contract: an open set of codes, so that it can grow.

use std::fmt;

/// The result of every method of every module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is. An open set: a code that a reader does not know means
/// [`Code::INTERNAL`] to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(u32);

impl Code {
    /// The thing that was asked for is not there.
    pub const NOT_FOUND: Self = Self(1);
    /// A precondition of the write does not hold, or the thing exists already.
    pub const CONFLICT: Self = Self(2);
    /// The arguments or settings make no sense; asking again will not help.
    pub const INVALID: Self = Self(3);
    /// This plugin cannot do that.
    pub const UNSUPPORTED: Self = Self(4);
    /// What the plugin stands on cannot be reached just now. Retry, health and degradation act
    /// on this code.
    pub const UNAVAILABLE: Self = Self(5);
    /// The call's deadline passed.
    pub const DEADLINE: Self = Self(6);
    /// Anything else.
    pub const INTERNAL: Self = Self(7);
    /// The plugin panicked; this one call failed, the instance goes on.
    pub const PANIC: Self = Self(100);

    /// The code of a number, as it crosses the boundary.
    pub const fn from_u32(number: u32) -> Self {
        Self(number)
    }

    /// The number of this code.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The name of this code; `internal` for one that is not known here.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NOT_FOUND => "not_found",
            Self::CONFLICT => "conflict",
            Self::INVALID => "invalid",
            Self::UNSUPPORTED => "unsupported",
            Self::UNAVAILABLE => "unavailable",
            Self::DEADLINE => "deadline",
            Self::PANIC => "panic",
            _ => "internal",
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call into a plugin failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    retryable: bool,
    message: String,
    detail: Option<String>,
}

impl Error {
    /// An error of `code`; retryable if the code is [`Code::UNAVAILABLE`].
    ///
    /// The message is for people: what happened, to which thing, what to do next. It must hold
    /// no secret.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            retryable: code == Code::UNAVAILABLE,
            message: message.into(),
            detail: None,
        }
    }

    /// [`Code::NOT_FOUND`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NOT_FOUND, message)
    }

    /// [`Code::CONFLICT`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Code::CONFLICT, message)
    }

    /// [`Code::INVALID`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::INVALID, message)
    }

    /// [`Code::UNSUPPORTED`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Code::UNSUPPORTED, message)
    }

    /// [`Code::UNAVAILABLE`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::UNAVAILABLE, message)
    }

    /// [`Code::DEADLINE`].
    pub fn deadline(message: impl Into<String>) -> Self {
        Self::new(Code::DEADLINE, message)
    }

    /// [`Code::INTERNAL`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::INTERNAL, message)
    }

    /// The same error, in other words.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same error, with whether the same call may succeed if it is simply made again.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// The same error, with a detail for programs: a JSON text.
    #[must_use]
    pub fn with_detail(mut self, json: impl Into<String>) -> Self {
        self.detail = Some(json.into());
        self
    }

    /// What kind of failure this is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether the same call may succeed if it is simply made again.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The detail for programs, a JSON text.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}
