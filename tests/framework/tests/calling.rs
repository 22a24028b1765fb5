//! The client: what travels along, what is asked again, and how calls end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use futures::stream;
use micro::{CallOptions, Client, Error, client::Encoding};
use micro_framework_tests::{
    Handler,
    proto::{self, Message, kinds_client::KindsClient, kinds_server::KindsServer},
    wait::until,
};
use serde_json::json;

fn message(text: &str, number: i64) -> Message {
    Message {
        text: text.to_owned(),
        number,
    }
}

#[tokio::test]
async fn what_a_caller_sent_goes_on_with_the_calls_of_the_handler() {
    let next = Handler::default().serve().await;
    let client = Handler {
        next: Some(next),
        ..Handler::default()
    }
    .serve()
    .await;
    let relay = async |key: &str, options: CallOptions| {
        let request = json!({"text": format!("relay:context:{key}")});
        let answer = client
            .call_json_with("kinds", "Kinds.One", &request, options)
            .await
            .unwrap();
        answer["text"].as_str().unwrap().to_owned()
    };
    let options = || {
        let options = CallOptions::new()
            .namespace("foo")
            .metadata("Foobar", "1")
            .unwrap();
        options.metadata("Authorization", "Bearer mine").unwrap()
    };
    assert_eq!(relay("foobar", options()).await, "1");
    assert_eq!(relay("micro-namespace", options()).await, "foo");
    assert_eq!(relay("authorization", options()).await, "Bearer mine");
    assert_eq!(relay("authorization", CallOptions::new()).await, "none");
    let trace = CallOptions::new().metadata("micro-trace-id", "t1").unwrap();
    assert_eq!(relay("micro-trace-id", trace).await, "t1");
    // The deadline travels as what is left of it.
    let timeout = relay(
        "timeout",
        CallOptions::new().timeout(Duration::from_secs(3)),
    )
    .await;
    assert!(
        (1..3_000_000_000_u64).contains(&timeout.parse().unwrap()),
        "{timeout}"
    );
}

#[tokio::test]
async fn answers_of_500_and_408_are_asked_for_again() {
    for (text, number, options, calls, code) in [
        ("fail:500", 1, CallOptions::new(), 2, 200),
        ("fail:408", 1, CallOptions::new(), 2, 200),
        ("fail:500", 2, CallOptions::new(), 2, 500),
        ("fail:500", 2, CallOptions::new().retries(2), 3, 200),
        ("fail:500", 1, CallOptions::new().retries(0), 1, 500),
        ("fail:400", 1, CallOptions::new(), 1, 400),
        ("fail:503", 1, CallOptions::new(), 1, 503),
    ] {
        let handler = Handler::default();
        let counted = handler.calls.clone();
        let client = handler.serve().await;
        // With generated code, and without.
        for round in 0..2 {
            counted.store(0, SeqCst);
            let answer = if round == 0 {
                let mut kinds = KindsClient::new(client.service_with("kinds", options.clone()));
                let answer = kinds.one(message(text, number)).await;
                answer
                    .map(|answer| answer.into_inner().number)
                    .map_err(Error::from)
            } else {
                let request = json!({"text": text, "number": number});
                let options = options.clone();
                let answer = client
                    .call_json_with("kinds", "Kinds.One", &request, options)
                    .await;
                answer.map(|answer| answer["number"].as_str().unwrap().parse().unwrap())
            };
            match answer {
                Ok(n) => assert_eq!((n, 200), (number, code), "{text}"),
                Err(error) => assert_eq!(error.code, code, "{text} {error}"),
            }
            assert_eq!(counted.load(SeqCst), calls, "{text}");
        }
    }
}

#[tokio::test]
async fn a_budget_limits_how_much_is_asked_again() {
    let handler = Handler::default();
    let counted = handler.calls.clone();
    let client = handler.serve().await;
    let calls = (0..60).map(|_| async {
        let request = json!({"text": "fail:500"});
        client
            .call_json("kinds", "Kinds.One", &request)
            .await
            .unwrap_err()
    });
    futures::future::join_all(calls).await;
    let calls = counted.load(SeqCst);
    assert!((70..=76).contains(&calls), "{calls}");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder()
        .address(address.to_string())
        .build()
        .unwrap();
    for error in [
        client.connect().await.unwrap_err(),
        client
            .call_json("kinds", "Kinds.One", &json!({}))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code, 503);
        assert!(
            error
                .detail
                .starts_with(&format!("cannot connect to {address}: ")),
            "{error}"
        );
    }
    // And the same client connects once somebody is.
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let service = micro::Service::new("kinds")
        .handler(KindsServer::new(Handler::default()), proto::DESCRIPTORS);
    tokio::spawn(service.serve_on(listener));
    assert!(
        client
            .call_json("kinds", "Kinds.One", &json!({}))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_call() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let handler = Handler::default();
    let calls = handler.calls.clone();
    let client = handler.serve().await;
    // The requests of a stream are dropped with the call.
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(dropped.clone());
    let requests = stream::once(async move {
        let _guard = guard;
        std::future::pending().await
    });
    let both = client.stream(
        "kinds",
        "Kinds.Both",
        Encoding::Json,
        requests,
        CallOptions::new(),
    );
    drop(both.await.unwrap());
    until("the requests are dropped", || dropped.load(SeqCst)).await;

    let never = json!({"text": "never"});
    let call = client.call_json("kinds", "Kinds.One", &never);
    tokio::select! {
        answer = call => panic!("{answer:?}"),
        () = until("it is called", || calls.load(SeqCst) == 1) => {}
    }
    assert!(
        client
            .call_json("kinds", "Kinds.One", &json!({}))
            .await
            .is_ok()
    );
}
