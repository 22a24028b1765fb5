//! The zoo is not passed: for each promise that a plugin of it breaks there is a rule that fails, and
//! that holds where the promise is kept.

use std::time::Duration;

use micro_loader::{Instance, Library, LoadOptions, Loader};
use micro_plugin_api::{Error, Host};
use micro_plugin_conformance::{Module, Outcome, Suite, blob, broker, registry, store, stream};
use micro_tests::{PATIENCE, Server, ServerBuilder, program, wait_for};
use serde_json::{Value, json};

use crate::home::Home;

/// How long a rule may take with a plugin that is bad: what hangs is given up after it.
const HANGS: Duration = Duration::from_secs(5);

struct Zoo {
    library: Library,
    home: Home,
}

impl Zoo {
    fn load() -> Self {
        let home = Home::new();
        let loader = Loader::new(Vec::new(), home.path().join("cache"));
        let library = loader.load(&program("libmicro_zoo.so"), &LoadOptions::default());
        Self {
            library: library.expect("the zoo"),
            home,
        }
    }

    async fn open<H>(
        &self,
        settings: &Value,
        view: impl Fn(&Instance) -> Option<H>,
    ) -> micro_plugin_api::Result<H> {
        // A place of its own for each set of settings, and the same for each of its instances.
        let state = self
            .home
            .path()
            .join(settings.to_string().replace('/', "_"));
        let host = Host::new("zoo", &state, &state);
        let settings = settings.to_string();
        let opened = self.library.open(&settings, host, PATIENCE);
        let instance = opened
            .await
            .map_err(|error| Error::unavailable(error.to_string()))?;
        view(&instance).ok_or_else(|| Error::unsupported("the zoo has no such module"))
    }

    /// How the rule went with these settings.
    async fn outcome(&self, rule: &str, settings: Value, deadline: Duration) -> Outcome {
        let run = (rule, &settings, deadline);
        match rule.split('.').next() {
            Some("blob") => self.run(blob::suite(), Instance::blob, run).await,
            Some("stream") => self.run(stream::suite(), Instance::stream, run).await,
            Some("broker") => self.run(broker::suite(), Instance::broker, run).await,
            Some("registry") => self.run(registry::suite(), Instance::registry, run).await,
            _ => self.run(store::suite(), Instance::store, run).await,
        }
    }

    async fn run<H: Module>(
        &self,
        suite: Suite<H>,
        view: impl Fn(&Instance) -> Option<H>,
        (rule, settings, deadline): (&str, &Value, Duration),
    ) -> Outcome {
        let suite = suite
            .of(&self.library.manifest().capabilities)
            .only(rule)
            .with_deadline(deadline);
        let report = suite.run(async || self.open(settings, &view).await).await;
        let outcome = report.outcome(rule);
        outcome.unwrap_or_else(|| panic!("no rule {rule}")).clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suite_passes_no_bad_plugin() {
    let zoo = Zoo::load();
    for (settings, rule) in [
        (json!({"cage": "forget_expiry"}), "store.expiry.read"),
        (json!({"cage": "forget_expiry"}), "store.expiry.names"),
        (json!({"cage": "lose_order"}), "store.list.key-order"),
        (json!({"cage": "leak_tables"}), "store.tables.isolated"),
        (json!({"cage": "lose_writes"}), "store.durable.records"),
        (json!({"open": "panic"}), "store.read.exact-key"),
        (json!({"open": "fail"}), "store.read.exact-key"),
        (json!({"open": "hang"}), "store.read.exact-key"),
        (json!({"calls": "panic"}), "store.read.exact-key"),
        (json!({"calls": "fail"}), "store.read.exact-key"),
        (json!({"calls": "hang"}), "store.read.exact-key"),
        (
            json!({"calls": "slow", "slow_ms": 60_000}),
            "store.read.exact-key",
        ),
        (json!({"shutdown": "panic"}), "store.read.exact-key"),
        (json!({"shutdown": "fail"}), "store.read.exact-key"),
        (json!({"shutdown": "hang"}), "store.read.exact-key"),
        (json!({"excess": "stream"}), "blob.read.ends"),
        (json!({"excess": "items"}), "blob.read.ends"),
        (json!({"excess": "stream"}), "stream.history.ends"),
        (json!({"excess": "items"}), "stream.history.ends"),
        (json!({"excess": "stream"}), "stream.ack.in-flight"),
        (json!({"excess": "stream"}), "broker.slow.waits"),
        (json!({"excess": "items"}), "broker.slow.waits"),
        (json!({"excess": "backlog"}), "broker.slow.told"),
    ] {
        let mut bad = settings.clone();
        if bad.get("cage").is_none() {
            bad["cage"] = "sound".into();
        }
        let outcome = zoo.outcome(rule, bad, HANGS).await;
        assert!(
            matches!(outcome, Outcome::Failed(_)),
            "{settings}, {rule}: {outcome:?}"
        );
        let outcome = zoo.outcome(rule, json!({"cage": "sound"}), PATIENCE).await;
        assert_eq!(outcome, Outcome::Passed, "{rule}");
    }
}

/// The zoo's store cannot be watched, and says so to whoever calls, but not in what it declares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_and_not_declared_has_failed() {
    let zoo = Zoo::load();
    let rule = "store.watch.order";
    let outcome = zoo.outcome(rule, json!({"cage": "sound"}), PATIENCE).await;
    let Outcome::Failed(reason) = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(reason.contains("`lacks`"), "{reason}");
}

/// A watch that makes up services is cut before whoever follows it has no memory left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_without_end_is_noticed() {
    let zoo = Zoo::load();
    for excess in ["stream", "items"] {
        let settings = json!({"excess": excess});
        let rule = "registry.watch.snapshot";
        let outcome = zoo.outcome(rule, settings, PATIENCE).await;
        let Outcome::Failed(reason) = &outcome else {
            panic!("{excess}: {outcome:?}");
        };
        assert!(reason.contains("the plugin zoo "), "{excess}: {reason}");
    }
}

/// What only a process shows that tests one plugin: `micro plugin test`.
#[test]
fn a_house_that_is_not_in_order_is_noticed() {
    for (settings, broken) in [
        ("cage = 'sound'\n", None),
        ("cage = 'sound'\ndrop = 'panic'\n", Some("plugin.panics")),
        ("cage = 'sound'\nexcess = 'log'\n", Some("plugin.log")),
        (
            "cage = 'sound'\nexcess = 'threads'\n",
            Some("plugin.threads"),
        ),
    ] {
        let home = Home::new();
        home.write("settings.toml", settings);
        let ran = home.json(&[
            "plugin",
            "test",
            "zoo",
            "--module=store",
            "--settings=settings.toml",
        ]);
        let rules = ran["rules"].as_array().expect("rules").iter();
        let failed: Vec<_> = rules
            .filter(|rule| rule["outcome"] == "failed")
            .filter_map(|rule| rule["name"].as_str())
            .collect();
        match broken {
            None => {
                let mut failed = failed.iter();
                let house = failed.find(|rule| rule.starts_with("plugin."));
                assert_eq!(house, None, "{settings}: {ran}");
            }
            Some(broken) => assert!(failed.contains(&broken), "{settings}: {ran}"),
        }
    }
}

/// A server whose profile has this text, which says something when it goes wrong.
pub(crate) async fn served(manifest: &str) -> Server {
    let builder = ServerBuilder::new("").env("MICRO_LOG_LEVEL", "info");
    let path = builder.write("bad.toml", manifest);
    let server = builder.profile(path).serve().await;
    wait_for("a login", || async {
        let args = ["login", "--username=admin", "--password=micro"];
        (server.micro(args).await.code == Some(0)).then_some(())
    })
    .await;
    server
}

/// What does not need the bad plugin works.
pub(crate) async fn the_rest_serves(server: &Server) {
    server.micro(["store", "write", "k", "v"]).await.success();
    let read = server.micro(["store", "read", "k"]).await.success();
    assert_eq!(read, "v\n");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_server_survives_a_bad_plugin_while_the_rest_serves() {
    let mut server =
        served("extends = 'test'\n[blob]\nplugin = 'zoo'\nslow_ms = 600000\ndrop = 'panic'\n")
            .await;
    // What never ends is not waited for long; what ends is.
    let (short, long) = ("--request_timeout=2s", "--request_timeout=60s");
    for (method, key, code, words) in [
        ("Delete", "panic", 127, "asked to panic in a poll"),
        ("Delete", "panic-twice", 127, "panicked"),
        ("Delete", "panic-in-threads", 0, ""),
        ("Delete", "fail", 127, "the cage is taken"),
        ("Delete", "hang", 1, "Request timed out"),
        ("Delete", "slow", 1, "Request timed out"),
        ("Delete", "stuck", 0, ""),
        ("Read", "panic", 127, "asked to panic in a stream"),
        ("Read", "fail", 127, "the stream dried up"),
        ("Delete", "tiger", 0, ""),
    ] {
        let request = json!({"key": key}).to_string();
        let timeout = if code == 1 { short } else { long };
        let endpoint = format!("BlobStore.{method}");
        let args = ["call", timeout, "store", &endpoint, &request];
        let ran = server.micro(args).await;
        assert_eq!(ran.code, Some(code), "{key}: {ran:?}");
        assert!(ran.stderr.contains(words), "{key}: {ran:?}");
        the_rest_serves(&server).await;
    }
    assert!(server.stop().await.success());
    let log = server.log();
    assert!(log.contains("asked to panic in a drop"), "{log}");
}

#[tokio::test]
async fn a_flood_in_the_log_is_cut_and_the_rest_serves() {
    let mut server = served("extends = 'test'\n[blob]\nplugin = 'zoo'\nexcess = 'log'\n").await;
    wait_for("the flood to be cut", || async {
        let log = server.log();
        log.contains("the rest of this second is left out")
            .then_some(())
    })
    .await;
    the_rest_serves(&server).await;
    assert!(server.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_end_with_the_instance_that_left_them() {
    let zoo = Zoo::load();
    let journal = zoo.home.path().join("journal");
    let settings = json!({"cage": "sound", "excess": "tasks", "journal": journal});
    let store = zoo
        .open(&settings, Instance::store)
        .await
        .expect("an instance");
    let ended = || {
        let lines = std::fs::read_to_string(&journal).unwrap_or_default();
        lines
            .lines()
            .filter(|line| line.starts_with("task ended"))
            .count()
    };
    assert_eq!(ended(), 0);
    drop(store);
    wait_for("both tasks to end", || async {
        (ended() == 2).then_some(())
    })
    .await;
}
