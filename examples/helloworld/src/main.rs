//! The smallest service that shows every kind of call but one: unary, server stream, both ways.

use micro::{
    Request, Response, ResponseStream, Status, Streaming, futures::StreamExt, futures::stream,
};

mod proto {
    micro::include_proto!("helloworld");
}

use proto::{
    Ping, Pong, StreamingRequest, StreamingResponse,
    helloworld_server::{Helloworld, HelloworldServer},
};

struct Greeter;

#[micro::async_trait]
impl Helloworld for Greeter {
    async fn call(
        &self,
        request: Request<proto::Request>,
    ) -> Result<Response<proto::Response>, Status> {
        let msg = format!("Hello {}", request.into_inner().name);
        Ok(Response::new(proto::Response { msg }))
    }

    type StreamStream = ResponseStream<StreamingResponse>;

    async fn stream(
        &self,
        request: Request<StreamingRequest>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let counts = (0..request.into_inner().count).map(|count| Ok(StreamingResponse { count }));
        Ok(Response::new(Box::pin(stream::iter(counts))))
    }

    type PingPongStream = ResponseStream<Pong>;

    async fn ping_pong(
        &self,
        request: Request<Streaming<Ping>>,
    ) -> Result<Response<Self::PingPongStream>, Status> {
        let pongs = request
            .into_inner()
            .map(|ping| ping.map(|Ping { stroke }| Pong { stroke }));
        Ok(Response::new(Box::pin(pongs)))
    }
}

fn main() -> std::process::ExitCode {
    micro::Service::new("helloworld")
        .handler(HelloworldServer::new(Greeter), proto::DESCRIPTORS)
        .run()
}
