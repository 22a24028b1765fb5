//! The core service `config`: what it answers, and to whom.

use futures::future::join_all;
use micro_modules::PLATFORM_DATABASE;
use micro_plugin_api::{Call, store::Table};
use micro_proto::config::{
    DeleteRequest, GetRequest, Options, ReadRequest, SetRequest, Value, WatchRequest,
    config_client::ConfigClient,
};
use micro_tests::{
    Core, Door,
    callers::{admin, anonymous, service, user},
};
use tonic::Status;

use crate::error;

const TABLE: Table<'static> = Table::new(PLATFORM_DATABASE, "config");

fn secret(secret: bool) -> Option<Options> {
    Some(Options { secret })
}

struct Config(ConfigClient<Door>);

impl Config {
    async fn micro(core: &Core) -> Self {
        Self(ConfigClient::new(core.by(admin("micro"))))
    }

    async fn set(&mut self, path: &str, data: &str) -> Result<(), Status> {
        self.set_with(path, data, None).await
    }

    async fn set_with(
        &mut self,
        path: &str,
        data: &str,
        options: Option<Options>,
    ) -> Result<(), Status> {
        let request = SetRequest {
            path: path.to_owned(),
            value: Some(Value {
                data: data.to_owned(),
                format: String::new(),
            }),
            options,
            ..SetRequest::default()
        };
        self.0.set(request).await.map(drop)
    }

    async fn get(&mut self, path: &str) -> Result<String, Status> {
        self.get_with(path, None).await
    }

    async fn get_with(&mut self, path: &str, options: Option<Options>) -> Result<String, Status> {
        let request = GetRequest {
            path: path.to_owned(),
            options,
            ..GetRequest::default()
        };
        let answer = self.0.get(request).await?.into_inner();
        let value = answer.value.expect("a value");
        assert_eq!(value.format, "json");
        Ok(value.data)
    }

    async fn delete(&mut self, path: &str) -> Result<(), Status> {
        let request = DeleteRequest {
            path: path.to_owned(),
            ..DeleteRequest::default()
        };
        self.0.delete(request).await.map(drop)
    }
}

#[tokio::test]
async fn values_of_every_type_under_dotted_paths() {
    let core = Core::start().await;
    let mut config = Config::micro(&core).await;
    for (path, data) in [
        ("helloworld.somekey", "\"hello\""),
        ("helloworld.someboolkey", "true"),
        ("helloworld.keywithsubs.subkey1", "\"So easy!\""),
        ("helloworld.x", "1.50"),
        ("helloworld.list", "[1,{\"z\":1,\"a\":null}]"),
        ("helloworld.html", "\"Value with <> signs & more\""),
        ("helloworld", "{\"b\":{\"c\":2},\"a\":1}"),
        ("helloworld.big", "18446744073709551615"),
    ] {
        config.set(path, data).await.unwrap();
    }
    let whole = concat!(
        r#"{"a":1,"b":{"c":2},"big":18446744073709551615,"html":"Value with <> signs & more","#,
        r#""keywithsubs":{"subkey1":"So easy!"},"list":[1,{"a":null,"z":1}],"someboolkey":true,"#,
        r#""somekey":"hello","x":1.5}"#
    );
    assert_eq!(config.get("helloworld").await.unwrap(), whole);
    let wrapped = format!("{{\"helloworld\":{whole}}}");
    assert_eq!(config.get("").await.unwrap(), wrapped);
    assert_eq!(config.get("helloworld.somekey").await.unwrap(), "\"hello\"");
    assert_eq!(config.get("helloworld.nothing").await.unwrap(), "null");
    assert_eq!(config.get("helloworld.a.b").await.unwrap(), "null");
    for path in [
        "helloworld.keywithsubs",
        "helloworld.list",
        "helloworld.b.c",
        "no.such",
    ] {
        config.delete(path).await.unwrap();
    }
    for path in ["html", "x", "big", "a"] {
        config.delete(&format!("helloworld.{path}")).await.unwrap();
    }
    let left = r#"{"b":{},"someboolkey":true,"somekey":"hello"}"#;
    assert_eq!(config.get("helloworld").await.unwrap(), left);
    config.delete("helloworld").await.unwrap();
    assert_eq!(config.get("").await.unwrap(), "{}");

    let request = ReadRequest {
        path: "x".to_owned(),
        ..ReadRequest::default()
    };
    config.set_with("x.pw", "1", secret(true)).await.unwrap();
    let read = config.0.read(request).await.unwrap().into_inner();
    let change = read.change.unwrap();
    let set = change.change_set.unwrap();
    assert_eq!(
        (change.namespace.as_str(), change.path.as_str()),
        ("micro", "x")
    );
    assert_eq!(
        (set.data.as_str(), set.format.as_str()),
        (r#"{"pw":"[secret]"}"#, "json")
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_said() {
    let core = Core::start().await;
    let mut config = Config::micro(&core).await;
    let missing = (404, "Not found".to_owned());
    assert_eq!(error("config.Config.Get", config.get("a").await), missing);
    assert_eq!(
        error("config.Config.Delete", config.delete("a").await),
        missing
    );
    config.set("a.b", "1").await.unwrap();
    for (path, data, detail) in [
        (
            "a.b.c",
            "9",
            "a.b is a value, not an object, so nothing can be set below it; delete it first",
        ),
        ("", "9", "key required"),
        (
            "a..b",
            "9",
            "the key \"a..b\" has an empty part; write its parts with one dot between them, as in a.b",
        ),
        (
            "a",
            "18446744073709551616",
            "the integer 18446744073709551616 does not fit into 64 bits; write it as a string",
        ),
    ] {
        let told = error("config.Config.Set", config.set(path, data).await);
        assert_eq!(told, (400, detail.to_owned()));
    }
    let (code, detail) = error("config.Config.Set", config.set("a", "{bad").await);
    assert_eq!(code, 400);
    assert!(detail.starts_with("Request is invalid JSON: "), "{detail}");
    let empty = SetRequest {
        path: "a".to_owned(),
        ..SetRequest::default()
    };
    let told = error("config.Config.Set", config.0.set(empty).await);
    assert_eq!(told, (400, "invalid change".to_owned()));
    let told = error("config.Config.Delete", config.delete("").await);
    assert_eq!(told, (400, "key required".to_owned()));
    let deep = vec!["a"; 33].join(".");
    let (code, _) = error("config.Config.Set", config.set(&deep, "1").await);
    assert_eq!(code, 400);
    assert_eq!(config.get("").await.unwrap(), r#"{"a":{"b":1}}"#);
}

#[tokio::test]
async fn secrets_are_sealed_at_rest_and_shown_to_those_who_ask() {
    let core = Core::start().await;
    let mut config = Config::micro(&core).await;
    config.set("k.open", "1").await.unwrap();
    config
        .set_with("k.pw", "\"hunter2\"", secret(true))
        .await
        .unwrap();
    config
        .set_with("k.all", r#"{"n":42,"deep":{"pw":"hunter3"}}"#, secret(true))
        .await
        .unwrap();
    let hidden = r#"{"all":{"deep":{"pw":"[secret]"},"n":"[secret]"},"open":1,"pw":"[secret]"}"#;
    assert_eq!(config.get("k").await.unwrap(), hidden);
    assert_eq!(config.get("k.pw").await.unwrap(), "\"[secret]\"");
    let shown = r#"{"all":{"deep":{"pw":"hunter3"},"n":42},"open":1,"pw":"hunter2"}"#;
    assert_eq!(config.get_with("k", secret(true)).await.unwrap(), shown);
    assert_eq!(
        config.get_with("k.all.n", secret(true)).await.unwrap(),
        "42"
    );

    let store = core.modules.store();
    let record = store
        .read(&Call::default(), TABLE, "micro")
        .await
        .unwrap()
        .unwrap();
    let stored = String::from_utf8(record.value.to_vec()).unwrap();
    assert!(!stored.contains("hunter"), "{stored}");
}

#[tokio::test]
async fn each_namespace_has_its_own_for_those_who_administer_it() {
    let core = Core::start().await;
    let mut micro = Config::micro(&core).await;
    micro.set("a", "1").await.unwrap();
    let mut foo = Config(ConfigClient::new(core.by(admin("foo"))));
    foo.set("a", "2").await.unwrap();
    assert_eq!(foo.get("a").await.unwrap(), "2");
    assert_eq!(micro.get("a").await.unwrap(), "1");
    let of_foo = GetRequest {
        namespace: "foo".to_owned(),
        path: "a".to_owned(),
        options: None,
    };
    let told = micro.0.get(of_foo.clone()).await.unwrap().into_inner();
    assert_eq!(told.value.unwrap().data, "2");
    let of_micro = GetRequest {
        namespace: "micro".to_owned(),
        ..of_foo.clone()
    };
    let told = error("config.Config.Get", foo.0.get(of_micro).await);
    assert_eq!(told, (403, "Access denied to namespace".to_owned()));
    let mut service = Config(ConfigClient::new(core.by(service("foo"))));
    assert_eq!(service.get("a").await.unwrap(), "2");
    let mut nobody = Config(ConfigClient::new(core.by(anonymous("micro"))));
    let told = error("config.Config.Get", nobody.get("a").await);
    assert_eq!(told, (401, "An account is required".to_owned()));
    let mut user = Config(ConfigClient::new(core.by(user("micro"))));
    let told = error("config.Config.Set", user.set("a", "3").await);
    assert_eq!(told, (401, "Unauthorized".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_setters_lose_nothing_on_one_server_or_two() {
    let core = Core::start().await;
    let other = core.another(micro_access::KeySource::Memory).await;
    let setters = (0..64).map(|i| {
        let server = if i % 2 == 0 { &core } else { &other };
        let client = ConfigClient::new(server.by(admin("micro")));
        tokio::spawn(async move {
            let mut config = Config(client);
            for round in 0..4 {
                config.set(&format!("k{i}.r{round}"), "1").await?;
            }
            Ok::<_, Status>(())
        })
    });
    for set in join_all(setters).await {
        set.unwrap().unwrap();
    }
    let whole = Config::micro(&core).await.get("").await.unwrap();
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    for i in 0..64 {
        let wanted = serde_json::json!({"r0": 1, "r1": 1, "r2": 1, "r3": 1});
        assert_eq!(whole[format!("k{i}")], wanted, "k{i}");
    }
}

#[tokio::test]
async fn a_watcher_is_told_the_value_now_and_whenever_it_changes() {
    let core = Core::start().await;
    let mut config = Config::micro(&core).await;
    let request = WatchRequest {
        path: "app".to_owned(),
        ..WatchRequest::default()
    };
    let mut watch = config.0.watch(request).await.unwrap().into_inner();
    let mut told = async || {
        let told = watch.message().await.unwrap().expect("one more");
        (told.value.unwrap().data, told.changed)
    };
    assert_eq!(told().await, ("null".to_owned(), Vec::new()));
    config.set("app.a", "1").await.unwrap();
    assert_eq!(
        told().await,
        (r#"{"a":1}"#.to_owned(), vec!["app".to_owned()])
    );
    // Elsewhere, and of no interest.
    config.set("other", "1").await.unwrap();
    config
        .set_with("app.b.c", "\"pw\"", secret(true))
        .await
        .unwrap();
    let shown = r#"{"a":1,"b":{"c":"[secret]"}}"#.to_owned();
    assert_eq!(told().await, (shown, vec!["app.b".to_owned()]));
    config.delete("app").await.unwrap();
    assert_eq!(told().await, ("null".to_owned(), vec!["app".to_owned()]));
}
