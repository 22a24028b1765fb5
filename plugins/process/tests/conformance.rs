//! The conformance suite against the process runtime, in this program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use micro_plugin_api::{Host, RuntimeHandle};
use micro_plugin_conformance::runtime::{self, Programs, Subject};
use micro_process::{ProcessRuntime, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runtime_passes() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let programs = Programs::local(folder.path(), &path);
    let open = async || {
        let host = Host::new(
            "process",
            folder.path().join("state"),
            folder.path().join("logs"),
        );
        let runtime = ProcessRuntime::open(Settings::default(), host).await?;
        Ok(Subject::new(RuntimeHandle::new(runtime), programs.clone()))
    };
    runtime::suite().run(open).await.assert_passed();
}
