//! The `runtime` module: where services run.

mod handle;
mod types;

pub(crate) use handle::DynRuntime;
pub use handle::RuntimeHandle;
pub use types::{
    Exit, Instance, InstanceChange, InstanceKey, LogLine, LogOptions, Spec, State, StopOptions,
};

use crate::{BoxStream, Call, Result};

/// Where services run. It knows how to start, end and observe a program, and nothing of the
/// language it was written in.
pub trait Runtime: Send + Sync + 'static {
    /// Starts a program and answers once it runs (not once it is ready to serve).
    ///
    /// `conflict` if that key runs already; `invalid` if there is nothing to run.
    fn start(&self, call: &Call, spec: &Spec) -> impl Future<Output = Result<Instance>> + Send;

    /// Ends what runs under `key`, whole: everything that it started too. First as politely as
    /// `options` says, then by force. Answers once it has ended; `not_found` if this runtime knows
    /// nothing of that key.
    fn stop(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &StopOptions,
    ) -> impl Future<Output = Result<()>> + Send;

    /// What runs or has ended by itself, in key order; of `namespace` alone if one is given.
    fn list(
        &self,
        call: &Call,
        namespace: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Instance>>> + Send;

    /// What the program printed, oldest line first; also of one that has ended. `not_found` if
    /// there is nothing of that key.
    fn logs(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &LogOptions,
    ) -> impl Future<Output = Result<BoxStream<Result<LogLine>>>> + Send;

    /// Every instance as [`InstanceChange::Present`], then [`InstanceChange::Synced`], then every
    /// change of state from there on.
    fn watch(
        &self,
        call: &Call,
    ) -> impl Future<Output = Result<BoxStream<Result<InstanceChange>>>> + Send;

    /// Whether the runtime could start something now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Ends every instance and lets go of what is held. Called once, when no call is left.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
