//! A run of `cargo test` whose few failures are tried once more by themselves.
//!
//! Tests that drive real servers share a machine with compilers and with each other. One that fails
//! in that crowd and passes alone is named, so that somebody mends it, but does not fail the run.

use std::{
    io::{BufRead as _, BufReader, pipe},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};

/// More failures than this have a cause, and none are tried again.
const MOST: usize = 5;

/// A test program that failed: how cargo selects it, and which of its tests failed; none if it ended
/// before it could say.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    target: Vec<String>,
    tests: Vec<String>,
}

/// Runs `command`, a `cargo test --no-fail-fast`, showing what it prints. `again` gives the command
/// that runs one test program with these arguments of cargo's.
///
/// # Errors
/// If it fails other than by a few tests that pass when they are run once more.
pub(crate) fn run_tests(command: &mut Command, again: impl Fn(&[String]) -> Command) -> Result<()> {
    let (status, lines) = show(command)?;
    if status.success() {
        return Ok(());
    }
    let failed = failures(&lines);
    let count: usize = failed.iter().map(|it| it.tests.len().max(1)).sum();
    if count == 0 || count > MOST {
        bail!("{command:?} failed: {status}");
    }
    for program in &failed {
        let mut command = again(&program.target);
        command.args(["--", "--exact"]).args(&program.tests);
        let (status, _) = show(&mut command)?;
        if !status.success() {
            bail!("{} failed twice", program.name());
        }
    }
    for program in &failed {
        println!(
            "warning: {} failed at first, and passed alone",
            program.name()
        );
    }
    Ok(())
}

impl Failed {
    fn name(&self) -> String {
        format!("{}: {}", self.target.join(" "), self.tests.join(", "))
    }
}

/// Runs a command; shows and returns what it prints.
fn show(command: &mut Command) -> Result<(ExitStatus, Vec<String>)> {
    // One pipe for both, so that cargo's lines stay in order with those of the tests.
    let (reader, writer) = pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    // The command holds the ends for writing: reading ends when the child's are the last.
    command.stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::null());
    let mut lines = Vec::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        lines.push(text.trim_end().to_owned());
        line.clear();
    }
    Ok((child.wait()?, lines))
}

/// What failed, as cargo says it after each program, with the tests that the program named.
fn failures(lines: &[String]) -> Vec<Failed> {
    let mut all = Vec::new();
    let mut tests = Vec::new();
    for line in lines {
        let target = line.strip_prefix("error: test failed, to rerun pass `");
        let doctest = line.strip_prefix("error: doctest failed, to rerun pass `");
        let failed = |line: &str| {
            line.strip_prefix("test ")?
                .strip_suffix(" ... FAILED")
                .map(str::to_owned)
        };
        if let Some(target) = target.or(doctest).and_then(|it| it.strip_suffix('`')) {
            let target = target.split(' ').map(str::to_owned).collect();
            let tests = std::mem::take(&mut tests);
            all.push(Failed { target, tests });
        } else if line.starts_with("     Running ") || line.starts_with("   Doc-tests ") {
            tests.clear();
        } else {
            tests.extend(failed(line));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "
     Running unittests src/lib.rs (target/debug/deps/good-1)

running 1 test
test one ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

     Running tests/bad.rs (target/debug/deps/bad-2)

running 3 tests
test fine ... ok
test slow::one ... FAILED
test two ... FAILED

failures:

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s

error: test failed, to rerun pass `-p a --test bad`
     Running tests/gone.rs (target/debug/deps/gone-3)

running 1 test
error: test failed, to rerun pass `-p a --test gone`
   Doc-tests good

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: 2 targets failed:
    `-p a --test bad`
    `-p a --test gone`
";

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_failed_program_is_known_with_its_tests() {
        let target = |name: &str| ["-p", "a", "--test", name].map(str::to_owned).to_vec();
        let failed = |name, tests: &[&str]| Failed {
            target: target(name),
            tests: tests.iter().map(|&it| it.to_owned()).collect(),
        };
        assert_eq!(
            failures(&lines(RUN)),
            [failed("bad", &["slow::one", "two"]), failed("gone", &[])]
        );
    }

    #[test]
    fn what_is_not_understood_is_not_tried_again() {
        assert_eq!(failures(&lines("error: could not compile `a`")), []);
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_test_that_passes_alone_does_not_fail_the_run() {
        let run = || shell(&format!("cat <<'END'\n{RUN}END\nexit 101"));
        assert!(run_tests(&mut run(), |_| shell("true")).is_ok());
        let error = run_tests(&mut run(), |target| {
            shell(if target[3] == "gone" { "false" } else { "true" })
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "-p a --test gone:  failed twice"
        );
    }

    #[test]
    fn many_failures_have_a_cause() {
        let many = "test x ... FAILED\n".repeat(MOST);
        let text = RUN.replace("test two ... FAILED\n", &many);
        let mut run = shell(&format!("cat <<'END'\n{text}END\nexit 101"));
        assert!(run_tests(&mut run, |_| shell("true")).is_err());
    }
}
