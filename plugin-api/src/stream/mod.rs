//! The `stream` module: events in topics, kept for a time, consumed from any moment of it.

mod consumers;
mod handle;
mod rules;
mod types;

pub use consumers::{Batch, Consumers, EventLog, Group, GroupState, Groups, Source};
pub(crate) use handle::DynStream;
pub use handle::StreamHandle;
pub use types::{
    Acks, ConsumeOptions, Delivery, Event, HistoryQuery, NewEvent, Settlement, Start, Token,
};

use crate::{BoxStream, Call, Result};

/// Events in topics. A topic comes into being with its first event; any text is one.
///
/// Events are kept for as long, and up to as many bytes, as the backend's settings say, and then
/// dropped, the oldest first, whether or not they were consumed. A backend that found a kept event
/// damaged never delivers it: it says in its log where the damage is and goes on with the next.
///
/// Within a topic events are in the order in which they were taken in: a consumer gets them in that
/// order for the first time, and the history has them in it.
pub trait Stream: Send + Sync + 'static {
    /// Takes in all events, or none, in their order, and answers once they are as safe as this
    /// backend makes them. Gives the id of each.
    ///
    /// Between two events of one topic of a batch no other publisher's is placed. Ids are UUIDv7
    /// texts; of two events of one publisher to one topic the one that was published later has the
    /// greater id. Fails with `invalid` for what [`NewEvent::validate_batch`] refuses; no event at
    /// all is no error.
    fn publish(
        &self,
        call: &Call,
        events: &[NewEvent],
    ) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// The events of a topic from [`ConsumeOptions::start`] on, then those to come. Dropping the
    /// stream leaves.
    ///
    /// - Without a group, every consumer gets every event. With one, each event goes to one of the
    ///   members, and whoever reads gets some.
    /// - A group lasts: it remembers what it has dealt with when its last member has left, and when
    ///   the backend is opened again, if the backend's events survive that. Its first member
    ///   with manual acks fixes ack wait and retry limit for as long as the group has members; what
    ///   others ask for is ignored. A group that has had no member for as long as events are kept may be forgotten.
    /// - With manual acks, what is not settled within the ack wait, and what is settled as not dealt
    ///   with, is delivered again to any member that may have more (the latter within a few seconds
    ///   at most), up to the retry limit; then it is given up. What a member had not settled when
    ///   it left goes to the others at once. The first delivery waits for nothing.
    /// - Nothing is buffered for a consumer that does not read, but a bounded number of events on
    ///   their way. One that is overtaken by what is dropped goes on with the oldest event that is
    ///   kept.
    ///
    /// Fails with `invalid` for what [`ConsumeOptions::validate`] refuses.
    fn consume(
        &self,
        call: &Call,
        topic: &str,
        options: &ConsumeOptions,
    ) -> impl Future<Output = Result<BoxStream<Result<Delivery>>>> + Send;

    /// Settles deliveries of this instance. One that means nothing any more is no error: it was
    /// settled already, was given up, or its consumer has left. One that comes after the ack wait,
    /// before anything else became of the event, counts. `invalid` for a token that this backend
    /// never made.
    ///
    /// An event that was acknowledged is delivered again only if the backend fails within seconds
    /// of that.
    fn settle(
        &self,
        call: &Call,
        settlements: &[Settlement],
    ) -> impl Future<Output = Result<()>> + Send;

    /// The events of a topic that were kept when the call was made, the oldest first, read as the
    /// stream is. No event is no error.
    fn history(
        &self,
        call: &Call,
        topic: &str,
        query: &HistoryQuery,
    ) -> impl Future<Output = Result<BoxStream<Result<Event>>>> + Send;

    /// Whether the module could serve a call now. The default says yes.
    fn health(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Finishes what is under way and lets go of what is held. Called once, when no call is left.
    fn shutdown(&self, _call: &Call) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}
