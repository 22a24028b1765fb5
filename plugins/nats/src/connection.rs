//! A connection to NATS that lasts: it may open before the server does, and knows whether what it
//! sent has arrived.

mod options;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{Client, Subscriber, connection::State};
use futures::StreamExt as _;
use micro_plugin_api::{Backoff, Call, Error, Result};
use tokio::sync::watch;

use crate::Settings;

/// How often somebody who waits for the connection looks by himself: events of the client may be
/// lost when there are many.
const LOOK: Duration = Duration::from_millis(100);

/// The most of a call's time that is kept back to answer in.
const TO_ANSWER: Duration = Duration::from_millis(250);

/// How long a connection may take that is about to be there.
const SOON: Duration = Duration::from_secs(2);

/// The longest pause between two attempts of one kind.
pub(crate) const PAUSE_MOST: Duration = Duration::from_secs(1);

/// One connection, shared by all that a module does.
pub(crate) struct Connection {
    client: Client,
    link: watch::Receiver<Link>,
    /// Where it goes, for messages.
    servers: String,
    timeout: Duration,
    /// What is published there comes back to this connection.
    echo: String,
    echoes: AtomicU64,
    echoed: watch::Receiver<u64>,
}

/// What the client tells about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// How often it was lost, or made.
    changes: u64,
    /// How often it was lost.
    losses: u64,
    /// Why it is not there.
    problem: Option<String>,
}

/// Until when something must be answered, and what to say if it cannot be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// What is left.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    pub(crate) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// This, or so long from now if that is sooner.
    pub(crate) fn at_most(self, time: Duration) -> Self {
        Self(self.0.min(Instant::now() + time))
    }

    /// The moment.
    pub(crate) fn at(self) -> tokio::time::Instant {
        self.0.into()
    }
}

impl Connection {
    /// Begins to connect. Succeeds while there is no server.
    ///
    /// # Errors
    /// `invalid` for settings that make no sense, and files of theirs that cannot be read.
    pub(crate) async fn open(settings: &Settings, name: &str) -> Result<Arc<Self>> {
        settings.check()?;
        let servers = settings.servers()?;
        let shown: Vec<_> = servers.iter().map(shown).collect();
        let (changed, link) = watch::channel(Link::default());
        let options = options::build(settings, name, changed)?;
        let client = options.connect(servers).await.map_err(|error| {
            Error::invalid(format!("the settings of NATS cannot be used: {error}"))
        })?;
        let echo = client.new_inbox();
        let (seen, echoed) = watch::channel(0);
        let subscriber = client.subscribe(echo.clone()).await.map_err(closed)?;
        tokio::spawn(listen(subscriber, seen));
        Ok(Arc::new(Self {
            client,
            link,
            servers: shown.join(", "),
            timeout: settings.timeout(),
            echo,
            echoes: AtomicU64::new(0),
            echoed,
        }))
    }

    /// The client. What is sent with it waits in its buffer while there is no connection, so ask
    /// [`Self::ready`] first.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Until when `call` must be answered: a little before its own deadline, so that the answer
    /// says what was wrong.
    pub(crate) fn deadline(&self, call: &Call) -> Deadline {
        let left = match call.remaining() {
            Some(left) => left.saturating_sub(TO_ANSWER.min(left / 10)),
            None => self.timeout,
        };
        // A deadline beyond what the clock knows is none.
        let now = Instant::now();
        Deadline(now.checked_add(left).unwrap_or(now + self.timeout))
    }

    /// How long something may take that no call waits for.
    pub(crate) fn timeout(&self) -> Deadline {
        self.within(self.timeout)
    }

    /// So long from now.
    pub(crate) fn within(&self, time: Duration) -> Deadline {
        Deadline(Instant::now() + time)
    }

    /// Changes whenever the connection is lost or made anew, from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<Link> {
        let mut link = self.link.clone();
        link.mark_unchanged();
        link
    }

    /// Whether there is a connection now.
    pub(crate) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// `unavailable`, once the deadline is over.
    pub(crate) async fn ready(&self, deadline: Deadline) -> Result<()> {
        let mut link = self.link.clone();
        while !self.is_up() {
            if deadline.is_over() {
                return Err(self.unreachable());
            }
            let next = LOOK.min(deadline.left());
            let _ = tokio::time::timeout(next, link.changed()).await;
        }
        Ok(())
    }

    /// Waits for a connection that is about to be there, as one is that was opened just now.
    ///
    /// # Errors
    /// `unavailable` if it is not.
    pub(crate) async fn healthy(&self, deadline: Deadline) -> Result<()> {
        self.ready(deadline.at_most(SOON)).await
    }

    /// Waits until the server has taken what was sent before this.
    ///
    /// # Errors
    /// `unavailable` if the connection is lost meanwhile, or the deadline is over: nobody knows
    /// whether it has.
    pub(crate) async fn confirm(&self, deadline: Deadline) -> Result<()> {
        let number = self.echoes.fetch_add(1, Ordering::Relaxed) + 1;
        let mut link = self.link.clone();
        // That it was made may be told late, and is no reason to give up.
        let losses = link.borrow().losses;
        let mut echoed = self.echoed.clone();
        let confirmed = async {
            let payload = number.to_string().into();
            let sent = self.client.publish(self.echo.clone(), payload);
            sent.await.map_err(closed)?;
            let seen = echoed.wait_for(|seen| *seen >= number);
            seen.await.map(|_| ()).map_err(closed)
        };
        let lost = async { link.wait_for(|link| link.losses > losses).await.map(drop) };
        tokio::select! {
            biased;
            confirmed = confirmed => confirmed,
            Ok(()) = lost => Err(self.unconfirmed()),
            () = tokio::time::sleep_until(deadline.at()) => Err(self.unconfirmed()),
        }
    }

    /// The error of what could not be sent.
    pub(crate) fn unreachable(&self) -> Error {
        let problem = self.link.borrow().problem.clone();
        let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
        Error::unavailable(format!(
            "NATS cannot be reached at {}{problem}; is it running, and are `url` and the \
             credentials of the plugin nats right?",
            self.servers
        ))
    }

    fn unconfirmed(&self) -> Error {
        Error::unavailable(format!(
            "NATS at {} did not answer in time, so nobody knows whether it has done this",
            self.servers
        ))
    }

    /// The addresses, for messages.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// The error of something that did not answer.
    pub(crate) fn silent(&self) -> Error {
        match self.is_up() {
            true => self.unconfirmed(),
            false => self.unreachable(),
        }
    }
}

/// The error of a client that has ended.
pub(crate) fn closed<E>(_: E) -> Error {
    Error::unavailable("the connection to NATS was closed for good; reload the plugin nats")
}

/// The pauses between attempts of one kind.
pub(crate) const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), PAUSE_MOST)
}

fn shown(server: &async_nats::ServerAddr) -> String {
    format!("{}:{}", server.host(), server.port())
}

/// Notes the greatest number that came back.
async fn listen(mut subscriber: Subscriber, seen: watch::Sender<u64>) {
    while let Some(message) = subscriber.next().await {
        let text = std::str::from_utf8(&message.payload);
        if let Some(number) = text.ok().and_then(|text| text.parse::<u64>().ok()) {
            seen.send_if_modified(|seen| {
                let greater = number > *seen;
                *seen = number.max(*seen);
                greater
            });
        }
        if seen.is_closed() {
            break;
        }
    }
}
