//! Follows a service that was just created until it answers its health check, or cannot.

use std::time::Duration;

use futures::StreamExt as _;
use micro_proto::runtime::{Service, WatchEvent, WatchRequest};
use tokio::time::{Instant, sleep_until};

use crate::{
    commands::status::STATUS,
    error::{CliError, Result},
    session::Session,
};

const BUILDING: i32 = 2;
const STARTING: i32 = 3;
const RUNNING: i32 = 4;
const STOPPED: i32 = 6;
const ERROR: i32 = 7;

/// How much longer than the service may take to start its server may take to say that it did not.
const SLACK: Duration = Duration::from_secs(15);

/// How many of the last lines of a service that failed are shown with the reason.
const LAST_LINES: usize = 20;

/// What is known of the service so far.
#[derive(Default)]
struct Seen {
    status: i32,
    /// Whether the build printed anything.
    built: bool,
    /// Whether it came as far as being started.
    started: bool,
    deadline: Option<Instant>,
}

/// Prints what happens to stderr; returns once the service runs.
///
/// # Errors
/// The service cannot be built, ends, or does not answer within `timeout` after its build.
pub(in crate::commands) async fn until_running(
    session: &Session<'_>,
    service: &Service,
    timeout: Duration,
) -> Result<()> {
    let name = &service.name;
    let request = WatchRequest {
        service: Some(Service {
            name: name.clone(),
            version: service.version.clone(),
            ..Service::default()
        }),
        namespace: session.namespace().to_owned(),
    };
    let events = session.stream::<_, WatchEvent>("runtime", "Runtime.Watch", &request);
    let mut events = std::pin::pin!(events.await?);
    let mut seen = Seen::default();
    loop {
        let next = tokio::select! {
            next = events.next() => next,
            () = over(seen.deadline) => {
                return Err(CliError::plain(format!(
                    "{name} did not answer its health check within {timeout:?}"
                ))
                .hint(format!("see `micro logs {name}` and `micro status {name}`; --timeout sets how long to wait")));
            }
        };
        let Some(event) = next else {
            return Err(CliError::plain(format!(
                "The server stopped telling about {name} while it was {}",
                word(seen.status)
            ))
            .hint(format!("see `micro status {name}`")));
        };
        let event = event?;
        for line in seen.take(name, &event, timeout) {
            session.printer().progress(&line);
        }
        match event.status {
            RUNNING => return Ok(()),
            ERROR | STOPPED => return Err(seen.failure(name, &event)),
            _ => {}
        }
    }
}

/// Ends at the deadline; never, as long as there is none.
async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Seen {
    /// Notes an event. Gives the lines to show.
    fn take(&mut self, name: &str, event: &WatchEvent, timeout: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        // A line of the build need not repeat the status.
        if event.status != 0 && event.status != self.status {
            self.status = event.status;
            lines.push(format!("{name}: {}", word(event.status)));
            if event.status == STARTING {
                // The server keeps the same time, and knows what is missing: it is given the chance
                // to say so.
                self.deadline = Some(Instant::now() + timeout + timeout.min(SLACK));
                self.started = true;
            }
            if event.status == BUILDING {
                self.deadline = None;
                self.started = false;
            }
        }
        for line in event.build_line.lines() {
            lines.push(line.to_owned());
            self.built = true;
        }
        lines
    }

    fn failure(&self, name: &str, event: &WatchEvent) -> CliError {
        let reason = match (event.error.is_empty(), event.status) {
            (false, _) => event.error.as_str(),
            (true, STOPPED) => "it was stopped",
            (true, _) => "the server does not say why",
        };
        // The service's own last words; what its build said was shown as it came.
        let last = event.output.len().saturating_sub(LAST_LINES);
        let mut message = String::new();
        for line in &event.output[last..] {
            message.push_str(line);
            message.push('\n');
        }
        message.push_str(&format!("{name} does not run: {reason}"));
        let error = CliError::plain(message);
        if self.started {
            return error.hint(format!("`micro logs {name}` shows what it printed"));
        }
        match self.built {
            true => error.hint("what the build printed is above"),
            false => error.hint(format!("see `micro status {name}`")),
        }
    }
}

fn word(status: i32) -> &'static str {
    let word = usize::try_from(status).ok();
    word.and_then(|number| STATUS.get(number))
        .copied()
        .unwrap_or(STATUS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(status: i32, build_line: &str) -> WatchEvent {
        WatchEvent {
            status,
            build_line: build_line.to_owned(),
            ..WatchEvent::default()
        }
    }

    #[test]
    fn each_status_is_said_once_and_each_line_shown() {
        let mut seen = Seen::default();
        let mut lines = Vec::new();
        for event in [
            event(1, ""),
            event(2, ""),
            event(2, "Compiling"),
            event(0, "Finished"),
            event(3, ""),
        ] {
            lines.extend(seen.take("hello", &event, Duration::from_secs(60)));
        }
        assert_eq!(
            lines,
            [
                "hello: pending",
                "hello: building",
                "Compiling",
                "Finished",
                "hello: starting"
            ]
        );
        assert!(seen.deadline.is_some());
    }

    #[test]
    fn a_failed_build_is_not_printed_twice() {
        let mut seen = Seen::default();
        let lines = seen.take("hello", &event(2, "line 1\nline 2"), Duration::ZERO);
        assert_eq!(lines, ["hello: building", "line 1", "line 2"]);
        let mut failed = event(ERROR, "");
        failed.error = "the build failed".to_owned();
        let error = seen.failure("hello", &failed);
        assert_eq!(error.code, 1);
        assert_eq!(error.message, "hello does not run: the build failed");
        // The log is of the service, which has not been there.
        let hint = error.hint.unwrap();
        assert!(hint.contains("the build printed is above"), "{hint}");
    }

    #[test]
    fn a_failed_service_has_the_last_word() {
        let mut seen = Seen::default();
        seen.take("hello", &event(2, "Compiling"), Duration::ZERO);
        seen.take("hello", &event(STARTING, ""), Duration::ZERO);
        let mut failed = event(ERROR, "");
        failed.error = "exit status 1".to_owned();
        failed.output = (0..30).map(|number| format!("line {number}")).collect();
        let error = seen.failure("hello", &failed);
        let lines: Vec<&str> = error.message.lines().collect();
        assert_eq!(lines.len(), LAST_LINES + 1);
        assert_eq!(lines[0], "line 10");
        assert_eq!(lines[LAST_LINES], "hello does not run: exit status 1");
        assert_eq!(
            error.hint.as_deref(),
            Some("`micro logs hello` shows what it printed")
        );
    }
}
