//! Where a walk goes on, as text: for stores that find the next page by the last key.

use super::Cursor;
use crate::{Error, Result};

/// What such a cursor begins with.
const MARK: &str = "after/1/";

/// A place in a walk: behind a key, with so many matches still to pass over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// How many matches are still to be passed over.
    pub skip: u64,
    /// The last key that was looked at.
    pub key: String,
}

impl Position {
    /// The cursor that stands for this place.
    pub fn to_cursor(&self) -> Cursor {
        Cursor(format!("{MARK}{}/{}", self.skip, self.key))
    }

    /// The place that a cursor stands for.
    ///
    /// # Errors
    /// `invalid` for text that is none of [`Self::to_cursor`].
    pub fn from_cursor(cursor: &Cursor) -> Result<Self> {
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
