//! A replay: archived messages are sent again, in their order, at a pace that leaves live traffic alone.
//!
//! [`Replay::run`] works in steps. It takes some rows of the archive, sends the selected messages, and waits for all
//! results; then it writes the cursor, and takes the next rows. A process that is killed repeats at most the step that it
//! was in. Messages without a group are sent at the same time. Messages of one queue and group are sent one after the
//! other, and one that fails is tried again until it succeeds or never can, so their order holds.
//!
//! A preview is the same run with a [`Resender`] that publishes nothing, without a cursor and without a pace.

mod lanes;
mod progress;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::confirmed::ConfirmedDeliveries;
use super::resend::{Resender, Resent, Selection, is_own_type};
use crate::message::{Message, OutcomeLabel, Ownership};
use crate::route::Glob;
use crate::store::archive::{Position, Row};
use crate::store::replays::{self, Counts, Cursor, Name, Request, Status};
use lanes::Picked;

pub use super::resend::Pace;
pub use progress::{Progress, Shown};
pub use tally::{Cell, Cells, Example, Tally};

/// The most bytes of messages in one step. They are in memory together.
const MAX_STEP_BYTES: usize = 32 * 1024 * 1024;
/// The most rows that one step reads. Without messages to send, the cursor advances nevertheless.
const MAX_STEP_ROWS: u64 = 20_000;
/// The time between two updates of the cursor while a step goes on, a third of the time after which it is taken over.
const TOUCH: Duration = Duration::from_secs(20);
/// Longer than any call waits. The message is not on a queue, so nothing takes it away.
const OWNED: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The rows of a window of the archive, in the order of a replay.
pub trait Source {
    /// Why a row cannot be read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Returns the next row; `None` after the last one.
    ///
    /// # Errors
    /// Returns an error if the archive cannot be read.
    fn next(&mut self) -> impl Future<Output = Result<Option<Row>, Self::Error>>;
}

/// Sends a message again.
pub trait Sender {
    /// Sends the selected deliveries of a message, and waits for the results.
    fn send(&self, message: &Arc<Message>, selection: &Selection) -> impl Future<Output = Resent>;
}

impl Sender for Resender {
    async fn send(&self, message: &Arc<Message>, selection: &Selection) -> Resent {
        self.resend(message, selection, &Ownership::new(Instant::now(), OWNED)).await
    }
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(E),
    /// The cursor cannot be written, or the replay belongs to another process.
    #[error(transparent)]
    Cursor(#[from] replays::Error),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All rows are done.
    Done,
    /// It was stopped after a step.
    Stopped,
}

/// The messages that are sent.
#[derive(Debug, Clone)]
pub struct Choice {
    customer: Option<Arc<str>>,
    types: Arc<[Glob]>,
    queues: Vec<String>,
    quarantined: bool,
    confirmed: Option<Arc<ConfirmedDeliveries>>,
}

impl Choice {
    /// Returns the choice of a request. `confirmed` are the deliveries that are left out.
    pub fn new(request: &Request, confirmed: Option<Arc<ConfirmedDeliveries>>) -> Self {
        Self {
            customer: request.customer.as_deref().map(Into::into),
            types: request.types.iter().map(|glob| Glob::new(glob)).collect(),
            queues: request.queues.clone(),
            quarantined: request.quarantined || request.unconfirmed,
            confirmed,
        }
    }

    /// Returns what of a row is sent, if anything can be.
    fn of(&self, row: &Row, replay: &Arc<str>) -> Chosen {
        let name = row.event_type.as_deref();
        let is_of_queue = self.queues.is_empty() || self.queues.contains(&row.message.queue.label);
        let is_of_type = |name: &str| {
            !is_own_type(name) && (self.types.is_empty() || self.types.iter().any(|glob| glob.matches(name)))
        };
        if !is_of_queue || !name.is_none_or(is_of_type) {
            return Chosen::No;
        }
        if row.outcome == OutcomeLabel::Quarantined && !self.quarantined {
            return Chosen::Quarantined;
        }
        // A type that the archive does not know can be known today.
        let types = if name.is_none() { Arc::clone(&self.types) } else { Arc::default() };
        let (customer, confirmed) = (self.customer.clone(), self.confirmed.clone());
        Chosen::Yes(Selection { replay: Some(Arc::clone(replay)), customer, types, confirmed, reached: Vec::new() })
    }

    /// Whether the archive knows that the message is another customer's.
    fn is_of_another(&self, row: &Row) -> bool {
        self.customer.is_some() && row.customer.is_some() && row.customer != self.customer
    }
}

enum Chosen {
    Yes(Selection),
    /// It went into quarantine, and such messages are not wanted.
    Quarantined,
    No,
}

/// A replay, or the preview of one.
#[derive(Debug)]
pub struct Replay<'r, S> {
    /// Its name.
    pub name: Name,
    /// The messages that are sent.
    pub choice: Choice,
    /// The most messages of a step.
    pub step: usize,
    /// Sends the messages.
    pub sender: &'r S,
    /// Limits the rate; `None` in a preview.
    pub pace: Option<&'r Pace>,
    /// Tells others how far the run is.
    pub progress: &'r Progress,
    /// Ends the run after the step that it is in.
    pub stop: CancellationToken,
}

/// Some rows of the archive.
#[derive(Debug, Default)]
struct Step {
    messages: Vec<Picked>,
    position: Option<Position>,
    counts: Counts,
    is_last: bool,
}

impl<S: Sender> Replay<'_, S> {
    /// Sends all messages. Returns how the run ended, and what became of the messages of this run. If it fails, the cursor
    /// says so, unless the replay belongs to another process.
    ///
    /// # Errors
    /// Returns an error if the archive cannot be read, if the cursor cannot be written, or if the replay belongs to another
    /// process.
    pub async fn run<R: Source>(
        &self,
        rows: &mut R,
        mut cursor: Option<&mut Cursor>,
    ) -> (Tally, Result<Ended, Error<R::Error>>) {
        let mut tally = Tally::default();
        let ended = self.steps(rows, cursor.as_deref_mut(), &mut tally).await;
        let status = match &ended {
            Ok(Ended::Done) => Status::Done,
            Ok(Ended::Stopped) => Status::Stopped,
            Err(Error::Cursor(_)) => return (tally, ended),
            Err(Error::Archive(_)) => Status::Failed,
        };
        let Some(cursor) = cursor else { return (tally, ended) };
        match (cursor.end(status).await, ended) {
            (Err(error), Ok(_)) => (tally, Err(error.into())),
            (_, ended) => (tally, ended),
        }
    }

    async fn steps<R: Source>(
        &self,
        rows: &mut R,
        mut cursor: Option<&mut Cursor>,
        tally: &mut Tally,
    ) -> Result<Ended, Error<R::Error>> {
        let replay: Arc<str> = self.name.as_str().into();
        loop {
            if self.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let Step { messages, position, mut counts, is_last } =
                self.next_step(rows, &replay).await.map_err(Error::Archive)?;
            let mut sent = self.send(messages, cursor.as_deref_mut()).await?;
            sent.sort_unstable_by_key(|done| done.index);
            for done in &sent {
                tally.add(done, &mut counts);
            }
            tally.counts.add(counts.clone());
            if let Some(cursor) = cursor.as_deref_mut() {
                cursor.step(position, counts).await?;
            }
            self.progress.step_is_done();
            if is_last {
                return Ok(Ended::Done);
            }
        }
    }

    /// Reads the rows of a step.
    async fn next_step<R: Source>(&self, rows: &mut R, replay: &Arc<str>) -> Result<Step, R::Error> {
        let (mut step, mut bytes) = (Step::default(), 0);
        while step.messages.len() < self.step && bytes < MAX_STEP_BYTES && step.counts.rows < MAX_STEP_ROWS {
            let Some(row) = rows.next().await? else {
                step.is_last = true;
                break;
            };
            step.counts.rows += 1;
            step.position = Some(row.position());
            match self.choice.of(&row, replay) {
                Chosen::Yes(selection) => {
                    bytes += row.message.size();
                    let is_of_another = self.choice.is_of_another(&row);
                    let (index, Row { event_type, message, .. }) = (step.messages.len(), row);
                    step.messages.push(Picked { index, event_type, message, selection, is_of_another });
                }
                Chosen::Quarantined => {
                    step.counts.quarantined += 1;
                    self.progress.row_is_done();
                }
                Chosen::No => self.progress.row_is_done(),
            }
        }
        Ok(step)
    }

    /// Sends the messages of a step. Meanwhile the cursor is kept up to date, so that no other process takes over.
    async fn send(
        &self,
        messages: Vec<Picked>,
        cursor: Option<&mut Cursor>,
    ) -> Result<Vec<lanes::Done>, replays::Error> {
        let mut sending = std::pin::pin!(self.send_lanes(messages));
        let Some(cursor) = cursor else { return Ok(sending.await) };
        let mut touches = interval_at(Instant::now() + TOUCH, TOUCH);
        touches.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut sending => return Ok(done),
                _ = touches.tick() => match cursor.touch().await {
                    Err(error) if error.is_lost() => return Err(error),
                    // The step itself tries longer.
                    _ => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
