//! A stock tonic client, generated from the example's proto, through the proxy: unary calls, every
//! kind of stream, reflection and health.

use anyhow::Result;
use futures::StreamExt as _;
use micro_tests::{Server, profile};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::{v1, v1alpha};

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    reason = "generated"
)]
mod pb {
    tonic::include_proto!("helloworld");
}
use pb::{Ping, Request, StreamingRequest, helloworld_client::HelloworldClient};

#[tokio::test]
async fn a_stock_client_calls_helloworld() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    server.login().await;
    server.run_example("helloworld").await.success();
    let channel = Channel::from_shared(format!("http://{}", server.proxy()))?
        .connect()
        .await?;
    let mut client = HelloworldClient::new(channel.clone());

    let answer = client.call(Request { name: "Ada".into() }).await?;
    assert_eq!(answer.into_inner().msg, "Hello Ada");

    let stream = client.stream(StreamingRequest { count: 1000 }).await?;
    let counts: Vec<_> = stream
        .into_inner()
        .map(|message| message.map(|message| message.count))
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    assert_eq!(counts, (0..1000).collect::<Vec<_>>());

    // Each stroke is answered before the next is sent, so neither direction waits for the other's end.
    let (strokes, requests) = mpsc::channel(1);
    let mut pongs = client
        .ping_pong(ReceiverStream::new(requests))
        .await?
        .into_inner();
    for stroke in 1..=5 {
        strokes.send(Ping { stroke }).await?;
        let pong = pongs.message().await?.expect("a pong for each ping");
        assert_eq!(pong.stroke, stroke);
    }
    drop(strokes);
    assert!(
        pongs.message().await?.is_none(),
        "half-close ends the stream"
    );

    let missing = client
        .clone()
        .call(Request {
            name: "x".repeat(300_000),
        })
        .await?;
    assert_eq!(missing.into_inner().msg.len(), "Hello ".len() + 300_000);

    assert!(
        listed_v1(&channel)
            .await?
            .contains(&"helloworld.Helloworld".to_owned())
    );
    let alpha = listed_v1alpha(&channel).await?;
    for name in ["helloworld.Helloworld", "registry.Registry", "store.Store"] {
        assert!(
            alpha.iter().any(|listed| listed == name),
            "{name} in {alpha:?}"
        );
    }

    let mut health = HealthClient::new(channel);
    for service in ["", "helloworld"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let status = health.check(request).await?.into_inner().status;
        assert_eq!(status, 1, "{service:?} is serving");
    }
    let unknown = HealthCheckRequest {
        service: "nosuch".to_owned(),
    };
    let error = health
        .check(unknown)
        .await
        .expect_err("nobody is called so");
    assert_eq!(error.code(), tonic::Code::NotFound);
    assert!(server.stop().await.success());
    Ok(())
}

async fn listed_v1(channel: &Channel) -> Result<Vec<String>> {
    use v1::{
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::once(request))
        .await?;
    let answer = answers.into_inner().message().await?.expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        anyhow::bail!("not a list: {answer:?}");
    };
    Ok(list.service.into_iter().map(|one| one.name).collect())
}

async fn listed_v1alpha(channel: &Channel) -> Result<Vec<String>> {
    use v1alpha::{
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::once(request))
        .await?;
    let answer = answers.into_inner().message().await?.expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        anyhow::bail!("not a list: {answer:?}");
    };
    Ok(list.service.into_iter().map(|one| one.name).collect())
}
