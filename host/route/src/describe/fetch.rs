//! Asking a node for the descriptors of what it serves.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use micro_access::Caller;
use prost::Message;
use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::{FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, ServerReflectionResponse,
        server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha::{self, server_reflection_client::ServerReflectionClient as AlphaClient},
};
use tower::Service;

use crate::{Body, Dispatcher, Route, Target};

/// How long a node has to describe itself.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The most files that a node may describe itself with.
const MOST_FILES: usize = 2_000;

/// The descriptors of a service from one of its nodes, with an alias for every service that is
/// callable under another package than its own: a call is addressed to the registry name.
pub(super) async fn fetch(
    dispatcher: &Arc<Dispatcher>,
    namespace: &str,
    route: &Arc<Route>,
) -> Result<DescriptorPool, Status> {
    let node = NodeChannel {
        dispatcher: dispatcher.clone(),
        target: Arc::new(Target::Route(route.clone())),
        caller: Caller::anonymous(namespace),
    };
    let files = timeout(TIMEOUT, files(node))
        .await
        .map_err(|_| Status::deadline_exceeded("the node did not describe itself in time"))??;
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files.into_values())
        .map_err(|error| Status::internal(format!("the node's descriptors do not fit: {error}")))?;
    add_aliases(&mut pool, route);
    Ok(pool)
}

/// Calls to one service, whatever their path says.
#[derive(Clone)]
struct NodeChannel {
    dispatcher: Arc<Dispatcher>,
    target: Arc<Target>,
    caller: Caller,
}

impl Service<Request<tonic::body::Body>> for NodeChannel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let Self {
            dispatcher,
            target,
            caller,
        } = self.clone();
        Box::pin(async move {
            dispatcher
                .send(&target, caller, request)
                .await
                .map_err(Status::from)
        })
    }
}

/// A conversation with a node's reflection, in whichever version it speaks.
struct Conversation {
    questions: mpsc::Sender<ServerReflectionRequest>,
    answers: Answers,
}

enum Answers {
    V1(Streaming<ServerReflectionResponse>),
    Alpha(Streaming<v1alpha::ServerReflectionResponse>),
}

impl Conversation {
    /// Begins with a question, since a server may answer the call only when it has one.
    async fn begin(
        node: NodeChannel,
        question: MessageRequest,
    ) -> Result<(Self, MessageResponse), Status> {
        let first = ask(question);
        let (questions, receiver) = mpsc::channel(1);
        queue(&questions, first.clone()).await?;
        let opened = ServerReflectionClient::new(node.clone())
            .server_reflection_info(ReceiverStream::new(receiver))
            .await;
        let mut conversation = match opened {
            Ok(response) => Self {
                questions,
                answers: Answers::V1(response.into_inner()),
            },
            Err(status) if status.code() == Code::Unimplemented => {
                let (questions, receiver) = mpsc::channel(1);
                queue(&questions, first).await?;
                let receiver = futures::StreamExt::filter_map(
                    ReceiverStream::new(receiver),
                    |question: ServerReflectionRequest| async move {
                        v1alpha::ServerReflectionRequest::decode(
                            question.encode_to_vec().as_slice(),
                        )
                        .ok()
                    },
                );
                let response = AlphaClient::new(node)
                    .server_reflection_info(receiver)
                    .await?;
                Self {
                    questions,
                    answers: Answers::Alpha(response.into_inner()),
                }
            }
            Err(status) => return Err(status),
        };
        let answer = conversation.answer().await?;
        Ok((conversation, answer))
    }

    async fn ask(&mut self, question: MessageRequest) -> Result<MessageResponse, Status> {
        queue(&self.questions, ask(question)).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<MessageResponse, Status> {
        let answer = match &mut self.answers {
            Answers::V1(stream) => stream.message().await?,
            Answers::Alpha(stream) => stream.message().await?.and_then(|answer| {
                ServerReflectionResponse::decode(answer.encode_to_vec().as_slice()).ok()
            }),
        };
        answer
            .and_then(|answer| answer.message_response)
            .ok_or_else(|| Status::unavailable("the node's reflection gave no answer"))
    }
}

fn ask(question: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    }
}

async fn queue(
    questions: &mpsc::Sender<ServerReflectionRequest>,
    question: ServerReflectionRequest,
) -> Result<(), Status> {
    let sent = questions.send(question).await;
    sent.map_err(|_| Status::unavailable("the node ended the reflection"))
}

/// Every file that the node's services need, by name.
async fn files(node: NodeChannel) -> Result<BTreeMap<String, FileDescriptorProto>, Status> {
    let list = MessageRequest::ListServices(String::new());
    let (mut conversation, answer) = Conversation::begin(node, list).await?;
    let MessageResponse::ListServicesResponse(list) = answer else {
        return Err(Status::unavailable("the node does not list its services"));
    };
    let mut files = BTreeMap::new();
    for service in list.service {
        if service.name.starts_with("grpc.") {
            continue;
        }
        let answer = conversation
            .ask(MessageRequest::FileContainingSymbol(service.name))
            .await?;
        keep(&mut files, answer)?;
    }
    loop {
        let missing = files
            .values()
            .flat_map(|file| &file.dependency)
            .find(|name| !files.contains_key(*name))
            .cloned();
        let Some(name) = missing else {
            return Ok(files);
        };
        let answer = conversation
            .ask(MessageRequest::FileByFilename(name.clone()))
            .await?;
        keep(&mut files, answer)?;
        if !files.contains_key(&name) {
            return Err(Status::not_found(format!(
                "the node does not know its own import {name}"
            )));
        }
    }
}

fn keep(
    files: &mut BTreeMap<String, FileDescriptorProto>,
    answer: MessageResponse,
) -> Result<(), Status> {
    let MessageResponse::FileDescriptorResponse(found) = answer else {
        // A service that is listed without a description cannot be described here either.
        return Ok(());
    };
    for encoded in found.file_descriptor_proto {
        let file = FileDescriptorProto::decode(encoded.as_slice())
            .map_err(|error| Status::internal(format!("undecodable descriptor: {error}")))?;
        files.insert(file.name().to_owned(), file);
    }
    if files.len() > MOST_FILES {
        return Err(Status::resource_exhausted(
            "the node describes itself with too many files",
        ));
    }
    Ok(())
}

/// Where the files of aliases are.
const ALIASES: &str = "micro/alias/";

/// Whether a file was added here, to make a service known by another name.
pub(super) fn is_alias(file: &FileDescriptor) -> bool {
    file.name().starts_with(ALIASES)
}

/// Adds, for every handler in the registry record whose `name.Handler` is not described, the
/// service of that last name, as a file of its own in package `name`.
fn add_aliases(pool: &mut DescriptorPool, route: &Route) {
    let package = route.name();
    let mut handlers: Vec<&str> = route
        .endpoints()
        .filter_map(|endpoint| endpoint.name.split_once('.'))
        .map(|(handler, _)| handler)
        .collect();
    handlers.sort_unstable();
    handlers.dedup();
    for handler in handlers {
        if pool
            .get_service_by_name(&format!("{package}.{handler}"))
            .is_some()
        {
            continue;
        }
        let mut services = pool.services();
        let Some(service) = services.find(|service| service.name() == handler) else {
            continue;
        };
        let mut imports: Vec<String> = service
            .methods()
            .flat_map(|method| [method.input(), method.output()])
            .map(|message| message.parent_file().name().to_owned())
            .collect();
        imports.sort_unstable();
        imports.dedup();
        let methods = service.methods().map(|method| MethodDescriptorProto {
            input_type: Some(format!(".{}", method.input().full_name())),
            output_type: Some(format!(".{}", method.output().full_name())),
            options: None,
            ..method.method_descriptor_proto().clone()
        });
        let alias = FileDescriptorProto {
            name: Some(format!("{ALIASES}{package}.{handler}.proto")),
            package: Some(package.to_owned()),
            dependency: imports,
            service: vec![ServiceDescriptorProto {
                name: Some(handler.to_owned()),
                method: methods.collect(),
                options: None,
            }],
            syntax: Some("proto3".to_owned()),
            ..FileDescriptorProto::default()
        };
        drop(services);
        if let Err(error) = pool.add_file_descriptor_proto(alias) {
            tracing::debug!(
                service = package,
                handler,
                "no alias in reflection: {error}"
            );
        }
    }
}
