//! A chat: messages are events, which are streamed to those who are connected and kept for those
//! who are not.

mod rooms;

use micro::{
    Request, Response, ResponseStream, Status, Streaming, errors,
    events::History,
    futures::{StreamExt as _, stream},
    logger,
};

mod proto {
    micro::include_proto!("chat");
}

use proto::{
    ConnectRequest, CreateRequest, CreateResponse, HistoryRequest, HistoryResponse, Message,
    SendRequest, SendResponse,
    chat_server::{Chat, ChatServer},
};
use rooms::{Listener, Rooms};

struct Handler {
    rooms: Rooms,
}

#[micro::async_trait]
impl Chat for Handler {
    async fn create(
        &self,
        request: Request<CreateRequest>,
    ) -> Result<Response<CreateResponse>, Status> {
        let chat_id = self.rooms.open(&request.into_inner().user_ids).await?;
        logger::info!(chat_id, "opened a chat");
        Ok(Response::new(CreateResponse { chat_id }))
    }

    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendResponse>, Status> {
        let SendRequest {
            chat_id,
            user_id,
            subject,
            text,
        } = request.into_inner();
        let id = self.rooms.say(&chat_id, &user_id, &subject, &text).await?;
        Ok(Response::new(SendResponse { id }))
    }

    async fn history(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<HistoryResponse>, Status> {
        let request = request.into_inner();
        let part = History::new().limit(request.limit).offset(request.offset);
        let messages = self.rooms.history(&request.chat_id, part).await?;
        Ok(Response::new(HistoryResponse { messages }))
    }

    type ConnectStream = ResponseStream<Message>;

    async fn connect(
        &self,
        request: Request<Streaming<ConnectRequest>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut requests = request.into_inner();
        let Some(first) = requests.next().await.transpose()? else {
            return Err(errors::bad_request("chat.Connect", "Missing chat_id").into());
        };
        // Before anything is said, so that whoever says something hears it, too.
        let listener = self.rooms.listen(&first.chat_id).await?;
        let talker = Talker {
            rooms: self.rooms.clone(),
            chat_id: first.chat_id.clone(),
            user_id: first.user_id.clone(),
        };
        let requests = stream::iter([Ok(first)]).chain(requests);
        // What is said comes out of one, what goes wrong out of the other.
        let talk = requests.filter_map(move |request| {
            let talker = talker.clone();
            async move { talker.say(request).await.err().map(Err) }
        });
        Ok(Response::new(Box::pin(stream::select(
            hear(listener),
            talk,
        ))))
    }
}

/// What is said, as it is said.
fn hear(listener: Listener) -> ResponseStream<Message> {
    Box::pin(stream::unfold(listener, |mut listener| async {
        let message = listener.next().await?;
        Some((message.map_err(Status::from), listener))
    }))
}

/// Somebody who takes part.
#[derive(Clone)]
struct Talker {
    rooms: Rooms,
    chat_id: String,
    user_id: String,
}

impl Talker {
    async fn say(&self, request: Result<ConnectRequest, Status>) -> Result<(), Status> {
        let text = request?.text;
        if !text.is_empty() {
            self.rooms
                .say(&self.chat_id, &self.user_id, "", &text)
                .await?;
        }
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    let rooms = Rooms::new(&micro::client());
    micro::Service::new("chat")
        .handler(ChatServer::new(Handler { rooms }), proto::DESCRIPTORS)
        .run()
}
