//! Tells the crate which compiler and target it is built with: both stand in every plugin's
//! metadata, so that a host can refuse a plugin before it runs any of its code.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        // `rustc 1.95.0 (59807616e 2026-04-14)`: the second word is the version.
        .and_then(|text| text.split_whitespace().nth(1).map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=MICRO_PLUGIN_RUSTC={version}");
    println!("cargo::rustc-env=MICRO_PLUGIN_TARGET={target}");
    println!("cargo::rerun-if-changed=build.rs");
}
