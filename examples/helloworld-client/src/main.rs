//! A service that calls another one by its name.

use micro::{Client, Request, Response, Status};

mod proto {
    micro::include_proto!("client");
}

mod helloworld {
    micro::include_proto!("helloworld");
}

use helloworld::helloworld_client::HelloworldClient;
use proto::helloworld_client_server::{
    HelloworldClient as HelloworldCaller, HelloworldClientServer,
};

struct Caller {
    platform: Client,
}

#[micro::async_trait]
impl HelloworldCaller for Caller {
    async fn call(
        &self,
        request: Request<proto::Request>,
    ) -> Result<Response<proto::Response>, Status> {
        let name = request.into_inner().name;
        // The call goes through the platform, with the caller's namespace, deadline and authorization.
        let mut greeter = HelloworldClient::new(self.platform.service("helloworld"));
        let answer = greeter.call(helloworld::Request { name }).await?;
        Ok(Response::new(proto::Response {
            msg: answer.into_inner().msg,
        }))
    }
}

fn main() -> std::process::ExitCode {
    let caller = Caller {
        platform: micro::client(),
    };
    micro::Service::new("helloworld-client")
        .handler(HelloworldClientServer::new(caller), proto::DESCRIPTORS)
        .run()
}
