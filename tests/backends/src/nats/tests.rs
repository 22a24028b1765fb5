//! A nats-server goes down and comes back, and is what it was asked to be.

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::Nats;

/// What a server greets with, and answers to a client that logs in like this.
async fn greet(nats: &Nats, login: &str) -> Option<(String, String)> {
    let (_, address) = nats.url().split_once("://").unwrap();
    let stream = TcpStream::connect(address).await.ok()?;
    let mut stream = BufReader::new(stream);
    let (mut info, mut answer) = (String::new(), String::new());
    stream.read_line(&mut info).await.ok()?;
    let connect = format!("CONNECT {login}\r\nPING\r\n");
    stream.write_all(connect.as_bytes()).await.ok()?;
    stream.read_line(&mut answer).await.ok()?;
    Some((info, answer))
}

const NOBODY: &str = r#"{"verbose":false}"#;

#[tokio::test]
async fn it_comes_back_on_its_port() {
    let mut nats = Nats::start().await;
    let (info, answer) = greet(&nats, NOBODY).await.unwrap();
    assert!(info.contains("\"jetstream\":true"), "{info}");
    assert_eq!(answer.trim(), "PONG");
    nats.kill();
    assert!(greet(&nats, NOBODY).await.is_none());
    nats.restart().await;
    assert_eq!(greet(&nats, NOBODY).await.unwrap().1.trim(), "PONG");
}

#[tokio::test]
async fn it_does_without_jetstream() {
    let nats = Nats::builder().without_jetstream().start().await;
    let (info, _) = greet(&nats, NOBODY).await.unwrap();
    assert!(!info.contains("\"jetstream\":true"), "{info}");
}

#[tokio::test]
async fn it_asks_for_a_password_or_a_token() {
    let nats = Nats::builder().password("me", "secret").start().await;
    let (_, answer) = greet(&nats, NOBODY).await.unwrap();
    assert!(answer.contains("Authorization Violation"), "{answer}");
    let login = r#"{"verbose":false,"user":"me","pass":"secret"}"#;
    assert_eq!(greet(&nats, login).await.unwrap().1.trim(), "PONG");

    let nats = Nats::builder().token("secret").start().await;
    let (_, answer) = greet(&nats, NOBODY).await.unwrap();
    assert!(answer.contains("Authorization Violation"), "{answer}");
    let login = r#"{"verbose":false,"auth_token":"secret"}"#;
    assert_eq!(greet(&nats, login).await.unwrap().1.trim(), "PONG");
}
