//! Which of our packages may depend on which.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cargo::{cargo, output, root};

/// What a package may depend on, of ours. A package is known by its folder; `*` is any of ours.
/// Whatever is not named here may depend on none.
const ALLOWED: &[(&str, &[&str])] = &[
    ("plugin-api", &[]),
    ("plugin-api/conformance", &["plugin-api"]),
    ("proto", &[]),
    ("proto/wire", &["proto"]),
    ("framework", &["proto", "proto/wire"]),
    ("framework/build", &[]),
    ("host/profile", &["plugin-api"]),
    ("host/loader", &["plugin-api"]),
    ("host/build", &[]),
    (
        "host/modules",
        &["plugin-api", "host/loader", "host/profile"],
    ),
    (
        "host/access",
        &["plugin-api", "proto", "proto/wire", "host/modules"],
    ),
    (
        "host/route",
        &[
            "plugin-api",
            "proto",
            "proto/wire",
            "host/modules",
            "host/access",
        ],
    ),
    (
        "host/services",
        &[
            "plugin-api",
            "proto",
            "proto/wire",
            "host/modules",
            "host/access",
            "host/route",
            "host/build",
        ],
    ),
    (
        "host/gateway",
        &[
            "proto",
            "proto/wire",
            "host/access",
            "host/route",
            "host/services",
        ],
    ),
    (
        "host/proxy",
        &[
            "proto",
            "proto/wire",
            "host/access",
            "host/route",
            "host/services",
        ],
    ),
    (
        "host/server",
        &[
            "plugin-api",
            "proto",
            "proto/wire",
            "host/profile",
            "host/loader",
            "host/modules",
            "host/access",
            "host/route",
            "host/services",
            "host/build",
            "host/gateway",
            "host/proxy",
        ],
    ),
    (
        "host/cli",
        &[
            "proto",
            "proto/wire",
            "framework",
            "host/profile",
            "host/loader",
            // `micro plugin test` runs the suites, in a child process: an author has no checkout
            // of ours to run them from.
            "plugin-api",
            "plugin-api/conformance",
        ],
    ),
    (
        "host/micro",
        &["host/cli", "host/server", "xtask/workspace-hack"],
    ),
    ("tests", &["*"]),
    ("tests/backends", &[]),
    (
        "tests/framework",
        &["framework", "framework/build", "proto"],
    ),
    ("tests/zoo", &["plugin-api"]),
    ("xtask", &["*"]),
    ("xtask/workspace-hack", &[]),
];

/// What a plugin may depend on: every folder of `plugins/`.
const PLUGIN: &[&str] = &["plugin-api"];

/// A complaint for each dependency that points the wrong way. Dependencies of tests alone are
/// free, but that no package of the host may name a plugin, not even there.
pub(super) fn check() -> Result<Vec<String>> {
    let text = output(&mut cargo(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let folders: BTreeMap<&str, String> = packages
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, folder(package)?)))
        .collect();

    let mut complaints = Vec::new();
    for package in packages {
        let Some(from) = folder(package) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(to) = dependency["name"]
                .as_str()
                .and_then(|name| folders.get(name))
            else {
                continue;
            };
            let for_tests = dependency["kind"] == "dev";
            let names_a_plugin = from.starts_with("host/") && to.starts_with("plugins/");
            if names_a_plugin || !for_tests && !allowed(&from, to) {
                complaints.push(format!(
                    "{from}/Cargo.toml: may not depend on {to} (the directions in ARCHITECTURE.md)"
                ));
            }
        }
    }
    Ok(complaints)
}

fn allowed(from: &str, to: &str) -> bool {
    let list = if from.starts_with("plugins/") {
        PLUGIN
    } else {
        ALLOWED
            .iter()
            .find(|(folder, _)| *folder == from)
            .map_or(&[] as &[&str], |(_, list)| list)
    };
    list.contains(&"*") || list.contains(&to)
}

fn folder(package: &Value) -> Option<String> {
    let manifest = package["manifest_path"].as_str()?;
    let folder = manifest.strip_suffix("/Cargo.toml")?;
    let folder = std::path::Path::new(folder).strip_prefix(root()).ok()?;
    Some(folder.to_string_lossy().into_owned())
}
