//! gRPC reflection, v1 and v1alpha, over everything that can be called through the door.

mod catalog;
mod files;

pub(crate) use catalog::Catalog;

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt};
use micro_access::Caller;
use micro_wire::metadata::DEFAULT_NAMESPACE;
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb::{
    v1::{
        ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
        ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        server_reflection_server::ServerReflection,
    },
    v1alpha,
};

/// The reflection service of a door.
#[derive(Clone)]
pub(crate) struct Reflection {
    catalog: Arc<Catalog>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Reflection {
    pub(crate) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    /// Answers one question after another.
    fn answers(
        &self,
        namespace: String,
        questions: impl Stream<Item = Result<ServerReflectionRequest, Status>> + Send + 'static,
    ) -> Answers<ServerReflectionResponse> {
        let catalog = self.catalog.clone();
        Box::pin(questions.then(move |question| {
            let (catalog, namespace) = (catalog.clone(), namespace.clone());
            async move { Ok(answer(&catalog, &namespace, question?).await) }
        }))
    }
}

async fn answer(
    catalog: &Catalog,
    namespace: &str,
    question: ServerReflectionRequest,
) -> ServerReflectionResponse {
    let files = |found: Option<Vec<Vec<u8>>>, what: String| match found {
        Some(file_descriptor_proto) => {
            MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                file_descriptor_proto,
            })
        }
        None => refuse(Code::NotFound, format!("{what} is not known")),
    };
    let response = match question.message_request.clone() {
        Some(MessageRequest::ListServices(_)) => {
            let service = catalog.services(namespace);
            MessageResponse::ListServicesResponse(ListServiceResponse {
                service: service
                    .into_iter()
                    .map(|name| ServiceResponse { name })
                    .collect(),
            })
        }
        Some(MessageRequest::FileContainingSymbol(symbol)) => {
            let found = catalog.symbol(namespace, &symbol).await;
            files(found, format!("symbol {symbol}"))
        }
        Some(MessageRequest::FileByFilename(name)) => {
            let found = catalog.file(namespace, &name).await;
            files(found, format!("file {name}"))
        }
        Some(MessageRequest::FileContainingExtension(extension)) => {
            let (of, number) = (extension.containing_type, extension.extension_number);
            let found = catalog.extension(namespace, &of, number).await;
            files(found, format!("extension {number} of {of}"))
        }
        Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
            match catalog.extension_numbers(namespace, &name).await {
                Some(extension_number) => {
                    MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                        base_type_name: name,
                        extension_number,
                    })
                }
                None => refuse(Code::NotFound, format!("message {name} is not known")),
            }
        }
        None => refuse(Code::InvalidArgument, "the request asks for nothing".into()),
    };
    ServerReflectionResponse {
        valid_host: question.host.clone(),
        original_request: Some(question),
        message_response: Some(response),
    }
}

fn refuse(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse {
        error_code: code.into(),
        error_message,
    })
}

fn namespace<T>(request: &Request<T>) -> String {
    let caller = request.extensions().get::<Caller>();
    caller
        .map_or(DEFAULT_NAMESPACE, |caller| &caller.namespace)
        .to_owned()
}

#[tonic::async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let namespace = namespace(&request);
        Ok(Response::new(self.answers(namespace, request.into_inner())))
    }
}

#[tonic::async_trait]
impl v1alpha::server_reflection_server::ServerReflection for Reflection {
    type ServerReflectionInfoStream = Answers<v1alpha::ServerReflectionResponse>;

    async fn server_reflection_info(
        &self,
        request: Request<Streaming<v1alpha::ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let namespace = namespace(&request);
        let questions = request.into_inner().map(|question| transcribe(&question?));
        let answers = self.answers(namespace, questions);
        Ok(Response::new(Box::pin(
            answers.map(|answer| transcribe(&answer?)),
        )))
    }
}

/// The same message in the other version: they differ in nothing but the name of their package.
fn transcribe<A: Message, B: Message + Default>(message: &A) -> Result<B, Status> {
    B::decode(message.encode_to_vec().as_slice()).map_err(|error| {
        Status::internal(format!("cannot transcribe a reflection message: {error}"))
    })
}
