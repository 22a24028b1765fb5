//! `BlobStore` of the core service `store`: blobs in messages of every size, and what is refused.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use micro_plugin_api::{Call, blob::BlobKey};
use micro_proto::store::{
    BlobDeleteRequest, BlobListOptions, BlobListRequest, BlobOptions, BlobReadRequest,
    BlobWriteRequest, blob_store_client::BlobStoreClient,
};
use micro_tests::{Core, Door, callers::admin};
use tonic::Status;

use crate::{blobs, error};

fn chunk(key: &str, blob: &[u8]) -> BlobWriteRequest {
    BlobWriteRequest {
        key: key.to_owned(),
        options: None,
        blob: Bytes::copy_from_slice(blob),
    }
}

async fn blob(client: &mut BlobStoreClient<Door>, key: &str) -> Result<(Vec<u8>, usize), Status> {
    let request = BlobReadRequest {
        key: key.to_owned(),
        options: None,
    };
    let mut messages = client.read(request).await?.into_inner();
    let (mut bytes, mut largest) = (Vec::new(), 0);
    while let Some(message) = messages.message().await? {
        largest = largest.max(message.blob.len());
        bytes.extend_from_slice(&message.blob);
    }
    Ok((bytes, largest))
}

#[tokio::test]
async fn blobs_in_many_messages_of_any_size() {
    let core = Core::start().await;
    let mut client = blobs(core.by(admin("micro")));
    let value: Vec<u8> = (0..300_000_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    // A Go client's way: 1,024 bytes at a time, key and options in each message.
    let options = BlobOptions {
        namespace: "micro".to_owned(),
        content_type: "image/png".to_owned(),
        public: true,
    };
    let chunks = value.chunks(1_024);
    let messages: Vec<_> = chunks
        .map(|bytes| BlobWriteRequest {
            options: Some(options.clone()),
            ..chunk("go", bytes)
        })
        .collect();
    assert_eq!(messages.len(), 293);
    client.write(stream::iter(messages)).await.unwrap();
    assert_eq!(blob(&mut client, "go").await.unwrap().0, value);
    let stored = BlobKey::new("micro", "go");
    let (info, _) = core
        .modules
        .blob()
        .read(&Call::default(), stored)
        .await
        .unwrap();
    assert_eq!(
        (info.meta.content_type.as_str(), info.meta.public),
        ("image/png", true)
    );

    // Key and options first, then bytes alone; and one message of several mebibytes.
    let messages = [chunk("rust", b""), chunk("", &value), chunk("", &value)];
    client.write(stream::iter(messages)).await.unwrap();
    assert_eq!(
        blob(&mut client, "rust").await.unwrap().0,
        [&value[..], &value].concat()
    );
    let large = vec![7; 9 << 20];
    client
        .write(stream::iter([chunk("large", &large)]))
        .await
        .unwrap();
    let (bytes, largest) = blob(&mut client, "large").await.unwrap();
    assert!(
        bytes == large && largest <= 1 << 20,
        "{} in pieces of {largest}",
        bytes.len()
    );
    client
        .write(stream::iter([chunk("empty", b"")]))
        .await
        .unwrap();
    assert_eq!(blob(&mut client, "empty").await.unwrap().0, b"");

    let mut keys = async |prefix: &str| {
        let options = Some(BlobListOptions {
            namespace: String::new(),
            prefix: prefix.to_owned(),
        });
        client
            .list(BlobListRequest { options })
            .await
            .unwrap()
            .into_inner()
            .keys
    };
    assert_eq!(keys("").await, ["empty", "go", "large", "rust"]);
    assert_eq!(keys("r").await, ["rust"]);
    let elsewhere = BlobListOptions {
        namespace: "foo".to_owned(),
        prefix: String::new(),
    };
    let elsewhere = BlobListRequest {
        options: Some(elsewhere),
    };
    assert!(
        client
            .list(elsewhere)
            .await
            .unwrap()
            .into_inner()
            .keys
            .is_empty()
    );
}

#[tokio::test]
async fn blobs_that_make_no_sense() {
    let core = Core::start().await;
    let mut client = blobs(core.by(admin("micro")));
    let id = "store.BlobStore.Write";
    let nothing = client.write(stream::iter([])).await;
    assert_eq!(error(id, nothing), (400, "No blob was sent".to_owned()));
    let no_key = client.write(stream::iter([chunk("", b"x")])).await;
    assert_eq!(error(id, no_key), (400, "Missing key".to_owned()));
    client
        .write(stream::iter([chunk("a", b"old")]))
        .await
        .unwrap();
    let two = client
        .write(stream::iter([chunk("a", b"x"), chunk("b", b"y")]))
        .await;
    let (code, detail) = error(id, two);
    assert!(code == 400 && detail.contains("\"b\""), "{detail}");
    assert_eq!(blob(&mut client, "a").await.unwrap().0, b"old");
    assert_eq!(
        error("store.BlobStore.Read", blob(&mut client, "b").await),
        (404, "Blob not found".to_owned())
    );
    assert_eq!(
        error("store.BlobStore.Read", blob(&mut client, "").await),
        (400, "Missing key".to_owned())
    );
    let delete = |key: &str| BlobDeleteRequest {
        key: key.to_owned(),
        options: None,
    };
    assert_eq!(
        error("store.BlobStore.Delete", client.delete(delete("")).await),
        (400, "Missing key".to_owned())
    );
    client.delete(delete("never")).await.unwrap();
    client.delete(delete("a")).await.unwrap();
    assert_eq!(
        error("store.BlobStore.Read", blob(&mut client, "a").await).0,
        404
    );
}

#[tokio::test]
async fn a_blob_whose_sender_goes_away_is_not_there() {
    let core = Core::start().await;
    let mut client = blobs(core.by(admin("micro")));
    client
        .write(stream::iter([chunk("old", b"old")]))
        .await
        .unwrap();
    for key in ["old", "new"] {
        let messages = stream::iter([chunk(key, b"half")]).chain(stream::pending());
        let writing = tokio::time::timeout(Duration::from_millis(100), client.write(messages));
        assert!(
            writing.await.is_err(),
            "the write ended before its messages"
        );
    }
    assert_eq!(blob(&mut client, "old").await.unwrap().0, b"old");
    assert_eq!(
        error("store.BlobStore.Read", blob(&mut client, "new").await).0,
        404
    );
}
