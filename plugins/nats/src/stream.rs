//! The stream on JetStream: one stream for all topics, a durable consumer for each group.
//!
//! An acknowledged publish is what JetStream makes of it: it has the event in its store, on as many
//! servers as `replicas` says. Whether that is on disk is the server's setting: by default it syncs
//! every two minutes, so that a crash of the machine, unlike one of the server, may lose what came
//! since; `sync_interval: always` in its `jetstream` block syncs each (servers from 2.10 on).

mod api;
mod entry;
mod envelope;
mod events;
mod feed;
mod held;
mod history;
mod jet;
mod layout;
mod line;
mod publish;
mod puller;
mod queue;
mod setup;
mod terms;

use std::sync::Arc;

use micro_plugin_api::{
    BoxStream, Call, Error, Host, Result, Stream,
    stream::{
        Acks, ConsumeOptions, Delivery, Event, Group, Groups, HistoryQuery, NewEvent, Settlement,
    },
};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::{
    feed::{Feed, Shared, State},
    jet::Jet,
    layout::Layout,
    line::Line,
    queue::Queue,
    setup::Setup,
};
use crate::{
    Settings,
    connection::{Connection, Deadline, closed},
};

/// Events in the JetStream of a NATS server.
pub struct NatsStream {
    jet: Arc<Jet>,
    groups: Groups<Queue>,
    feeds: TaskTracker,
    /// Turns true when the module shuts down.
    ended: watch::Sender<bool>,
}

impl NatsStream {
    /// Opens the stream. NATS need not be there yet.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense.
    pub async fn open(settings: Settings, _host: Host) -> Result<Self> {
        let jet = Jet {
            connection: Connection::open(&settings, "stream").await?,
            layout: Layout::new(&settings.prefix),
            setup: Setup::new(&settings),
        };
        Ok(Self {
            jet: Arc::new(jet),
            groups: Groups::new(),
            feeds: TaskTracker::new(),
            ended: watch::Sender::new(false),
        })
    }

    /// Who has events for himself.
    async fn alone(
        &self,
        topic: &str,
        options: &ConsumeOptions,
        deadline: Deadline,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let line = || Line::alone(&self.jet, topic, options.start, deadline);
        let (line, _) = self.jet.surely("consume events", deadline, line).await?;
        let group = Group::new(topic, None, 0, Queue::new(&self.jet, topic));
        let (group, deliveries) = self.groups.join(group, options);
        self.feed(group, line, None);
        Ok(deliveries)
    }

    /// Who shares them.
    async fn member(
        &self,
        topic: &str,
        name: &str,
        options: &ConsumeOptions,
        deadline: Deadline,
    ) -> Result<BoxStream<Result<Delivery>>> {
        let jet = &self.jet;
        let consumer = layout::consumer(topic, name);
        let line = || Line::of_group(jet, consumer.clone(), topic, name, options.start, deadline);
        let line = jet.surely("consume events", deadline, line).await?;
        let existing = self.groups.find(topic, name);
        let options = match existing.and_then(|group| group.terms()) {
            Some(_) => options.clone(),
            None => terms::agreed(jet, &consumer, options).await,
        };
        // Before it is a member, so that nobody asks in vain once it is.
        let asked = match options.acks {
            Acks::Automatic => None,
            Acks::Manual { .. } => {
                let asked = jet.layout.members(&consumer);
                Some(
                    jet.connection
                        .client()
                        .subscribe(asked)
                        .await
                        .map_err(closed)?,
                )
            }
        };
        let queue = Queue::new(jet, topic);
        let fresh = Group::new(topic, Some(name.to_owned()), 0, queue);
        let (group, deliveries) = self.groups.join(fresh.clone(), &options);
        if Arc::ptr_eq(&group, &fresh) {
            let asked = None;
            self.feed(group.clone(), line, Some(Shared { consumer, asked }));
        }
        if let Some(asked) = asked {
            group.source().listen(asked);
            // From here on others hear of its terms.
            jet.connection.confirm(deadline).await?;
        }
        Ok(deliveries)
    }

    fn feed(&self, group: Arc<Group<Queue>>, line: Line, shared: Option<Shared>) {
        let feed = Feed {
            jet: self.jet.clone(),
            groups: self.groups.clone(),
            group,
            line,
            state: State::new(shared.is_some()),
            shared,
            ended: self.ended.subscribe(),
        };
        self.feeds.spawn(feed.run());
    }
}

impl Stream for NatsStream {
    async fn publish(&self, call: &Call, events: &[NewEvent]) -> Result<Vec<String>> {
        NewEvent::validate_batch(events)?;
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = self.jet.connection.deadline(call);
        let publish = publish::publish(self.jet.clone(), events.to_vec(), deadline);
        // In a task: a caller that goes leaves nothing half done.
        let published = tokio::spawn(publish).await;
        published.unwrap_or_else(|error| Err(Error::internal(error.to_string())))
    }

    async fn consume(
        &self,
        call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> Result<BoxStream<Result<Delivery>>> {
        options.validate(topic)?;
        let deadline = self.jet.connection.deadline(call);
        match &options.group {
            None => self.alone(topic, options, deadline).await,
            Some(name) => self.member(topic, name, options, deadline).await,
        }
    }

    async fn settle(&self, _call: &Call, settlements: &[Settlement]) -> Result<()> {
        self.groups.settle(settlements)
    }

    async fn history(
        &self,
        call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> Result<BoxStream<Result<Event>>> {
        // What can be consumed can be read.
        ConsumeOptions::default().validate(topic)?;
        history::read(&self.jet, topic, query, self.jet.connection.deadline(call)).await
    }

    async fn health(&self, call: &Call) -> Result<()> {
        let deadline = self.jet.connection.deadline(call);
        self.jet.connection.healthy(deadline).await?;
        self.jet.setup.check(&self.jet, deadline).await
    }

    async fn shutdown(&self, call: &Call) -> Result<()> {
        self.ended.send_replace(true);
        self.feeds.close();
        let deadline = self.jet.connection.deadline(call);
        let given_back = tokio::time::timeout_at(deadline.at(), self.feeds.wait());
        given_back.await.map_err(|_| self.jet.connection.silent())
    }
}

impl Drop for NatsStream {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}
