//! The `runtime` module: where services run.

mod handle;
mod instances;
mod supervisor;
mod types;

pub(crate) use handle::DynRuntime;
pub use handle::RuntimeHandle;
pub use instances::{Entry, Instances, StopRequest};
pub use supervisor::{Launcher, Supervisor};
pub use types::{
    Backoff, Exit, Instance, InstanceChange, InstanceKey, LogLine, LogOptions, RestartPolicy,
    RestartWhen, Spec, State, StopOptions,
};

use crate::{BoxStream, Call, Result};

/// Where services run. It knows how to start, end and observe a program, and nothing of the
/// language it was written in.
pub trait Runtime: Send + Sync + 'static {
    /// Starts a program and answers once it runs (not once it is ready to serve).
    ///
    /// What ends by itself is started again as `spec` says, until it is stopped.
    ///
    /// `conflict` if that key runs already, or waits to be started again; `invalid` if there is
    /// nothing to run.
    fn start(&self, call: &Call, spec: &Spec) -> impl Future<Output = Result<Instance>> + Send;

    /// Ends what runs under `key`, whole: everything that it started too, children that made
    /// themselves independent as well. First as politely as `options` says, then by force. What
    /// waits to be started again is not any more. Answers once it has ended; `not_found` if this runtime knows
    /// nothing of that key.
    fn stop(
        &self,
        call: &Call,
        key: &InstanceKey,
        options: &StopOptions,
    ) -> impl Future<Output = Result<()>> + Send;

    /// What runs or has ended by itself, in key order; of `namespace` alone if one is given. What
    /// was started through an earlier instance of this runtime that came to a sudden end is among
    /// it: it runs on, and is watched over from now on.
    fn list(
        &self,
        call: &Call,
        namespace: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Instance>>> + Send;

    /// What the program printed, oldest line first, over all its restarts; also of one that has
    /// ended. An endless line comes in pieces of at most a mebibyte. `not_found` if
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
