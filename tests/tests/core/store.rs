//! The core service `store`: what it answers, and to whom.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use micro_modules::PLATFORM_DATABASE;
use micro_plugin_api::{
    Call,
    store::{Commit, Precondition, Put, Table},
};
use micro_proto::store::{
    BlobDeleteRequest, BlobListOptions, BlobListRequest, BlobOptions, BlobReadRequest,
    BlobWriteRequest, DatabasesRequest, DeleteOptions, DeleteRequest, Field, ListOptions,
    ListRequest, ReadOptions, ReadRequest, Record, TablesRequest, WriteOptions, WriteRequest,
    store_client::StoreClient,
};
use micro_tests::{
    Core, Door,
    callers::{admin, anonymous, service, user, within},
    wait_for,
};
use micro_wire::Error;

use crate::{blobs, error, stores};

fn record(key: &str, value: &str) -> Record {
    Record {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Record::default()
    }
}

fn write(record: Record) -> WriteRequest {
    WriteRequest {
        record: Some(record),
        options: None,
    }
}

fn read(key: &str) -> ReadRequest {
    ReadRequest {
        key: key.to_owned(),
        options: None,
    }
}

fn by_prefix(key: &str, options: ReadOptions) -> ReadRequest {
    ReadRequest {
        key: key.to_owned(),
        options: Some(ReadOptions {
            prefix: true,
            ..options
        }),
    }
}

async fn keys(client: &mut StoreClient<Door>, request: ReadRequest) -> Vec<String> {
    let records = client.read(request).await.unwrap().into_inner().records;
    records.into_iter().map(|record| record.key).collect()
}

async fn list(client: &mut StoreClient<Door>, options: ListOptions) -> Vec<String> {
    let request = ListRequest {
        options: Some(options),
    };
    let mut messages = client.list(request).await.unwrap().into_inner();
    let mut keys = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        keys.extend(message.keys);
    }
    keys
}

#[tokio::test]
async fn what_is_written_is_read() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let field = |value: &str| Field {
        r#type: "int".to_owned(),
        value: value.to_owned(),
    };
    let written = Record {
        expiry: 100,
        metadata: HashMap::from([("n".to_owned(), field("7"))]),
        ..record("k1", "v1")
    };
    client.write(write(written)).await.unwrap();
    let records = client.read(read("k1")).await.unwrap().into_inner().records;
    let [found] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!((found.key.as_str(), &found.value[..]), ("k1", &b"v1"[..]));
    assert!((90..=100).contains(&found.expiry), "{}", found.expiry);
    assert_eq!(found.metadata["n"].r#type, "string");
    assert_eq!(found.metadata["n"].value, "7");

    client.write(write(record("k1", "again"))).await.unwrap();
    let records = client.read(read("k1")).await.unwrap().into_inner().records;
    assert_eq!(
        (&records[0].value[..], records[0].expiry),
        (&b"again"[..], 0)
    );
    assert!(records[0].metadata.is_empty());

    let delete = |key: &str| DeleteRequest {
        key: key.to_owned(),
        options: None,
    };
    client.delete(delete("k1")).await.unwrap();
    client.delete(delete("k1")).await.unwrap();
    let gone = client.read(read("k1")).await;
    assert_eq!(
        error("store.Store.Read", gone),
        (404, "not found".to_owned())
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let nothing = client.write(WriteRequest::default()).await;
    assert_eq!(
        error("store.Store.Write", nothing),
        (400, "no record specified".to_owned())
    );
    let no_key = client.write(write(record("", "v"))).await;
    assert_eq!(
        error("store.Store.Write", no_key),
        (400, "Missing key".to_owned())
    );
    let past = Record {
        expiry: -5,
        ..record("k", "v")
    };
    let (code, detail) = error("store.Store.Write", client.write(write(past)).await);
    assert!(code == 400 && detail.contains("-5 seconds"), "{detail}");
    let no_key = client.delete(DeleteRequest::default()).await;
    assert_eq!(
        error("store.Store.Delete", no_key),
        (400, "Missing key".to_owned())
    );
    let no_key = client.read(read("")).await;
    assert_eq!(
        error("store.Store.Read", no_key),
        (404, "not found".to_owned())
    );
    // Keys and names have a limit, wherever they stand; the store goes on.
    let long = "k".repeat(70_000);
    let (code, detail) = error(
        "store.Store.Write",
        client.write(write(record(&long, "v"))).await,
    );
    assert!(code == 400 && detail.contains("70000 bytes"), "{detail}");
    let (code, _) = error("store.Store.Read", client.read(read(&long)).await);
    assert_eq!(code, 400);
    let table = WriteOptions {
        table: long.clone(),
        ..WriteOptions::default()
    };
    let named = WriteRequest {
        options: Some(table),
        ..write(record("k", "v"))
    };
    assert_eq!(error("store.Store.Write", client.write(named).await).0, 400);
    let prefix = ListOptions {
        prefix: long,
        ..ListOptions::default()
    };
    let listed = client.list(ListRequest {
        options: Some(prefix),
    });
    assert_eq!(error("store.Store.List", listed.await).0, 400);
    let forever = Record {
        expiry: i64::MAX,
        ..record("k", "v")
    };
    client.write(write(forever)).await.unwrap();
    assert_eq!(keys(&mut client, read("k")).await, ["k"]);
}

#[tokio::test]
async fn an_expired_record_is_not_found() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    let short = Record {
        expiry: 1,
        ..record("k", "v")
    };
    client.write(write(short)).await.unwrap();
    let found = client.read(read("k")).await.unwrap().into_inner().records;
    assert_eq!(found[0].expiry, 1, "0 would say that it never expires");
    let status = wait_for("the record to expire", || {
        let mut client = client.clone();
        async move { client.read(read("k")).await.err() }
    })
    .await;
    assert_eq!(Error::from_status(&status).code, 404);
    assert!(
        keys(&mut client, by_prefix("", ReadOptions::default()))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn prefix_suffix_limit_offset_and_order() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    for key in ["foofoobarbar", "foofoo", "barbar", "foo"] {
        client.write(write(record(key, ""))).await.unwrap();
    }
    for i in 0..10 {
        client
            .write(write(record(&format!("List{i}"), "")))
            .await
            .unwrap();
    }
    let both = ReadOptions {
        suffix: true,
        ..ReadOptions::default()
    };
    assert_eq!(
        keys(&mut client, by_prefix("foo", both)).await,
        ["foo", "foofoo"]
    );
    let suffix = ReadRequest {
        key: "bar".to_owned(),
        options: Some(ReadOptions {
            suffix: true,
            ..ReadOptions::default()
        }),
    };
    assert_eq!(keys(&mut client, suffix).await, ["barbar", "foofoobarbar"]);
    let nothing = by_prefix("nosuch", ReadOptions::default());
    assert!(keys(&mut client, nothing).await.is_empty());
    for (limit, offset, order, wanted) in [
        (2, 0, "", &["List0", "List1"][..]),
        (30, 8, "asc", &["List8", "List9"]),
        (0, 9, "sideways", &["List9"]),
        (2, 6, "", &["List6", "List7"]),
        (2, 1, "desc", &["List8", "List7"]),
        (0, 10, "", &[]),
        (5, u64::MAX, "", &[]),
    ] {
        let options = ReadOptions {
            limit,
            offset,
            order: order.to_owned(),
            ..ReadOptions::default()
        };
        assert_eq!(keys(&mut client, by_prefix("List", options)).await, wanted);
        let options = ListOptions {
            prefix: "List".to_owned(),
            limit,
            offset,
            order: order.to_owned(),
            ..ListOptions::default()
        };
        assert_eq!(
            list(&mut client, options).await,
            wanted,
            "{limit} {offset} {order}"
        );
    }
    let options = ListOptions {
        suffix: "foo".to_owned(),
        ..ListOptions::default()
    };
    assert_eq!(list(&mut client, options).await, ["foo", "foofoo"]);
}

#[tokio::test]
async fn a_list_is_one_message_even_when_it_is_empty() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    for count in [0, 2_500] {
        let keys: Vec<_> = (0..count).map(|i| format!("key/{i:04}")).collect();
        for some in keys.chunks(Commit::MAX_OPERATIONS) {
            let commit = some.iter().fold(Commit::new(), |commit, key| {
                commit.put(
                    Table::new("micro", "micro"),
                    key,
                    Precondition::Any,
                    Put::default(),
                )
            });
            core.modules
                .store()
                .commit(&Call::default(), &commit)
                .await
                .unwrap();
        }
        let messages = client
            .list(ListRequest::default())
            .await
            .unwrap()
            .into_inner();
        let messages: Vec<_> = messages
            .map(|message| message.unwrap().keys)
            .collect()
            .await;
        assert_eq!(messages, [keys]);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_says_what_to_do() {
    let core = Core::start().await;
    let mut client = stores(core.by(admin("micro")));
    for i in 0..17 {
        client
            .write(write(record(&format!("k{i}"), &"x".repeat(1 << 20))))
            .await
            .unwrap();
    }
    let everything = client.read(by_prefix("", ReadOptions::default())).await;
    let (code, detail) = error("store.Store.Read", everything);
    assert!(
        code == 400 && detail.contains("limit and offset"),
        "{detail}"
    );
    let part = ReadOptions {
        limit: 15,
        ..ReadOptions::default()
    };
    assert_eq!(keys(&mut client, by_prefix("", part)).await.len(), 15);
}

#[tokio::test]
async fn databases_and_tables() {
    let core = Core::start().await;
    let mut micro = stores(core.by(admin("micro")));
    let mut foo = stores(core.by(service("foo")));
    let in_table = |table: &str| WriteRequest {
        record: Some(record("k", "v")),
        options: Some(WriteOptions {
            database: String::new(),
            table: table.to_owned(),
        }),
    };
    // A service of namespace foo that names its table, and no database.
    foo.write(in_table("chat")).await.unwrap();
    foo.write(in_table("")).await.unwrap();
    micro.write(in_table("other")).await.unwrap();
    let platform = Commit::new().put(
        Table::new(PLATFORM_DATABASE, "auth"),
        "account",
        Precondition::Any,
        Put::default(),
    );
    core.modules
        .store()
        .commit(&Call::default(), &platform)
        .await
        .unwrap();

    let databases = micro
        .databases(DatabasesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(databases.databases, ["foo", "micro"]);
    let tables = async |client: &mut StoreClient<Door>, database: &str| {
        let request = TablesRequest {
            database: database.to_owned(),
        };
        client
            .tables(request)
            .await
            .map(|tables| tables.into_inner().tables)
    };
    assert_eq!(tables(&mut foo, "").await.unwrap(), ["chat", "micro"]);
    assert_eq!(tables(&mut micro, "foo").await.unwrap(), ["chat", "micro"]);
    assert_eq!(tables(&mut micro, "").await.unwrap(), ["other"]);
    assert_eq!(
        error("store.Store.Tables", tables(&mut foo, "micro").await).0,
        403
    );
    assert_eq!(
        error(
            "store.Store.Tables",
            tables(&mut micro, PLATFORM_DATABASE).await
        )
        .0,
        403
    );
    assert_eq!(
        error(
            "store.Store.Databases",
            foo.databases(DatabasesRequest {}).await
        )
        .0,
        403
    );
    let from_foo = read("k");
    let missing = stores(core.by(admin("foo"))).read(from_foo.clone()).await;
    assert!(missing.is_ok());
    let mut in_foo = stores(core.by(within("foo", admin("micro"))));
    assert_eq!(keys(&mut in_foo, from_foo).await, ["k"]);
}

#[tokio::test]
async fn who_may_do_what() {
    let core = Core::start().await;
    let required = (401, "An account is required".to_owned());
    let denied = (403, "Access denied to namespace".to_owned());
    let plain = (401, "Unauthorized".to_owned());
    for (door, database, wanted) in [
        (core.by(anonymous("micro")), "", &required),
        (core.by(user("micro")), "", &plain),
        (core.by(user("foo")), "", &plain),
        (core.by(admin("foo")), "micro", &denied),
        (core.by(service("foo")), "bar", &denied),
        (core.by(within("micro", admin("foo"))), "", &denied),
        (core.by(admin("micro")), PLATFORM_DATABASE, &denied),
        (core.by(service("micro")), PLATFORM_DATABASE, &denied),
        (
            core.by(within(PLATFORM_DATABASE, admin("micro"))),
            "",
            &denied,
        ),
    ] {
        let (mut store, mut blobs) = (stores(door.clone()), blobs(door));
        let database = database.to_owned();
        let table = || "auth".to_owned();
        let answer = store.read(ReadRequest {
            key: "k".to_owned(),
            options: Some(ReadOptions {
                database: database.clone(),
                table: table(),
                ..Default::default()
            }),
        });
        assert_eq!(&error("store.Store.Read", answer.await), wanted);
        let answer = store.write(WriteRequest {
            record: Some(record("k", "v")),
            options: Some(WriteOptions {
                database: database.clone(),
                table: table(),
            }),
        });
        assert_eq!(&error("store.Store.Write", answer.await), wanted);
        let answer = store.delete(DeleteRequest {
            key: "k".to_owned(),
            options: Some(DeleteOptions {
                database: database.clone(),
                table: table(),
            }),
        });
        assert_eq!(&error("store.Store.Delete", answer.await), wanted);
        let answer = store.list(ListRequest {
            options: Some(ListOptions {
                database: database.clone(),
                table: table(),
                ..Default::default()
            }),
        });
        assert_eq!(&error("store.Store.List", answer.await), wanted);
        let options = Some(BlobOptions {
            namespace: database.clone(),
            ..Default::default()
        });
        let answer = blobs.read(BlobReadRequest {
            key: "k".to_owned(),
            options: options.clone(),
        });
        assert_eq!(&error("store.BlobStore.Read", answer.await), wanted);
        let message = BlobWriteRequest {
            key: "k".to_owned(),
            options: options.clone(),
            blob: Bytes::new(),
        };
        let answer = blobs.write(stream::iter([message]));
        assert_eq!(&error("store.BlobStore.Write", answer.await), wanted);
        let answer = blobs.delete(BlobDeleteRequest {
            key: "k".to_owned(),
            options,
        });
        assert_eq!(&error("store.BlobStore.Delete", answer.await), wanted);
        let options = Some(BlobListOptions {
            namespace: database,
            prefix: String::new(),
        });
        assert_eq!(
            &error(
                "store.BlobStore.List",
                blobs.list(BlobListRequest { options }).await
            ),
            wanted
        );
    }
}
