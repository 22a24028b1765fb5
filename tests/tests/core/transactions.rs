//! `Store.Commit` and `Store.Watch`: writes under conditions, and who hears of them.

use micro_proto::store::{
    CommitRequest, Operation, ReadOptions, ReadRequest, Record, WatchOptions, WatchRequest,
    WriteRequest, operation::Precondition, store_client::StoreClient,
};
use micro_tests::{
    Core, Door, call_json,
    callers::{admin, anonymous, user},
};
use tonic::Status;

use crate::{error, stores};

const COMMIT: &str = "store.Store.Commit";

fn put(key: &str, value: &str, precondition: Option<Precondition>) -> Operation {
    Operation {
        key: key.to_owned(),
        precondition,
        put: Some(Record {
            value: value.to_owned().into(),
            ..Record::default()
        }),
        ..Operation::default()
    }
}

fn delete(key: &str) -> Operation {
    Operation {
        key: key.to_owned(),
        delete: true,
        ..Operation::default()
    }
}

async fn commit(
    client: &mut StoreClient<Door>,
    operations: impl Into<Vec<Operation>>,
) -> Result<u64, Status> {
    let operations = operations.into();
    let answer = client.commit(CommitRequest { operations }).await?;
    Ok(answer.into_inner().version)
}

async fn value(client: &mut StoreClient<Door>, key: &str) -> Option<(String, Option<u64>)> {
    let request = ReadRequest {
        key: key.to_owned(),
        options: Some(ReadOptions {
            versions: true,
            ..ReadOptions::default()
        }),
    };
    let read = client.read(request).await.ok()?.into_inner();
    let record = read.records.into_iter().next()?;
    let text = String::from_utf8(record.value.to_vec()).unwrap();
    Some((text, record.version))
}

#[tokio::test]
async fn a_commit_happens_wholly_or_not_at_all() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let absent = Some(Precondition::Absent(true));
    let first = commit(&mut client, [put("a", "1", absent), put("b", "1", absent)]);
    let first = first.await.unwrap();
    assert_eq!(
        value(&mut client, "a").await,
        Some(("1".into(), Some(first)))
    );
    let refused = commit(&mut client, [put("c", "2", None), put("a", "2", absent)]).await;
    let (code, detail) = error(COMMIT, refused);
    assert_eq!(code, 409);
    assert!(detail.contains("\"a\""), "{detail}");
    assert_eq!(value(&mut client, "c").await, None);
    let at_first = Some(Precondition::Version(first));
    let second = commit(&mut client, [put("a", "2", at_first), delete("b")]);
    let second = second.await.unwrap();
    assert_eq!(
        value(&mut client, "a").await,
        Some(("2".into(), Some(second)))
    );
    assert_eq!(value(&mut client, "b").await, None);
    let (code, _) = error(COMMIT, commit(&mut client, [put("a", "3", at_first)]).await);
    assert_eq!(code, 409);

    let unasked = ReadRequest {
        key: "a".to_owned(),
        options: None,
    };
    let read = client.read(unasked).await.unwrap().into_inner();
    assert_eq!(read.records[0].version, None);
}

#[tokio::test]
async fn what_is_no_commit_is_refused() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let both = Operation {
        delete: true,
        ..put("k", "v", None)
    };
    let many: Vec<_> = (0..65).map(|i| put(&format!("k{i}"), "v", None)).collect();
    for (operations, part) in [
        (Vec::new(), "no operation specified"),
        (vec![put("", "v", None)], "Missing key"),
        (vec![both], "either `put` or `delete`"),
        (
            vec![Operation {
                key: "k".to_owned(),
                ..Operation::default()
            }],
            "say what to write",
        ),
        (vec![delete("k"), delete("k")], "twice in one commit"),
        (many, "at most 64"),
    ] {
        let (code, detail) = error(COMMIT, commit(&mut client, operations).await);
        assert_eq!(code, 400, "{detail}");
        assert!(detail.contains(part), "{detail}");
    }
    for (door, code) in [
        (core.by(anonymous("micro")), 401),
        (core.by(user("micro")), 401),
        (core.by(admin("foo")), 403),
    ] {
        let elsewhere = Operation {
            database: "micro".to_owned(),
            ..put("k", "v", None)
        };
        let refused = commit(&mut stores(door), [elsewhere]).await;
        assert_eq!(error(COMMIT, refused).0, code);
    }
    let platform = Operation {
        database: "$platform".to_owned(),
        ..put("k", "v", None)
    };
    assert_eq!(error(COMMIT, commit(&mut client, [platform]).await).0, 403);
}

#[tokio::test]
async fn commits_speak_json() {
    let core = Core::start().await;
    let door = core.by(admin("micro"));
    let body = r#"{"operations":[{"key":"k","absent":true,"put":{"value":"djE="}}]}"#;
    let answer = call_json(&door, "/store.Store/Commit", body).await.unwrap();
    let version = answer["version"].as_str().expect("a version").to_owned();
    let read = r#"{"key":"k","options":{"versions":true}}"#;
    let answer = call_json(&door, "/store.Store/Read", read).await.unwrap();
    assert_eq!(answer["records"][0]["version"], version.as_str());
    let answer = call_json(&door, "/store.Store/Read", r#"{"key":"k"}"#).await;
    assert_eq!(answer.unwrap()["records"][0].get("version"), None);
    let body = format!(r#"{{"operations":[{{"key":"k","version":"{version}","delete":true}}]}}"#);
    call_json(&door, "/store.Store/Commit", &body)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_watcher_hears_of_its_prefix() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let request = WatchRequest {
        options: Some(WatchOptions {
            prefix: "users/".to_owned(),
            ..WatchOptions::default()
        }),
    };
    let mut watch = client.watch(request.clone()).await.unwrap().into_inner();
    let written = WriteRequest {
        record: Some(Record {
            key: "users/1".to_owned(),
            value: "v".into(),
            expiry: 100,
            ..Record::default()
        }),
        options: None,
    };
    client.write(written).await.unwrap();
    let operations = [put("other", "1", None), delete("users/1")];
    let version = commit(&mut client, operations).await.unwrap();
    let first = watch.message().await.unwrap().unwrap();
    let record = first.record.unwrap();
    assert_eq!(
        (record.key.as_str(), &*record.value),
        ("users/1", &b"v"[..])
    );
    assert!(!first.deleted && record.version.is_some() && record.expiry > 90);
    let second = watch.message().await.unwrap().unwrap();
    let record = second.record.unwrap();
    assert!(second.deleted);
    assert_eq!(
        (record.key.as_str(), record.version),
        ("users/1", Some(version))
    );

    let mut nobody = stores(core.by(anonymous("micro")));
    let refused = nobody.watch(request).await;
    assert_eq!(error("store.Store.Watch", refused).0, 401);
}
