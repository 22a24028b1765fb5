//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md that a program can check.

mod directions;
mod sources;

use anyhow::{Result, bail};
use clap::Args;

use crate::features;

/// Check the invariants of ARCHITECTURE.md.
#[derive(Args)]
pub(crate) struct Tidy {
    /// Write the generated files that are checked, instead of complaining.
    #[arg(long)]
    write: bool,
}

impl Tidy {
    pub(crate) fn run(self) -> Result<()> {
        if self.write {
            features::write()?;
        }
        let mut complaints = sources::check()?;
        complaints.extend(directions::check()?);
        complaints.extend(features::check()?);
        for complaint in &complaints {
            eprintln!("{complaint}");
        }
        if !complaints.is_empty() {
            bail!("{} invariants do not hold", complaints.len());
        }
        Ok(())
    }
}
