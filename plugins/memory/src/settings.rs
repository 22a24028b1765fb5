//! The settings of the memory plugin.

use schemars::JsonSchema;
use serde::Deserialize;

/// The memory plugin has no settings; a key that is given anyway is refused.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {}
