//! Runs a compiler or a build command: its lines go to the sink as they come, it is bounded in
//! time, and it ends with everything that it started when the build is given up.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::Command,
};

use crate::{BuildError, BuildOptions, LineSink};

/// How many of the last lines an error carries.
const KEPT_LINES: usize = 40;

/// A longer line is handed on in pieces of this many bytes.
const LONGEST_LINE: u64 = 256 * 1024;

/// Runs the `build` command of a `micro.toml` in the folder of the source.
pub(crate) async fn run(
    source: &Path,
    words: &[String],
    options: &BuildOptions,
    lines: &dyn LineSink,
) -> Result<(), BuildError> {
    let (program, arguments) = words
        .split_first()
        .ok_or_else(|| BuildError::Binary("the `build` command is empty".to_owned()))?;
    let mut command = Command::new(if program.contains('/') {
        source.join(program).into_os_string()
    } else {
        program.into()
    });
    command.args(arguments).current_dir(source);
    let mut output = Tail::new(lines);
    let run = execute(&mut command, options, &mut output, None).await;
    let status = run.map_err(|failure| match failure {
        Failure::Spawn(error) if error.kind() == io::ErrorKind::NotFound => {
            BuildError::MissingTool {
                tool: program.clone(),
                remedy: "it is the `build` command of micro.toml".to_owned(),
            }
        }
        other => other.into_error(program, options, &mut output),
    })?;
    finish("the build command of micro.toml", status, output)
}

/// The lines printed so far: each is handed on, the last ones are kept.
pub(crate) struct Tail<'a> {
    lines: &'a dyn LineSink,
    kept: VecDeque<String>,
}

impl<'a> Tail<'a> {
    pub(crate) fn new(lines: &'a dyn LineSink) -> Self {
        Self {
            lines,
            kept: VecDeque::with_capacity(KEPT_LINES),
        }
    }

    fn push(&mut self, line: &str) {
        self.lines.line(line);
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(line.to_owned());
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept).into()
    }
}

/// Why a command did not come to its end.
pub(crate) enum Failure {
    Spawn(io::Error),
    Wait(io::Error),
    TimedOut,
}

impl Failure {
    pub(crate) fn into_error(
        self,
        what: &str,
        options: &BuildOptions,
        output: &mut Tail<'_>,
    ) -> BuildError {
        match self {
            Self::Spawn(error) => BuildError::io("cannot run", what, error),
            Self::Wait(error) => BuildError::io("cannot wait for", what, error),
            Self::TimedOut => BuildError::TimedOut {
                after: options.timeout,
                output: output.take(),
            },
        }
    }
}

/// Turns a bad end of `what` into an error with its last lines.
pub(crate) fn finish(
    what: &str,
    status: ExitStatus,
    mut output: Tail<'_>,
) -> Result<(), BuildError> {
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Failed {
        what: what.to_owned(),
        status: describe(status),
        output: output.take(),
    })
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Runs `command` with the toolchain's environment in a process group of its own. What it prints
/// goes to `output`; its standard output to `messages` instead, if there is one.
pub(crate) async fn execute(
    command: &mut Command,
    options: &BuildOptions,
    output: &mut Tail<'_>,
    mut messages: Option<&mut (dyn FnMut(&str) + Send)>,
) -> Result<ExitStatus, Failure> {
    // What the caller has set for this command alone stays.
    let own: Vec<_> = command
        .as_std()
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let mut child = command
        .env_clear()
        .envs(options.toolchain.variables())
        .envs(own)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(Failure::Spawn)?;
    let group = KillOnDrop(child.id());
    let mut out = child.stdout.take().map(Lines::new);
    let mut err = child.stderr.take().map(Lines::new);
    let whole = async {
        let mut status = None;
        loop {
            tokio::select! {
                line = next(&mut out), if out.is_some() => match (line, messages.as_deref_mut()) {
                    (Some(line), Some(messages)) => messages(&line),
                    (Some(line), None) => output.push(&line),
                    (None, _) => out = None,
                },
                line = next(&mut err), if err.is_some() => match line {
                    Some(line) => output.push(&line),
                    None => err = None,
                },
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended.map_err(Failure::Wait)?);
                    // Nothing that it left behind may hold the pipes open.
                    group.kill();
                }
                else => break,
            }
        }
        // The loop is left only when the process has ended and both pipes are closed.
        status.ok_or_else(|| Failure::Wait(io::Error::other("the process was lost")))
    };
    match tokio::time::timeout(options.timeout, whole).await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::TimedOut),
    }
}

/// The next line of a pipe; `None` when it is closed.
async fn next<R: AsyncRead + Unpin>(lines: &mut Option<Lines<R>>) -> Option<String> {
    lines.as_mut()?.next().await
}

/// The lines of a pipe, whatever bytes they hold. Safe to cancel between lines.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(pipe: R) -> Self {
        Self {
            reader: BufReader::new(pipe),
            line: Vec::new(),
        }
    }

    async fn next(&mut self) -> Option<String> {
        let room = LONGEST_LINE.saturating_sub(self.line.len() as u64);
        // What was read before a cancellation stays in `line`, and the rest is added to it.
        let mut bounded = (&mut self.reader).take(room);
        let ended = match bounded.read_until(b'\n', &mut self.line).await {
            Ok(0) => room > 0,
            Ok(_) => false,
            Err(_) => true,
        };
        if ended && self.line.is_empty() {
            return None;
        }
        let line = String::from_utf8_lossy(&self.line);
        let line = line.trim_end_matches(['\n', '\r']).to_owned();
        self.line.clear();
        Some(line)
    }
}

/// Ends a process group when the build is over or given up.
struct KillOnDrop(Option<u32>);

impl KillOnDrop {
    fn kill(&self) {
        if let Some(leader) = self.0 {
            // A group that is gone needs no killing.
            let _ = killpg(Pid::from_raw(leader as i32), Signal::SIGKILL);
        }
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.kill();
    }
}
