//! What cases are written with: verdicts, `ensure!`, unique names and the clock.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use futures::StreamExt as _;
use micro_plugin_api::{BoxStream, Code, Error, Result};

/// Why a case ended before its end: what was seen that must not be.
#[derive(Debug)]
pub(crate) struct Stop(pub(crate) String);

/// How a case ended.
pub(crate) type Verdict<T = ()> = Result<T, Stop>;

impl From<Error> for Stop {
    /// Only what is declared may be missing, so that a plugin keeps whatever it does not say it lacks.
    fn from(error: Error) -> Self {
        let (code, message) = (error.code(), error.message());
        Self(if code == Code::UNSUPPORTED {
            format!(
                "a call is answered with {code}: {message}; support it, or declare this rule or \
                 its group in `lacks` of export_plugin!"
            )
        } else {
            format!("a call failed with {code}: {message}")
        })
    }
}

/// Ends the case as failed, with a formatted reason, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        if !$condition {
            return Err($crate::check::Stop(format!($($reason)+)));
        }
    };
}
pub(crate) use ensure;

/// Ends the case as failed unless both are equal.
pub(crate) fn same<T: PartialEq + fmt::Debug>(what: &str, seen: T, wanted: T) -> Verdict {
    ensure!(seen == wanted, "{what}: {seen:?} instead of {wanted:?}");
    Ok(())
}

/// Ends the case as failed unless the call failed with this code; gives the error.
pub(crate) fn fails<T: fmt::Debug>(what: &str, result: Result<T>, code: Code) -> Verdict<Error> {
    match result {
        Err(error) if error.code() == code => Ok(error),
        Err(error) if error.code() == Code::UNSUPPORTED => Err(error.into()),
        Err(error) => Err(Stop(format!(
            "{what}: failed with {} ({}) instead of {code}",
            error.code(),
            error.message()
        ))),
        Ok(value) => Err(Stop(format!(
            "{what}: {value:?} instead of an error {code}"
        ))),
    }
}

/// The most items of a stream that has an end: many times what any case makes.
pub(crate) const MOST_ITEMS: usize = 20_000;

/// All items of a stream that has an end. One that has none must not fill the memory of whoever tests
/// it, and may never let a clock run beside it.
pub(crate) async fn all<T>(mut items: BoxStream<Result<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    while let Some(item) = items.next().await {
        all.push(item?);
        if all.len() > MOST_ITEMS {
            let text = format!("a stream that should end has more than {MOST_ITEMS} items");
            return Err(Error::internal(text));
        }
    }
    Ok(all)
}

/// A name that nothing else in the backend bears.
pub(crate) fn unique(what: &str) -> String {
    format!("conformance-{what}-{}", uuid::Uuid::new_v4().simple())
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The result of a spawned task, its panic as a failure.
pub(crate) async fn joined<T>(task: tokio::task::JoinHandle<T>) -> Verdict<T> {
    task.await
        .map_err(|error| Stop(format!("a concurrent task ended badly: {error}")))
}
