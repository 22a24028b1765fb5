//! A plugin's metadata: a JSON document made at build time, for the section `.micro.plugin`.

use serde::{Deserialize, Serialize};

use crate::Capabilities;

/// The version of the plugin contract that this crate speaks.
pub const API_VERSION: &str = "1.0";

/// Its major number: host and plugin must agree on it.
pub const API_MAJOR: u64 = 1;

/// The ELF section that holds a plugin's [`Manifest`].
pub const SECTION: &str = ".micro.plugin";

/// The target triple that this program, or plugin, is built for.
pub const TARGET: &str = env!("MICRO_PLUGIN_TARGET");

/// Where a plugin's futures are polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunMode {
    /// On the plugin's own runtime: code that blocks harms nobody else. The default.
    #[default]
    Hop,
    /// On the thread of whoever calls: for code that never blocks.
    Inline,
}

/// What a plugin says of itself. It is read from the file, without running any of its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The name that `export_plugin!` gave.
    pub name: String,
    /// The version of the plugin's crate.
    pub version: String,
    /// The version of the plugin contract, `major.minor`.
    pub api: String,
    /// The modules that it offers: `store`, `blob`, `stream`, `broker`, `registry`, `runtime`.
    pub modules: Vec<String>,
    /// The interfaces that it has, by name.
    pub interfaces: Vec<String>,
    /// The target triple that it was built for.
    pub target: String,
    /// The version of the compiler that built it.
    pub rustc: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// Where its futures are polled, unless said otherwise for a method.
    pub run: RunMode,
    /// The methods of which it was said: their futures are polled at the other of the two places.
    pub except: Vec<String>,
    /// Whether two instances with the same settings cannot be open at once.
    pub exclusive: bool,
    /// What it promises beyond the contract of its modules, and what it lacks of it.
    pub capabilities: Capabilities,
    /// One sentence on what it is for.
    pub description: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
    /// Its authors, separated by colons as Cargo has them.
    pub authors: String,
}
