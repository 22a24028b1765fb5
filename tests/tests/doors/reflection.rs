//! Reflection and health at the gRPC door.

use futures::stream;
use micro_tests::{PATIENCE, wait_for};
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::time::timeout;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use crate::{
    node::nobody,
    platform::Platform,
    service::{endpoints, helloworld},
    streams::Channel,
};

async fn ask(channel: &Channel, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let mut answers = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = timeout(PATIENCE, answers.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        answers.message().await.unwrap().is_none(),
        "one answer for one question"
    );
    answer.message_response.unwrap()
}

async fn names(channel: &Channel) -> Vec<String> {
    match ask(channel, MessageRequest::ListServices(String::new())).await {
        MessageResponse::ListServicesResponse(list) => list
            .service
            .into_iter()
            .map(|service| service.name)
            .collect(),
        other => panic!("{other:?}"),
    }
}

async fn files(channel: &Channel, question: MessageRequest) -> Vec<FileDescriptorProto> {
    match ask(channel, question).await {
        MessageResponse::FileDescriptorResponse(files) => files
            .file_descriptor_proto
            .iter()
            .map(|file| FileDescriptorProto::decode(file.as_slice()).unwrap())
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn everything_callable_is_described() {
    let platform = Platform::start().await;
    platform
        .register_with("helloworld", &[helloworld(false).await], endpoints())
        .await;
    platform
        .register_with("renamed", &[helloworld(true).await], endpoints())
        .await;
    platform
        .register_with("dead", &[nobody().await], endpoints())
        .await;
    let door = platform.proxy().await;
    let channel = Channel::connect(door.address).await;
    wait_for("the registry's watch", || async {
        platform.routes.get("micro", "dead")
    })
    .await;

    let names = names(&channel).await;
    for name in [
        "helloworld.Helloworld",
        "renamed.Helloworld",
        "dead.Helloworld",
        "store.Store",
        "store.BlobStore",
        "auth.Auth",
        "registry.Registry",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }
    assert!(
        !names.iter().any(|name| name == "router.Router"),
        "what is not served is not listed"
    );

    for symbol in [
        "helloworld.Helloworld",
        "helloworld.Helloworld.Call",
        "helloworld.Hello",
        "helloworld.Hello.name",
        "store.Store",
        "store.Record.key",
        "grpc.health.v1.Health",
    ] {
        let found = files(
            &channel,
            MessageRequest::FileContainingSymbol(symbol.into()),
        )
        .await;
        let package = found[0].package();
        assert!(symbol.starts_with(package), "{symbol}: {package}");
    }
    let alias = MessageRequest::FileContainingSymbol("renamed.Helloworld".into());
    let found = files(&channel, alias).await;
    assert_eq!(found[0].package(), "renamed");
    assert_eq!(found[0].service[0].name(), "Helloworld");
    assert_eq!(
        found[0].service[0].method[0].input_type(),
        ".helloworld.Hello"
    );
    assert!(
        found.iter().any(|file| file.name() == "helloworld.proto"),
        "with its imports"
    );
    let by_name = MessageRequest::FileByFilename("helloworld.proto".into());
    assert_eq!(files(&channel, by_name).await[0].name(), "helloworld.proto");

    for question in [
        MessageRequest::FileContainingSymbol("dead.Helloworld".into()),
        MessageRequest::FileContainingSymbol("no.such.Symbol".into()),
        MessageRequest::FileByFilename("nosuch.proto".into()),
        MessageRequest::AllExtensionNumbersOfType("no.such.Message".into()),
    ] {
        match ask(&channel, question.clone()).await {
            MessageResponse::ErrorResponse(error) => assert_eq!(error.error_code, 5),
            other => panic!("{question:?}: {other:?}"),
        }
    }

    let request = v1alpha::ServerReflectionRequest {
        host: "h".into(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut answers =
        v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone())
            .server_reflection_info(stream::iter([request.clone()]))
            .await
            .unwrap()
            .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answer.original_request, Some(request));
    match answer.message_response.unwrap() {
        v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            let alpha: Vec<_> = list
                .service
                .into_iter()
                .map(|service| service.name)
                .collect();
            assert_eq!(alpha, names);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn health_of_the_server_and_of_services() {
    let platform = Platform::start().await;
    platform
        .register("helloworld", &[helloworld(false).await])
        .await;
    let door = platform.proxy().await;
    let channel = Channel::connect(door.address).await;
    let mut health = HealthClient::new(channel.clone());
    let of = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    for name in [
        "",
        "helloworld",
        "helloworld.Helloworld",
        "store",
        "store.BlobStore",
    ] {
        let answer = health.check(of(name)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
    let unknown = health.check(of("nosuch")).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);

    let mut watch = health.watch(of("later")).await.unwrap().into_inner();
    let first = timeout(PATIENCE, watch.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(first.status(), ServingStatus::ServiceUnknown);
    platform.register("later", &[nobody().await]).await;
    let second = timeout(PATIENCE, watch.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(second.status(), ServingStatus::Serving);
}
