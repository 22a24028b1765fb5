//! Of what a change has come to somebody is told once, and what is told is true.

use std::{fs, sync::Mutex};

use micro_modules::{Module, ReloadOptions};
use micro_test_backends::Nats;
use micro_tests::{Server, ServerBuilder, wait_for};
use tokio_util::sync::CancellationToken;

use crate::{followed::Followed, replace};

/// A server whose profile has a broker in memory, and the manifest.
async fn server() -> (Server, std::path::PathBuf) {
    let builder = ServerBuilder::new("x");
    let path = builder.write(".micro/profiles/x.toml", "extends = \"test\"\n");
    let server = builder.start().await;
    server.login().await;
    (server, path)
}

fn nats(nats: &Nats, more: &str) -> String {
    let url = nats.url();
    format!("extends = \"test\"\n[broker]\nplugin = \"nats\"\nurl = {url:?}\n{more}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_tells_what_was_done_before_it() {
    let (server, path) = server().await;
    let backend = Nats::shared().await;
    replace::with_text(&path, &nats(backend, ""));
    wait_for("the swap", || async {
        let status = server.micro(["profile", "status"]).await.success();
        status.contains("broker     nats").then_some(())
    })
    .await;
    let reload = || async { server.micro(["profile", "reload"]).await.success() };
    assert_eq!(reload().await, "broker: memory -> nats\n");
    assert_eq!(reload().await, "Nothing has changed\n");
    // What was done for another manifest is no news of this one.
    replace::with_text(&path, &nats(backend, "timeout = 9\n"));
    wait_for("the swap", || async {
        let log = server.log();
        (log.matches("module was swapped").count() == 2).then_some(())
    })
    .await;
    replace::with_text(&path, "extends = \"test\"\n");
    assert_eq!(reload().await, "broker: nats -> memory\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_logged_once() {
    let (server, path) = server().await;
    for (text, logged) in [
        ("[broker]\nplugin = \"nats\"\ncolour = 1\n", "broker.colour"),
        ("[broker]\nplugin = 3\n", "broker.plugin must be"),
    ] {
        replace::with_text(&path, &format!("extends = \"test\"\n{text}"));
        wait_for("the mistake", || async {
            server.log().contains(logged).then_some(())
        })
        .await;
        for _ in 0..2 {
            let reload = server.micro(["profile", "reload"]).await;
            assert_eq!(reload.code, Some(1), "{reload:?}");
        }
        // The debug lines of calls hold the answers that they got.
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("ERROR"));
        let errors: Vec<_> = lines.filter(|line| line.contains(logged)).collect();
        assert_eq!(errors.len(), 1, "{errors:#?}\n{log}");
    }
    // What was wrong with a manifest that is no more is not told beside it.
    let status = server.micro(["profile", "status"]).await.success();
    assert!(!status.contains("colour"), "{status}");
    assert!(status.contains("broker.plugin must be"), "{status}");
    assert!(!server.get("/readyz").await.text().contains("colour"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_under_way_is_told_whoever_has_gone() {
    let mut followed = Followed::start(&[]).await;
    followed.set("store", "plugin = \"memory\"");
    followed.reload_badly(false, Module::Store).await;
    let told = Mutex::new(Vec::new());
    let options = ReloadOptions {
        copy: true,
        progress: &|_| {
            let status = followed.reloader.status();
            let problems: Vec<_> = status.problems().map(str::to_owned).collect();
            told.lock().unwrap().push(problems);
        },
    };
    followed.reloader.reload(&options).await.unwrap();
    let told = told.into_inner().unwrap();
    assert!(!told.is_empty());
    for problems in told {
        let [problem] = &problems[..] else {
            panic!("{problems:?}");
        };
        let start = "store: the change to plugin memory is under way: ";
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(followed.reloader.status().problems().next(), None);
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_was_down_is_tried_again_until_it_is_there() {
    let mut backend = Nats::start().await;
    let choice = format!("plugin = \"nats\"\nurl = {:?}\ntimeout = 1", backend.url());
    backend.kill();
    let mut followed = Followed::start(&[]).await;
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (reloader, stop) = (followed.reloader.clone(), stop.clone());
        async move { reloader.follow(stop).await }
    });
    followed.set("broker", &choice);
    let before = fs::metadata(followed.path()).unwrap().modified().unwrap();
    let problem = wait_for("the error", || async {
        let status = followed.reloader.status();
        let mut problems = status.problems().map(str::to_owned);
        problems.find(|problem| problem.contains("tried again by itself"))
    })
    .await;
    assert!(problem.contains("own.toml:"), "{problem}");
    assert_eq!(followed.plugin(Module::Broker), "memory");
    backend.restart().await;
    wait_for("the swap", || async {
        (followed.plugin(Module::Broker) == "nats").then_some(())
    })
    .await;
    assert_eq!(followed.reloader.status().problems().next(), None);
    let after = fs::metadata(followed.path()).unwrap().modified().unwrap();
    assert_eq!(before, after, "nobody has touched the manifest");
    // And it is told to who asks.
    let outcome = followed.reload(false).await;
    assert_eq!(outcome.len(), 1, "{outcome:?}");
    assert_eq!(
        (outcome[0].from.as_str(), outcome[0].to.as_str()),
        ("memory", "nats")
    );
    stop.cancel();
    following.await.unwrap();
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_pass_is_not_tried_again() {
    let mut followed = Followed::start(&[]).await;
    for choice in [
        "plugin = \"memory\"\nsize = 3",
        "plugin = \"nosuch\"",
        "plugin = \"file\"",
    ] {
        followed.set("broker", choice);
        let error = followed.reload_badly(false, Module::Broker).await;
        assert!(!error.contains("by itself"), "{error}");
    }
    followed.end().await;
}
