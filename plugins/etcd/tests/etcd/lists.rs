//! Lists of large values, and of what others have put among ours.

use etcd_client::Client;
use micro_plugin_api::{
    Bytes, Call, Code,
    store::{Fields, ListQuery, Order, Put},
};
use micro_test_backends::Etcd;

use crate::common::{TABLE, open_store, put, read, settings, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_bounded_in_bytes_and_a_walk_is_whole() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    let large = Put {
        value: Bytes::from(vec![7; 1 << 20]),
        ..Put::default()
    };
    let mut keys: Vec<_> = (0..20).map(|i| format!("k{i:02}")).collect();
    for key in &keys {
        put(&store, key, large.clone()).await.expect("a commit");
    }
    for order in [Order::Ascending, Order::Descending] {
        for (suffix, fields) in [("", Fields::All), ("", Fields::Keys), ("1", Fields::All)] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let query = ListQuery {
                    suffix,
                    order,
                    fields,
                    cursor: cursor.as_ref(),
                    ..ListQuery::default()
                };
                let page = store.list(&Call::default(), TABLE, &query).await;
                let page = page.expect("a page");
                let bytes: usize = page.records.iter().map(|record| record.value.len()).sum();
                assert!(bytes <= 16 << 20, "a page of {bytes} bytes");
                seen.extend(page.records.into_iter().map(|record| record.key));
                match page.next {
                    Some(next) => cursor = Some(next),
                    None => break,
                }
            }
            let wanted: Vec<_> = keys.iter().filter(|key| key.ends_with(suffix)).collect();
            assert_eq!(seen.iter().collect::<Vec<_>>(), wanted);
        }
        keys.reverse();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_record_is_named() {
    let settings = settings(Etcd::shared().await.endpoint());
    let store = open_store(&settings).await;
    put(&store, "k", text("v")).await.expect("a commit");
    let mut etcd = Client::connect(&settings.endpoints, None)
        .await
        .expect("etcd");
    let place = format!("{}/store/database/table/k", settings.prefix);
    let mut stored = etcd.get(place.as_str(), None).await.expect("an answer");
    let (_, mut value) = stored.take_kvs().remove(0).into_key_value();
    *value.last_mut().expect("a value") ^= 1;
    etcd.put(place, value, None).await.expect("put");
    let listed = store
        .list(&Call::default(), TABLE, &ListQuery::default())
        .await;
    for error in [read(&store, "k").await.map(drop), listed.map(drop)] {
        let error = error.expect_err("damaged");
        assert_eq!(error.code(), Code::INTERNAL);
        assert!(error.message().contains("\"k\""), "{error}");
    }
}
