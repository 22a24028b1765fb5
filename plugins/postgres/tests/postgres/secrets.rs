//! The password shows nowhere: not in errors, not in `Debug`, not in the log at its loudest.

use std::{
    io,
    sync::{Arc, Mutex},
};

use micro_plugin_api::{Code, store::Precondition};
use micro_test_backends::Postgres;
use tracing_subscriber::fmt::MakeWriter;

use crate::common::{Instance, hasty, refusal, settings};

const PASSWORD: &str = "hunter2hunter2";

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_password_is_shown_nowhere() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    // Of this thread, on which everything here runs.
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut server = Postgres::builder().password(PASSWORD).start().await;
    let url = server.url("postgres");
    assert!(url.contains(PASSWORD));
    let mut shown = vec![format!("{:?}", settings(&url))];

    let wrong = url.replace(PASSWORD, &format!("{PASSWORD}wrong"));
    let refused = refusal(settings(wrong)).await;
    assert_eq!(refused.code(), Code::INVALID, "{refused}");
    shown.push(format!("{refused:?} {refused}"));

    let instance = Instance::open(settings(&url)).await.unwrap();
    instance.put("k", Precondition::Any).await.unwrap();
    server.kill();
    let unavailable = instance.store.health(&hasty()).await.unwrap_err();
    assert_eq!(unavailable.code(), Code::UNAVAILABLE);
    shown.push(format!("{unavailable:?} {unavailable}"));

    for url in [
        format!("{url}?sslmode={PASSWORD}"),
        format!("{url}?secret={PASSWORD}"),
    ] {
        let invalid = refusal(settings(url)).await;
        shown.push(format!("{invalid:?} {invalid}"));
    }
    let log = log.text();
    assert!(log.contains("calls fail until it answers"), "{log}");
    shown.push(log);
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
