//! The signals that end a server: the first one politely, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `stop` at the first SIGTERM, SIGINT, SIGQUIT or SIGHUP, and ends the process at the
/// second; SIGXFSZ is not heeded. Must be called on a tokio runtime, once.
pub(crate) fn watch(stop: CancellationToken) -> std::io::Result<()> {
    let mut kinds = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::quit())?,
        signal(SignalKind::hangup())?,
    ];
    // A file that would grow beyond the limit of the process (RLIMIT_FSIZE) fails the write that
    // would do so; without a handler it would end the server.
    let too_large = signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?;
    tokio::spawn(async move {
        let _too_large = too_large;
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
