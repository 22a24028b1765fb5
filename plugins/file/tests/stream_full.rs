//! A disk that takes no more: publishing fails and says why, reading goes on, and publishing does
//! once there is room. In a process of its own, since the limit that stands for the disk is one.

use futures::TryStreamExt as _;
use micro_file::{FileStream, Settings};
use micro_plugin_api::{
    Call, Code, Host, Stream as _,
    stream::{HistoryQuery, NewEvent},
};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{SigSet, Signal},
};

#[tokio::test]
async fn a_write_that_fails_is_taken_back_and_the_log_goes_on() {
    // The thread that writes inherits it: a write beyond the limit fails instead of killing.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let host = Host::new("file", folder.path(), folder.path());
    let stream = FileStream::open(Settings::default(), host.clone()).unwrap();
    let call = Call::default();
    let event = |payload: &str| NewEvent::new("t", payload.to_owned());
    let history = async |stream: &FileStream| {
        let events = stream.history(&call, "t", &HistoryQuery::default()).await;
        let events: Vec<_> = events.unwrap().try_collect().await.unwrap();
        let payloads = events.into_iter().map(|event| event.payload);
        payloads
            .map(|payload| String::from_utf8_lossy(&payload).into_owned())
            .collect::<Vec<_>>()
    };
    stream.publish(&call, &[event("before")]).await.unwrap();

    let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 64, hard).unwrap();
    for _ in 0..3 {
        let error = stream.publish(&call, &[event("lost")]).await.unwrap_err();
        assert_eq!(error.code(), Code::UNAVAILABLE);
        assert!(error.message().contains("stream/"), "{error}");
        assert_eq!(history(&stream).await, ["before"]);
    }
    setrlimit(Resource::RLIMIT_FSIZE, soft, hard).unwrap();

    stream.publish(&call, &[event("after")]).await.unwrap();
    assert_eq!(history(&stream).await, ["before", "after"]);
    drop(stream);
    let stream = FileStream::open(Settings::default(), host).unwrap();
    assert_eq!(history(&stream).await, ["before", "after"]);
}
