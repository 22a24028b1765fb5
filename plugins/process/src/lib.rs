//! The process plugin: a runtime that runs services as local processes.

mod follow;
mod group;
mod logs;
mod program;
mod runtime;
mod settings;
mod table;

pub use runtime::ProcessRuntime;
pub use settings::Settings;

use micro_plugin_api::export_plugin;

export_plugin! {
    name: "process",
    runtime: ProcessRuntime::open,
    run = hop,
}
