//! The commands, one file each.

pub(crate) mod env;
pub(crate) mod server;

use crate::printer::Output;

/// How a command that did not fail ends.
pub(crate) enum Outcome {
    /// With a result.
    Done(Output),
    /// With its own help, since it was given too little.
    Help,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self::Done(output)
    }
}
