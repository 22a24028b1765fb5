//! What one server is told, the other knows.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use micro::{
    auth::NewAccount,
    broker::Message,
    events::{ConsumeOptions, Consumer, NewEvent},
};
use micro_tests::{PATIENCE, Running, program, wait_for};
use tokio::{sync::Mutex, time::timeout};

use crate::platform::{Platform, answers, client, is_alive};

#[tokio::test(flavor = "multi_thread")]
async fn of_accounts_that_race_one_is_made_and_holds_at_both() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;
    let clients = [client(&one), client(&two)];
    let jane = || NewAccount {
        id: "jane".to_owned(),
        secret: "s3cret".to_owned(),
        ..NewAccount::default()
    };
    let made = join_all((0..8).map(|n| {
        let auth = clients[n % 2].auth();
        async move { auth.generate(jane()).await }
    }))
    .await;
    let refused: Vec<_> = made.iter().filter_map(|made| made.as_ref().err()).collect();
    assert_eq!(refused.len(), 7, "{made:?}");
    for error in refused {
        assert_eq!(error.code, 400, "{error:?}");
        assert!(error.detail.contains("already exists"), "{error:?}");
    }

    // A token of one is good at the other, until its account goes.
    let hour = Duration::from_secs(3600);
    let token = clients[0].auth().token("jane", "s3cret", hour).await;
    let token = token.unwrap().access_token;
    for client in &clients {
        let account = client.auth().inspect(&token).await.unwrap();
        assert_eq!(account.id, "jane");
    }
    clients[1].auth().delete_account("jane").await.unwrap();
    wait_for("the token to be worth nothing", || async {
        clients[0].auth().inspect(&token).await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_and_configuration_hold_at_both() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;
    let is_closed = || async { two.get("/registry/listServices").await.status == 401 };
    assert!(!is_closed().await);
    let rule = [
        "auth",
        "create",
        "rule",
        "--access=denied",
        "--priority=100",
        "--resource=service:registry:*",
        "closed",
    ];
    one.micro(rule).await.success();
    wait_for("the rule", || async { is_closed().await.then_some(()) }).await;
    let delete = ["auth", "delete", "rule", "closed"];
    two.micro(delete).await.success();
    wait_for("the rule to go", || async {
        (!is_closed().await).then_some(())
    })
    .await;

    // No value of those that both set at once is lost.
    let clients = [client(&one), client(&two)];
    let sets = (0..24).map(|n| {
        let config = clients[n % 2].config();
        async move { config.set(format!("n.v{n}"), n).await }
    });
    for set in join_all(sets).await {
        set.unwrap();
    }
    for client in &clients {
        let values = client.config().get("n").await.unwrap();
        assert_eq!(values.json().as_object().unwrap().len(), 24, "{values:?}");
    }
}

/// The number in the next event, and the how manieth time it is handed out.
async fn next(consumer: &mut Consumer) -> (u32, u32) {
    let event = timeout(PATIENCE, consumer.next()).await.unwrap();
    let event = event.unwrap().unwrap();
    (event.unmarshal().unwrap(), event.attempt)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_cross_and_a_group_shares_its_events() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;
    let clients = [client(&one), client(&two)];
    for (from, to) in [(0, 1), (1, 0)] {
        let topic = format!("words-{from}");
        let heard = clients[to].broker().subscribe(&topic).await.unwrap();
        let heard = Mutex::new(heard);
        // Nobody says when a subscription is known everywhere: a broker delivers at most once.
        let message = wait_for("a message to cross", || async {
            let broker = clients[from].broker();
            broker.publish(&topic, Message::new("hi")).await.unwrap();
            let mut heard = heard.lock().await;
            timeout(Duration::from_millis(200), heard.next()).await.ok()
        })
        .await;
        assert_eq!(message.body, "hi");
    }

    let mut members = Vec::new();
    for client in &clients {
        let group = ConsumeOptions::new().group("g");
        members.push(client.events().consume("numbers", group).await.unwrap());
    }
    let event = |number| NewEvent::new("numbers", &number).unwrap();
    let events: Vec<NewEvent> = (0_u32..40).map(event).collect();
    let published = clients[0].events().publish_batch(events).await.unwrap();
    assert_eq!(published.len(), 40);
    let [first, second] = &mut members[..] else {
        panic!("two members");
    };
    let mut seen = BTreeSet::new();
    while seen.len() < 40 {
        let (number, attempt) = tokio::select! {
            event = next(first) => event,
            event = next(second) => event,
        };
        // What was not acknowledged in time may come again, and then says so.
        assert!(seen.insert(number) || attempt > 1, "{number} came twice");
    }
    assert_eq!(seen, (0..40).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_one_is_called_and_managed_through_the_other() {
    let platform = Platform::new();
    let (one, two) = platform.two_servers().await;

    // One that somebody started by hand, and that registered itself.
    let mut outsider = one.client_program(&program("micro-test-service"), &[]);
    outsider.env("MICRO_SERVICE_NAME", "outsider");
    outsider.env("MICRO_SERVICE_ADDRESS", "127.0.0.1:0");
    let _outsider = Running::spawn(&mut outsider);
    answers(&two, "outsider").await;

    // One that both are asked to run at once.
    let source = platform.source();
    let (ran, also_ran) = tokio::join!(
        one.run_source([source.clone()]),
        two.run_source([source.clone()])
    );
    let (owner, other, refused) = match ran.code {
        Some(0) => (&one, &two, also_ran),
        _ => (&two, &one, ran),
    };
    assert_ne!(refused.code, Some(0), "both ran it");
    let told = refused.stderr.contains("hello@latest is ") && refused.stderr.contains(" already");
    assert!(told, "{refused:?}");
    answers(&one, "hello").await;
    answers(&two, "hello").await;
    let [pid] = platform.pids()[..] else {
        panic!("{:?}", platform.pids());
    };
    for server in [owner, other] {
        let status = server.micro(["status"]).await.success();
        assert!(status.contains("running"), "{status}");
        let logs = server.micro(["logs", "hello"]).await.success();
        assert!(logs.contains("begun"), "{logs}");
    }
    other.micro(["kill", "hello"]).await.success();
    assert!(!is_alive(pid));
    assert_eq!(owner.micro(["status"]).await.success(), "");
    assert_eq!(platform.pids(), [pid]);
}
