//! A service with every kind of call, and a platform of the two services that a framework needs.

#![allow(clippy::unwrap_used, reason = "this crate is for tests")]

pub mod platform;
pub mod wait;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst},
};

use futures::{StreamExt as _, stream};
use micro::{Client, Context, Error, Request, Response, ResponseStream, Status, Streaming};

/// What the build script generated.
#[allow(missing_docs, unused_qualifications, reason = "generated")]
pub mod proto {
    micro::include_proto!("kinds");
}

use proto::{
    Message,
    kinds_client::KindsClient,
    kinds_server::{Kinds, KindsServer},
};

/// The handler.
#[derive(Clone, Default)]
pub struct Handler {
    /// How often `One` was called.
    pub calls: Arc<AtomicUsize>,
    /// Where `relay` goes.
    pub next: Option<Client>,
}

impl Handler {
    /// A client that calls a service of this handler, served on a free port for as long as the test's
    /// runtime lives, directly.
    pub async fn serve(self) -> Client {
        Client::builder()
            .address(self.listen().await.to_string())
            .build()
            .unwrap()
    }

    /// As [`Handler::serve`], but the address.
    pub async fn listen(self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service =
            micro::Service::new("kinds").handler(KindsServer::new(self), proto::DESCRIPTORS);
        tokio::spawn(async move { service.serve_on(listener).await.unwrap() });
        address
    }
}

#[micro::async_trait]
impl Kinds for Handler {
    async fn one(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        let call = self.calls.fetch_add(1, SeqCst) + 1;
        let Message { text, number } = request.into_inner();
        let (what, of) = text.split_once(':').unwrap_or((&text, ""));
        let answer = match what {
            "panic" => panic!("boom 100%"),
            "never" => std::future::pending().await,
            // Fails with a code until it was called `number` times.
            "fail" if number == 0 || i64::try_from(call).unwrap() <= number => {
                return Err(Error::new("kinds", of.parse().unwrap(), "as told").into());
            }
            "plain" => return Err(Status::unknown("as told")),
            // What the handler knows of the metadata.
            "context" => Context::current()
                .unwrap()
                .get(of)
                .unwrap_or("none")
                .to_owned(),
            "relay" => {
                let mut next = KindsClient::new(self.next.clone().unwrap().service("next"));
                next.one(Message {
                    text: of.to_owned(),
                    number,
                })
                .await?
                .into_inner()
                .text
            }
            _ => text,
        };
        Ok(Response::new(Message {
            text: answer,
            number,
        }))
    }

    type DownStream = ResponseStream<Message>;

    async fn down(&self, request: Request<Message>) -> Result<Response<Self::DownStream>, Status> {
        let Message { text, number } = request.into_inner();
        let count = (0..number).map(move |n| {
            assert!(text != "panic" || n < 2, "boom at {n}");
            Ok(Message {
                text: text.clone(),
                number: n,
            })
        });
        Ok(Response::new(Box::pin(stream::iter(count))))
    }

    async fn up(&self, request: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        let mut messages = request.into_inner();
        let mut sum = Message::default();
        while let Some(message) = messages.message().await? {
            sum.text += &message.text;
            sum.number += message.number;
        }
        Ok(Response::new(sum))
    }

    type BothStream = ResponseStream<Message>;

    async fn both(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Self::BothStream>, Status> {
        Ok(Response::new(request.into_inner().boxed()))
    }
}
