//! Events on the real server: JSON through the gateway, gRPC through the proxy, groups and
//! acknowledgements, replay and history.

use std::time::{Duration, SystemTime};

use http::Request;
use micro::{
    Client, Error,
    events::{ConsumeOptions, Consumer, Event, Events, History, NewEvent},
};
use micro_tests::{Answer, PATIENCE, Server, fetch, profile};

/// POST to the gateway as the account that the command lines are logged in as.
async fn post(server: &Server, path: &str, json: &str) -> Answer {
    let token = server.micro(["user", "token"]).await.success();
    let request = Request::post(format!("http://{}{path}", server.api()))
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", token.trim()))
        .body(json.to_owned())
        .expect("a request");
    fetch(request).await.expect("an answer")
}

fn events(server: &Server) -> Events {
    Client::builder()
        .address(server.proxy().to_string())
        .account("admin", "micro")
        .build()
        .expect("a client")
        .events()
}

async fn next(consumer: &mut Consumer) -> Event {
    let next = tokio::time::timeout(PATIENCE, consumer.next()).await;
    let event = next.expect("an event in time").expect("no end");
    event.expect("an event")
}

fn number(event: &Event) -> u32 {
    event.unmarshal().expect("a number")
}

fn numbers(topic: &str, numbers: std::ops::Range<u32>) -> Vec<NewEvent> {
    let event = |number| NewEvent::new(topic, &number).expect("an event");
    numbers.map(event).collect()
}

#[tokio::test]
async fn what_http_publishes_grpc_consumes_and_the_other_way_round() {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    let events = events(&server);
    let mut consumer = events.consume("t", ConsumeOptions::new()).await.unwrap();
    let body = r#"{"topic":"t","payload":"NDI=","metadata":{"from":"http"}}"#;
    let answer = post(&server, "/events/publish", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.json().unwrap()["id"].as_str().unwrap().to_owned();
    let event = next(&mut consumer).await;
    assert_eq!(
        (number(&event), event.metadata["from"].as_str()),
        (42, "http")
    );
    assert_eq!(event.id, id);

    let published = NewEvent::new("t", &43)
        .unwrap()
        .timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    let second = events.publish_event(published).await.unwrap();
    for path in ["/events/read", "/events/Store/Read"] {
        let read = post(&server, path, r#"{"topic":"t"}"#)
            .await
            .json()
            .unwrap();
        assert_eq!(read["events"][0]["id"], id.as_str(), "{path}");
        assert_eq!(read["events"][1]["id"], second.as_str());
        assert_eq!(read["events"][1]["payload"], "NDM=");
        assert_eq!(read["events"][1]["timestamp"], "1600000000");
    }
    let anonymous = server.post("/events/publish", body).await;
    assert_eq!(anonymous.status, 401);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn groups_share_and_what_is_refused_comes_again() {
    let server = Server::start(&profile()).await;
    let events = events(&server);
    let workers = || {
        ConsumeOptions::new()
            .group("workers")
            .manual_ack(Duration::from_secs(600))
            .retry_limit(5)
    };
    let mut one = events.consume("t", workers()).await.unwrap();
    let mut other = events.consume("t", workers()).await.unwrap();
    let mut all = events.consume("t", ConsumeOptions::new()).await.unwrap();
    events.publish_batch(numbers("t", 0..100)).await.unwrap();
    // Each takes what it is given, refuses every tenth once, and acknowledges the rest.
    let mut done = Vec::new();
    while done.len() < 100 {
        let next = async {
            tokio::select! {
                event = one.next() => (event, true),
                event = other.next() => (event, false),
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await;
        let (event, of_one) = next.expect("an event in time");
        let consumer = if of_one { &mut one } else { &mut other };
        let event = event.expect("no end").expect("an event");
        if number(&event).is_multiple_of(10) && event.attempt == 1 {
            consumer.nack(&event);
        } else {
            consumer.ack(&event);
            done.push(number(&event));
        }
    }
    done.sort_unstable();
    assert_eq!(done, (0..100).collect::<Vec<_>>());
    for wanted in 0..100 {
        assert_eq!(number(&next(&mut all).await), wanted);
    }
}

#[tokio::test]
async fn the_past_is_replayed_and_read_in_parts() {
    let server = Server::start(&profile()).await;
    let events = events(&server);
    let begun = SystemTime::now();
    events.publish_batch(numbers("t", 0..300)).await.unwrap();
    let read = async |history| {
        let read = events.read("t", history).await?;
        Ok::<_, Error>(read.iter().map(number).collect::<Vec<_>>())
    };
    assert_eq!(read(History::new()).await.unwrap(), Vec::from_iter(0..250));
    let part = History::new().limit(5).offset(290);
    assert_eq!(read(part).await.unwrap(), Vec::from_iter(290..295));
    let replay = ConsumeOptions::new().offset(begun - Duration::from_secs(1));
    let mut replayed = events.consume("t", replay).await.unwrap();
    for wanted in 0..300 {
        assert_eq!(number(&next(&mut replayed).await), wanted);
    }
}
