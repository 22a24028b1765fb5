//! `cargo xtask bench`: builds everything optimised and hands over to the benchmark program.

use anyhow::Result;
use clap::Args;

use crate::cargo::{Build, cargo, root, run};

/// Measure, and print the table.
#[derive(Args)]
pub(crate) struct Bench {
    /// Only rows whose names contain one of these.
    rows: Vec<String>,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        run(&mut cargo(["build", "--workspace", "--release"]))?;
        let mut program = std::process::Command::new(Build::Release.folder().join("micro-bench"));
        run(program.args(&self.rows).env("MICRO_TEST_SDK", root()))
    }
}
