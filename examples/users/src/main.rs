//! Users in the platform's store: errors with ids and codes, and metadata read and sent along.

mod records;

use micro::{Client, Request, Response, Status, errors, logger, metadata};

mod proto {
    micro::include_proto!("users");
}

use proto::{
    CreateResponse, DeleteResponse, ListRequest, ListResponse, ReadRequest, ReadResponse, User,
    users_client::UsersClient,
    users_server::{Users, UsersServer},
};
use records::Records;

struct Handler {
    platform: Client,
    records: Records,
}

#[micro::async_trait]
impl Users for Handler {
    async fn create(&self, request: Request<User>) -> Result<Response<CreateResponse>, Status> {
        let user = request.into_inner();
        if user.id.is_empty() {
            return Err(errors::bad_request("users.Create.MissingID", "Missing ID").into());
        }
        if !user.email.contains('@') {
            let detail = format!("{:?} is no email address", user.email);
            return Err(errors::bad_request("users.Create.InvalidEmail", detail).into());
        }
        if !self.records.create(&user).await? {
            let detail = format!("There is a user {} already", user.id);
            return Err(errors::conflict("users.Create.Exists", detail).into());
        }
        logger::info!(id = user.id, "created a user");
        Ok(Response::new(CreateResponse {}))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let id = request.into_inner().id;
        if id.is_empty() {
            return Err(errors::bad_request("users.Read.MissingID", "Missing ID").into());
        }
        match self.records.read(&id).await? {
            Some(user) => Ok(Response::new(ReadResponse { user: Some(user) })),
            None => Err(errors::not_found("users.Read", format!("No user {id}")).into()),
        }
    }

    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        // A header of an HTTP request, metadata of a gRPC one, or set by the service that calls.
        let Some(foobar) = metadata::get("Foobar") else {
            return Err(errors::bad_request("users.List", "Missing Foobar header").into());
        };
        logger::info!("Foobar header was set to: {foobar}");
        let users = self.records.list().await?;
        Ok(Response::new(ListResponse { users, foobar }))
    }

    async fn audit(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let mut users = UsersClient::new(self.platform.service("users"));
        // Calls made inside of the scope carry the header.
        let context = metadata::set("Foobar", "audit")?;
        context.scope(users.list(ListRequest {})).await
    }

    async fn delete(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        self.records.delete(&request.into_inner().id).await?;
        Ok(Response::new(DeleteResponse {}))
    }
}

fn main() -> std::process::ExitCode {
    let platform = micro::client();
    let records = Records::new(platform.store().table("users"));
    micro::Service::new("users")
        .handler(
            UsersServer::new(Handler { platform, records }),
            proto::DESCRIPTORS,
        )
        .run()
}
