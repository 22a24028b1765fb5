//! What is not swapped, and what is said of it.

use std::{fs, time::Duration};

use micro_modules::Module;
use micro_plugin_api::{
    runtime::{InstanceKey, Spec, StopOptions},
    store::{Commit, Precondition, Put, Table},
};
use micro_tests::wait_for;
use tokio_util::sync::CancellationToken;

use crate::followed::{Followed, TABLE, call, put};

const MEMORY: &str = "plugin = \"memory\"";
const FILE: &str = "plugin = \"file\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_this_platforms_records_is_refused() {
    let mut followed = Followed::start(&[]).await;
    let store = followed.modules.store();
    store.commit(&call(), &put("key", "value")).await.unwrap();
    followed.set("store", MEMORY);
    let error = followed.reload_badly(false, Module::Store).await;
    for part in [
        "own.toml:",
        "does not hold this platform's id and accounts",
        "micro profile reload --copy",
        "restart",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(followed.plugin(Module::Store), "file");
    assert!(store.read(&call(), TABLE, "key").await.unwrap().is_some());

    followed.reload_well(true, &[Module::Store]).await;
    store.commit(&call(), &put("key", "newer")).await.unwrap();
    // The files have the platform's id, and records that are out of date.
    followed.set("store", FILE);
    let error = followed.reload_badly(false, Module::Store).await;
    for part in [
        "an older copy of this platform's records",
        "accounts, rules and all else would go back to what they were then",
        "micro profile reload --copy",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let record = store.read(&call(), TABLE, "key").await.unwrap().unwrap();
    assert_eq!(record.value, "newer");
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_over_what_is_somebody_elses() {
    let others = Followed::start(&[]).await;
    let theirs = others.modules.platform_id().await.unwrap();
    let folder = others.path().with_file_name("state/plugins/file");
    // Its folder goes with it, and is free once it has ended.
    others.modules.shutdown().await;

    let mut followed = Followed::start(&[("store", MEMORY)]).await;
    let ours = followed.modules.platform_id().await.unwrap();
    assert_ne!(ours, theirs);
    let own = followed.path().with_file_name("other");
    copy_folder(&folder, &own);
    followed.set(
        "store",
        &format!("plugin = \"file\"\ndir = {:?}", own.display()),
    );
    // Whether a copy was asked for or not, the way is to copy elsewhere.
    for copy in [false, true] {
        let error = followed.reload_badly(copy, Module::Store).await;
        for part in [
            &format!("the records of another platform ({theirs})"),
            "name an empty database, prefix or folder, and `micro profile reload --copy`",
            "a restart of the server",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert_eq!(followed.plugin(Module::Store), "memory");
    followed.end().await;
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_copy_serves_nobody() {
    let followed = Followed::start(&[]).await;
    let table = Table::new(micro_modules::PLATFORM_DATABASE, "platform");
    let begun = Commit::new().put(table, "copying", Precondition::Any, Put::default());
    followed
        .modules
        .store()
        .commit(&call(), &begun)
        .await
        .unwrap();
    let error = followed.modules.platform_id().await.unwrap_err();
    assert!(error.message().contains("unfinished copy"), "{error}");
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_does_not_open_leaves_the_old_one() {
    let mut followed = Followed::start(&[]).await;
    for (text, parts) in [
        (
            "plugin = \"memory\"\nsize = 3",
            ["own.toml:", "broker.size"],
        ),
        ("plugin = \"nosuch\"", ["own.toml:", "nosuch"]),
        ("plugin = \"file\"", ["own.toml:", "no module `broker`"]),
    ] {
        followed.set("broker", text);
        let error = followed.reload_badly(false, Module::Broker).await;
        for part in parts {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(followed.plugin(Module::Broker), "memory");
    }
    followed.set("broker", MEMORY);
    followed.reload_well(false, &[]).await;
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_stay_where_they_are() {
    let mut followed = Followed::start(&[]).await;
    followed.set("stream", MEMORY);
    let error = followed.reload_badly(true, Module::Stream).await;
    assert!(error.contains("let the consumers finish"), "{error}");
    followed.set("stream", FILE);
    followed.reload_well(false, &[]).await;
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_that_runs_services_stays() {
    let mut followed = Followed::start(&[]).await;
    let runtime = followed.modules.runtime();
    let key = InstanceKey {
        namespace: "micro".to_owned(),
        name: "sleeper".to_owned(),
        version: "latest".to_owned(),
    };
    let spec = Spec {
        key: key.clone(),
        command: vec!["/bin/sleep".to_owned(), "600".to_owned()],
        folder: "/".into(),
        ..Spec::default()
    };
    runtime.start(&call(), &spec).await.unwrap();
    let other = "plugin = \"process\"\nlog_files = 2";
    followed.set("runtime", other);
    let error = followed.reload_badly(false, Module::Runtime).await;
    for part in [
        "sleeper@latest in micro",
        "micro kill",
        "restart the server",
    ] {
        assert!(error.contains(part), "{error}");
    }
    let at_once = StopOptions { grace_ms: 0 };
    runtime.stop(&call(), &key, &at_once).await.unwrap();
    followed.reload_well(false, &[Module::Runtime]).await;
    runtime.start(&call(), &spec).await.unwrap();
    followed.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_noticed_and_what_is_wrong_with_it_is_said() {
    let followed = Followed::start(&[]).await;
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (reloader, stop) = (followed.reloader.clone(), stop.clone());
        async move { reloader.follow(stop).await }
    });
    let built = || followed.reloader.status().modules[3].sha256.clone();
    let before = built();
    followed.rebuild("memory");
    wait_for("the new build", || async {
        (built() != before).then_some(())
    })
    .await;
    let good = fs::read_to_string(followed.path()).unwrap();
    fs::write(followed.path(), "[broker]\nplugin = 3").unwrap();
    let error = wait_for("the error", || async {
        let status = followed.reloader.status();
        status.problems().next().map(str::to_owned)
    })
    .await;
    assert!(error.contains("own.toml:2"), "{error}");
    assert_eq!(followed.plugin(Module::Broker), "memory");
    fs::write(followed.path(), good).unwrap();
    wait_for("the end of the error", || async {
        let status = followed.reloader.status();
        status.problems().next().is_none().then_some(())
    })
    .await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), following)
        .await
        .unwrap()
        .unwrap();
    followed.end().await;
}
