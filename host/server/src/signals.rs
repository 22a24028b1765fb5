//! The signals that end a server: the first one politely, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGTERM, SIGINT, SIGQUIT or SIGHUP, and ends the process at the
/// second. Must be called on a tokio runtime, once.
pub(crate) fn watch(stop: CancellationToken) -> std::io::Result<()> {
    let mut kinds = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::quit())?,
        signal(SignalKind::hangup())?,
    ];
    tokio::spawn(async move {
        any(&mut kinds).await;
        tracing::info!("stopping; once more to stop at once");
        stop.cancel();
        any(&mut kinds).await;
        #[expect(
            clippy::disallowed_methods,
            reason = "whoever asks twice does not want to wait for destructors"
        )]
        std::process::exit(1);
    });
    Ok(())
}

async fn any([terminate, interrupt, quit, hangup]: &mut [Signal; 4]) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = quit.recv() => {}
        _ = hangup.recv() => {}
    }
}
