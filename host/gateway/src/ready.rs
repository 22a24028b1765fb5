//! Whether the server is ready, as `/readyz` tells it.

use futures::future::BoxFuture;
use http::StatusCode;
use serde::Serialize;

/// A part of the server that cannot do its work now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unready {
    /// What it is: `module` or `service`.
    pub kind: &'static str,
    /// Its name, `store`.
    pub name: String,
    /// Why, and what to do about it, in one line and without a secret.
    pub reason: String,
}

/// Knows which modules and core services answer.
pub trait Readiness: Send + Sync + 'static {
    /// The parts that are not ready; empty when everything is. Should answer within a second or
    /// so, from what is known if need be.
    fn unready(&self) -> BoxFuture<'_, Vec<Unready>>;

    /// What is not as somebody wants it and keeps nothing from working, such as a changed profile
    /// that could not be applied. Each in one line and without a secret. The default knows of
    /// nothing.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[derive(Serialize)]
struct Report<'a> {
    ready: bool,
    unready: &'a [Unready],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

/// The status and JSON text of `/readyz`.
pub(crate) async fn report(readiness: &dyn Readiness) -> (StatusCode, String) {
    let unready = readiness.unready().await;
    let ready = unready.is_empty();
    let warnings = readiness.warnings();
    let report = Report {
        ready,
        unready: &unready,
        warnings: &warnings,
    };
    let text = serde_json::to_string(&report).expect("strings are always JSON");
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text)
}
