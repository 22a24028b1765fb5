//! What may stand in a source file, and where.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::cargo::{output, root};

/// No file written by hand is longer.
const MOST_LINES: usize = 600;

/// A text that may stand only in some places.
struct Rule {
    /// Any of these, in code (not in a comment).
    texts: &'static [&'static str],
    /// Path prefixes where it may stand.
    places: &'static [&'static str],
    /// Whether tests may do it anywhere.
    free_in_tests: bool,
    /// Why not elsewhere.
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        texts: &["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"],
        places: &["plugin-api/src/abi/", "host/loader/"],
        free_in_tests: false,
        reason: "only the plugin boundary is unsafe: plugin-api/src/abi and host/loader",
    },
    Rule {
        texts: &["libloading::"],
        places: &["host/loader/"],
        free_in_tests: false,
        reason: "only host/loader opens a library",
    },
    Rule {
        texts: &["println!(", "print!(", "stdout()"],
        places: &[
            "host/cli/src/printer",
            "xtask/",
            "tests/",
            "examples/",
            "framework/examples/",
            "proto/build.rs",
            "plugin-api/build.rs",
            "framework/build/",
        ],
        free_in_tests: true,
        reason: "only the Printer of host/cli writes to stdout",
    },
    Rule {
        texts: &["todo!(", "unimplemented!(", "#[ignore"],
        places: &[],
        free_in_tests: false,
        reason: "what is there works; what does not work is not there",
    },
    Rule {
        texts: &["env::var(", "env::var_os(", "env::vars("],
        places: &[
            "host/cli/src/env",
            "framework/src/env",
            "host/build/src/env",
            "proto/build.rs",
            "plugin-api/build.rs",
            "framework/build/",
            "host/profile/src/search",
            "tests/",
            "xtask/",
        ],
        free_in_tests: true,
        reason: "a process reads its environment in one place",
    },
    Rule {
        texts: &["\"etcd\"", "\"nats-server\"", "\"initdb\"", "\"postgres\""],
        places: &["tests/", "xtask/", "plugins/"],
        free_in_tests: true,
        reason: "only xtask and tests start foreign servers",
    },
];

/// A complaint for each place that breaks a rule.
pub(super) fn check() -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for file in sources()? {
        // This file has to spell out what it looks for.
        if file == "xtask/src/tidy/sources.rs" {
            continue;
        }
        let text = fs::read_to_string(root().join(&file))
            .with_context(|| format!("cannot read {file}"))?;
        check_file(&file, &text, &mut complaints);
    }
    Ok(complaints)
}

fn check_file(file: &str, text: &str, complaints: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > MOST_LINES {
        complaints.push(format!(
            "{file}: {lines} lines; more than {MOST_LINES} hold more than one idea"
        ));
    }
    if !text.starts_with("//!") {
        complaints.push(format!(
            "{file}:1: begin with a sentence on what it is for (`//!`)"
        ));
    }
    let mut in_tests = is_test_file(file);
    let mut before: &str = "";
    for (index, line) in text.lines().enumerate() {
        let at = |complaint: &str| format!("{file}:{}: {complaint}", index + 1);
        let code = line.trim_start();
        in_tests |= code.starts_with("#[cfg(test)]");
        if code.starts_with("//") {
            before = line;
            continue;
        }
        for rule in RULES {
            let allowed = rule.places.iter().any(|place| file.starts_with(place))
                || (rule.free_in_tests && in_tests);
            if !allowed && rule.texts.iter().any(|text| stands_in(code, text)) {
                complaints.push(at(rule.reason));
            }
        }
        let waits = is_sleep(code) && !before.contains("Not a wait");
        if in_tests && waits && !file.ends_with("/wait.rs") && !file.starts_with("tests/zoo/") {
            complaints.push(at(
                "tests wait for a condition, through a file wait.rs; where time itself is what is \
                 tested, the line above says so: `// Not a wait: …`",
            ));
        }
        if code.contains("unsafe {")
            && !line.contains("SAFETY")
            && !near_safety(text, index)
            && !before.contains("SAFETY")
        {
            complaints.push(at("an unsafe block says why it is sound: a SAFETY comment"));
        }
        before = line;
    }
}

/// Whether one of the few lines above holds a SAFETY comment.
fn near_safety(text: &str, index: usize) -> bool {
    text.lines()
        .skip(index.saturating_sub(6))
        .take(6)
        .any(|line| line.contains("SAFETY"))
}

/// Whether `text` stands in a line of code, and not as the end of a longer word (`eprintln!`).
fn stands_in(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(index, _)| {
        let before = code[..index].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

fn is_sleep(code: &str) -> bool {
    code.contains("::sleep(") || code.starts_with("sleep(")
}

fn is_test_file(file: &str) -> bool {
    Path::new(file)
        .components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "conformance")
}

/// Every Rust file of the checkout that git knows or would add.
fn sources() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root()).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        "*.rs",
    ]);
    Ok(output(&mut git)?
        .lines()
        .filter(|file| root().join(file).is_file())
        .map(str::to_owned)
        .collect())
}
