//! The process plugin: a runtime that runs services as local processes.

mod adopt;
mod backoff;
mod follow;
mod logs;
mod notes;
mod procfs;
mod program;
mod runtime;
mod settings;
mod supervise;
mod tree;

pub use runtime::ProcessRuntime;
pub use settings::Settings;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "process",
    runtime: ProcessRuntime::open,
    run = hop,
}
