//! What is subscribed to and watched moves along, and a registry keeps what was registered.

use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _};
use micro_modules::Module;
use micro_plugin_api::{
    broker::Message,
    registry::{Change, Filter, Node, Service},
};

use crate::followed::{Followed, call};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_get_every_message_once_and_in_order() {
    const MESSAGES: u32 = 2_000;
    let followed = Followed::start(&[]).await;
    let broker = followed.modules.broker();
    let mut subscribed = broker.subscribe(&call(), "topic", None).await.unwrap();
    let mut sharing = broker
        .subscribe(&call(), "topic", Some("queue"))
        .await
        .unwrap();
    let publisher = tokio::spawn({
        let broker = broker.clone();
        async move {
            for i in 0..MESSAGES {
                let message = Message::new(i.to_string());
                broker.publish(&call(), "topic", message).await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    let reader = tokio::spawn(async move {
        for i in 0..MESSAGES {
            for stream in [&mut subscribed, &mut sharing] {
                let delivery = stream.next().await.unwrap().unwrap();
                assert_eq!(delivery.message.body, i.to_string());
                assert_eq!(delivery.lost, 0);
            }
        }
        (subscribed, sharing)
    });
    for _ in 0..3 {
        followed.rebuild("memory");
        followed
            .reload_well(false, &[Module::Broker, Module::Registry])
            .await;
    }
    publisher.await.unwrap();
    let (mut subscribed, mut sharing) = reader.await.unwrap();
    for stream in [&mut subscribed, &mut sharing] {
        assert!(stream.next().now_or_never().is_none());
    }
    followed.end().await;
}

fn service(version: &str, node: &str) -> Service {
    Service {
        domain: "micro".to_owned(),
        name: "things".to_owned(),
        version: version.to_owned(),
        nodes: vec![Node {
            id: node.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            ..Node::default()
        }],
        ..Service::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_begins_with_what_the_one_before_held() {
    let followed = Followed::start(&[]).await;
    let registry = followed.modules.registry();
    let lasting = service("lasting", "a");
    let passing = service("passing", "b");
    registry.register(&call(), &lasting, None).await.unwrap();
    let ttl = Duration::from_secs(3);
    registry
        .register(&call(), &passing, Some(ttl))
        .await
        .unwrap();
    let mut changes = registry.watch(&call(), &Filter::default()).await.unwrap();
    for expected in [
        Change::Present(lasting.clone()),
        Change::Present(passing.clone()),
        Change::Synced,
    ] {
        assert_eq!(changes.next().await.unwrap().unwrap(), expected);
    }

    followed.rebuild("memory");
    followed
        .reload_well(false, &[Module::Broker, Module::Registry])
        .await;
    let listed = registry.list(&call(), &Filter::default()).await.unwrap();
    // Unless the machine is so slow that its time is over.
    assert_eq!(listed[0], lasting);
    // Nothing has changed, so nothing is told until something does; each node goes when it was to.
    let gone = changes.next().await.unwrap().unwrap();
    assert_eq!(gone, Change::Deleted(passing));
    registry.deregister(&call(), &lasting).await.unwrap();
    let gone = changes.next().await.unwrap().unwrap();
    assert_eq!(gone, Change::Deleted(lasting));
    followed.end().await;
}
