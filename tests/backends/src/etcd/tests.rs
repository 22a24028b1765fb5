//! An etcd goes down and comes back with what it had, and asks for a password when it is to.

use serde_json::{Value, json};

use super::Etcd;
use crate::http::{Answer, ask};

fn port(etcd: &Etcd) -> u16 {
    let (_, port) = etcd.endpoint().rsplit_once(':').unwrap();
    port.parse().unwrap()
}

/// One of etcd's own calls; `a2V5` is `key`, `dmFsdWU=` is `value`.
async fn call(etcd: &Etcd, method: &str, body: Value) -> Option<Answer> {
    let path = format!("/v3/kv/{method}");
    ask(port(etcd), "POST", &path, &body.to_string()).await
}

#[tokio::test]
async fn it_comes_back_on_its_port_with_its_data() {
    let mut etcd = Etcd::start().await;
    let put = call(&etcd, "put", json!({"key": "a2V5", "value": "dmFsdWU="})).await;
    assert_eq!(put.unwrap().status, 200);

    etcd.kill();
    assert!(call(&etcd, "range", json!({"key": "a2V5"})).await.is_none());
    etcd.restart().await;
    let range = call(&etcd, "range", json!({"key": "a2V5"})).await.unwrap();
    assert!(range.body.contains("dmFsdWU="), "{}", range.body);
}

#[tokio::test]
async fn it_answers_nothing_while_it_is_paused() {
    let mut etcd = Etcd::start().await;
    etcd.pause();
    let mut asked = Box::pin(call(&etcd, "range", json!({"key": "a2V5"})));
    // Not a wait: a paused server is one that does not answer for a while.
    let pause = tokio::time::sleep(std::time::Duration::from_millis(200));
    tokio::select! {
        _ = &mut asked => panic!("a paused server answers nothing"),
        () = pause => {}
    }
    drop(asked);
    etcd.resume();
    let range = call(&etcd, "range", json!({"key": "a2V5"})).await.unwrap();
    assert_eq!(range.status, 200);
}

#[tokio::test]
async fn it_asks_for_a_password() {
    let etcd = Etcd::builder().root_password("secret").start().await;
    let refused = call(&etcd, "range", json!({"key": "a2V5"})).await.unwrap();
    assert_ne!(refused.status, 200);

    let login = json!({"name": "root", "password": "secret"}).to_string();
    let answer = ask(port(&etcd), "POST", "/v3/auth/authenticate", &login).await;
    let answer = answer.unwrap();
    assert!(answer.body.contains("token"), "{}", answer.body);
}

#[tokio::test]
async fn the_shared_one_is_the_same_for_everybody() {
    let (one, other) = tokio::join!(Etcd::shared(), Etcd::shared());
    assert_eq!(one.endpoint(), other.endpoint());
    assert!(call(one, "range", json!({"key": "a2V5"})).await.is_some());
}
