//! `--output`: whether a command shows a table or JSON.

/// How a command shows what it found.
#[derive(Debug, clap::Args)]
pub(crate) struct Format {
    /// table or json
    #[arg(long, value_parser = ["table", "json"], default_value = "table")]
    output: String,
}

impl Format {
    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.output == "json"
    }
}
