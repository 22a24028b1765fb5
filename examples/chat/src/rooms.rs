//! What a chat is made of: a record that says it exists, and a topic with what was said in it.

use std::time::UNIX_EPOCH;

use micro::{
    Client, Error, errors,
    events::{ConsumeOptions, Consumer, Event, Events, History},
    store::{Record, Store},
};
use serde::{Deserialize, Serialize};

use crate::proto::Message;

/// What an event of a chat says; who said it stands in its metadata.
#[derive(Serialize, Deserialize)]
struct Said {
    user_id: String,
    subject: String,
    text: String,
}

#[derive(Clone)]
pub struct Rooms {
    chats: Store,
    events: Events,
}

impl Rooms {
    pub fn new(platform: &Client) -> Self {
        Self {
            chats: platform.store().table("chats"),
            events: platform.events(),
        }
    }

    /// Opens a chat and gives its id.
    pub async fn open(&self, user_ids: &[String]) -> Result<String, Error> {
        let id = uuid::Uuid::now_v7().to_string();
        let record = Record::new(format!("chats/{id}"), user_ids.join(","));
        self.chats.write(record).await?;
        Ok(id)
    }

    /// Says something; gives the id of what was said.
    pub async fn say(
        &self,
        chat_id: &str,
        user_id: &str,
        subject: &str,
        text: &str,
    ) -> Result<String, Error> {
        if user_id.is_empty() {
            return Err(errors::bad_request(
                "chat.Send.MissingUserID",
                "Missing user_id",
            ));
        }
        if text.is_empty() {
            return Err(errors::bad_request("chat.Send.MissingText", "Missing text"));
        }
        let topic = self.topic(chat_id).await?;
        let said = Said {
            user_id: user_id.to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
        };
        self.events.publish(topic, &said).await
    }

    /// What was said, the oldest first.
    pub async fn history(&self, chat_id: &str, part: History) -> Result<Vec<Message>, Error> {
        let events = self.events.read(self.topic(chat_id).await?, part).await?;
        events.iter().map(|event| message(chat_id, event)).collect()
    }

    /// What is said from now on.
    pub async fn listen(&self, chat_id: &str) -> Result<Listener, Error> {
        let topic = self.topic(chat_id).await?;
        let consumer = self.events.consume(topic, ConsumeOptions::new()).await?;
        Ok(Listener {
            chat_id: chat_id.to_owned(),
            consumer,
        })
    }

    /// The topic of a chat that exists.
    async fn topic(&self, chat_id: &str) -> Result<String, Error> {
        if chat_id.is_empty() {
            return Err(errors::bad_request("chat.MissingChatID", "Missing chat_id"));
        }
        match self.chats.read(format!("chats/{chat_id}")).await? {
            Some(_) => Ok(format!("chat-{chat_id}")),
            None => Err(errors::not_found("chat", format!("No chat {chat_id}"))),
        }
    }
}

/// Hears what is said in one chat.
pub struct Listener {
    chat_id: String,
    consumer: Consumer,
}

impl Listener {
    /// What is said next; `None` when there will be nothing more.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        let event = self.consumer.next().await?;
        Some(event.and_then(|event| message(&self.chat_id, &event)))
    }
}

fn message(chat_id: &str, event: &Event) -> Result<Message, Error> {
    let said: Said = event.unmarshal()?;
    let since = event.timestamp.duration_since(UNIX_EPOCH);
    Ok(Message {
        id: event.id.clone(),
        chat_id: chat_id.to_owned(),
        user_id: said.user_id,
        subject: said.subject,
        text: said.text,
        sent_at: since.map_or(0, |since| since.as_secs().cast_signed()),
    })
}
