//! Calls into plugins that must not hold up the caller, whatever the plugin does: it may take for
//! ever, block its thread, or panic.

use std::{fmt::Display, future::pending, panic::resume_unwind, time::Duration};

use micro_plugin_api::{Call, Code, Error, Result};
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{error::Elapsed, timeout},
};
use tokio_util::sync::CancellationToken;

/// How much longer than its deadline a call is waited for: past that it blocks its thread.
const MARGIN: Duration = Duration::from_millis(500);

/// Does what takes its time (a library is read whole to be hashed and copied) on a thread that may
/// block.
pub(crate) async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime ends, and so does whoever waits.
            Err(_) => pending().await,
        },
    }
}

/// Makes a call on a thread that may block and gives it `deadline` to answer. `what` names the
/// call in the error of one that does not. If the caller goes away, so does the call: a runtime that
/// ends drops its tasks first, and no call may wait for a timer that has ended.
pub(crate) async fn within<F, T>(
    deadline: Duration,
    what: impl Display,
    call: impl FnOnce(Call) -> F + Send + 'static,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
    T: Send + 'static,
{
    let runtime = Handle::current();
    let gone = CancellationToken::new();
    let _caller = gone.clone().drop_guard();
    #[expect(
        clippy::disallowed_methods,
        reason = "the thread is one of those that are there to be blocked"
    )]
    let asked = spawn_blocking(move || {
        let call = call(Call::new("").with_timeout(deadline));
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = gone.cancelled() => Ok(Err(Error::unavailable("nobody waits for it"))),
                answer = timeout(deadline, call) => answer,
            }
        })
    });
    let late = || {
        let seconds = deadline.as_secs_f32();
        Error::deadline(format!("{what} did not answer within {seconds} s"))
    };
    match timeout(deadline + MARGIN, asked).await {
        // Whoever noticed first that it is late: it is the same thing to those who read of it.
        Ok(Ok(Ok(Err(error)))) if error.code() == Code::DEADLINE => Err(late()),
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(Elapsed { .. }))) | Err(_) => Err(late()),
        Ok(Err(_)) => Err(Error::internal(format!("{what} panicked"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_call_ends_with_its_caller() {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        let call = |_: Call| async move {
            let _held = held;
            begun.send(()).expect("the test waits");
            pending::<Result<()>>().await
        };
        let caller = tokio::spawn(within(Duration::from_secs(3600), "it", call));
        begins.await.expect("the call begins");
        caller.abort();
        let ended = timeout(Duration::from_secs(60), dropped).await;
        assert!(ended.is_ok_and(|sent| sent.is_err()), "it goes on");
    }
}
