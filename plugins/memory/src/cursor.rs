//! Where a walk goes on: behind a key, with so many matches still to pass over.

use micro_plugin_api::{Error, Result, store::Cursor};

/// What a cursor of ours begins with. Another walk's position is no danger, only another kind of text.
const MARK: &str = "memory/1/";

/// The position of a walk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// How many matches are still to be passed over.
    pub(crate) skip: u64,
    /// The last key that was looked at.
    pub(crate) key: String,
}

impl Position {
    /// The text that stands for this position.
    pub(crate) fn to_cursor(&self) -> Cursor {
        Cursor(format!("{MARK}{}/{}", self.skip, self.key))
    }

    /// The position that a cursor stands for.
    ///
    /// # Errors
    /// `invalid` for text that is none of [`Self::to_cursor`].
    pub(crate) fn from_cursor(cursor: &Cursor) -> Result<Self> {
        let parsed = cursor.0.strip_prefix(MARK).and_then(|rest| {
            let (skip, key) = rest.split_once('/')?;
            Some(Self {
                skip: skip.parse().ok()?,
                key: key.to_owned(),
            })
        });
        parsed.ok_or_else(|| {
            Error::invalid(
                "the cursor is not one that this store gave; begin the walk again without one",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_comes_back() {
        for key in ["", "a/b", "/", "🦀\0"] {
            let position = Position {
                skip: 7,
                key: key.to_owned(),
            };
            assert_eq!(Position::from_cursor(&position.to_cursor()), Ok(position));
        }
    }
}
