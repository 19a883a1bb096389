//! The journal as the rest of the guard has it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, TryAcquireError, oneshot};

use super::draft::Draft;
use super::error::JournalError;
use super::inbox::{Sender, inbox};
use super::record::{Pending, Record};
use super::recover::{self, Recovery};
use super::segments::Durability;
use super::status::Status;
use super::writer::{Entry, Message, Waiter, Writer, accepted};
use crate::guard::call::DecisionId;

/// How a journal is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub durability: Durability,
    /// A segment that has reached this is followed by the next.
    pub segment_bytes_max: u64,
    /// How much may wait for the disk, counted as JSON.
    pub queue_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Fsync,
            segment_bytes_max: 64 * 1024 * 1024,
            queue_bytes_max: 64 * 1024 * 1024,
        }
    }
}

/// Who is told what was recorded: metrics. It must not block.
pub trait Observe: Send + Sync {
    /// A record is in the journal, or is one that nobody waits for and on its way there: it will be, unless the guard is
    /// killed before, or is stopped while the journal fails. Called before whoever waits for it is answered; for those
    /// that somebody waits for, in the order of the journal.
    fn recorded(&self, record: &Record);
    /// How long somebody waited for a record to be durable.
    fn appended(&self, took: Duration);
}

/// The journal, open for writing. Clones write to the same one.
#[derive(Clone)]
pub struct Journal {
    sender: Sender<Message>,
    /// One permit for each KiB that may wait.
    queue: Arc<Semaphore>,
    queue_kib: u32,
    status: Arc<Status>,
    observer: Option<Arc<dyn Observe>>,
    #[cfg(test)]
    pub(super) faults: Arc<super::segments::faults::Faults>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Proof that a record is on disk. Only the journal makes one: elsewhere it can be looked at,
///
/// ```
/// fn place(receipt: palisade::journal::Receipt) -> u64 {
///     receipt.sequence()
/// }
/// ```
///
/// but not made.
///
/// ```compile_fail
/// fn forge(record: palisade::journal::Record) -> palisade::journal::Receipt {
///     palisade::journal::Receipt { record }
/// }
/// ```
#[derive(Debug, PartialEq)]
#[must_use = "what the record permits takes the receipt"]
pub struct Receipt {
    record: Record,
}

impl Receipt {
    /// The record's place in the journal.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.record.event().metadata.sequence
    }

    /// The decision that was recorded.
    #[must_use]
    pub fn decision_id(&self) -> Option<DecisionId> {
        self.record.event().unmapped.palisade.decision_id
    }

    /// What to keep of an allowed decision until its outcome is known; `None` for any other record.
    #[must_use]
    pub fn into_pending(self) -> Option<Pending> {
        self.record.into_pending()
    }
}

impl Journal {
    /// Opens the journal in a folder, makes good what the last guard left undone, and starts the thread that
    /// writes. Reads back as far as the last start and waits for the disk: not for an asynchronous task.
    ///
    /// # Errors
    /// [`JournalError::Locked`] where another guard writes it; otherwise what the disk said.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), JournalError> {
        Self::open_observed(dir, options, None)
    }

    /// As [`open`](Self::open), with somebody who is told of each record, those of the recovery too.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_observed(
        dir: &Path,
        options: Options,
        observer: Option<Arc<dyn Observe>>,
    ) -> Result<(Self, Recovery), JournalError> {
        let (ledger, recovery) = recover::open(dir, options, SystemTime::now())?;
        for record in &recovery.records {
            if let Some(observer) = &observer {
                observer.recorded(record);
            }
            record.log();
        }
        let (sender, receiver) = inbox();
        let status = ledger.status();
        #[cfg(test)]
        let faults = ledger.faults();
        Writer::new(ledger, receiver, observer.clone())
            .spawn()
            .map_err(|e| JournalError::io("start a thread for", dir, e))?;
        let queue_kib = u32::try_from(options.queue_bytes_max / 1024)
            .unwrap_or(u32::MAX)
            .max(1);
        let permits = usize::try_from(queue_kib)
            .unwrap_or(Semaphore::MAX_PERMITS)
            .min(Semaphore::MAX_PERMITS);
        let journal = Self {
            sender,
            queue: Arc::new(Semaphore::new(permits)),
            queue_kib,
            status,
            observer,
            #[cfg(test)]
            faults,
        };
        Ok((journal, recovery))
    }

    /// Writes a record and waits until it is durable; where much waits already, waits for its turn. Dropping the
    /// future doesn't take back what is queued: the record may still be written.
    ///
    /// # Errors
    /// What the disk said; the record is then not in the journal. [`JournalError::Closed`] where nobody can say.
    pub async fn append(&self, record: Record) -> Result<Receipt, JournalError> {
        let began = Instant::now();
        let draft = Draft::of(&record)?;
        let permit = Arc::clone(&self.queue)
            .acquire_many_owned(self.weight(&draft))
            .await
            .map_err(|_| JournalError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.send(Entry::new(draft, Some(Waiter { record, answer }), permit))?;
        let record = answered.await.map_err(|_| JournalError::Closed)??;
        if let Some(observer) = &self.observer {
            observer.appended(began.elapsed());
        }
        record.log();
        Ok(Receipt { record })
    }

    /// Queues a record: it's written after those before it, with the next batch. One that can't be written at once
    /// is kept and tried again each second; until it succeeds this refuses all others. Only its line goes to the thread
    /// that writes: what it was made of is dropped where it was made.
    ///
    /// # Errors
    /// [`JournalError::Overloaded`] where too much waits; while the journal fails, why.
    pub fn append_later(&self, record: Record) -> Result<(), JournalError> {
        if let Some(error) = self.status.failure() {
            return Err(error);
        }
        let draft = Draft::of(&record)?;
        let permit = Arc::clone(&self.queue)
            .try_acquire_many_owned(self.weight(&draft))
            .map_err(|e| match e {
                TryAcquireError::Closed => JournalError::Closed,
                TryAcquireError::NoPermits => JournalError::Overloaded,
            })?;
        self.send(Entry::new(draft, None, permit))?;
        accepted(&record, self.observer.as_deref());
        Ok(())
    }

    /// How the journal is doing.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Comes back once the thread that writes has heard of it: it isn't held up by a disk that doesn't answer, nor gone.
    /// A journal that can't be written now, and tries again each second, turns as well.
    ///
    /// # Errors
    /// [`JournalError::Closed`] where there is no such thread any more.
    pub async fn turns(&self) -> Result<(), JournalError> {
        let (waiter, answer) = oneshot::channel();
        self.sender
            .send(Message::Turn(waiter))
            .map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)
    }

    /// Writes what is queued, stops the thread and gives the lock back. Later appends get
    /// [`JournalError::Closed`].
    ///
    /// # Errors
    /// What the disk said, where something queued could not be written: it is lost.
    pub async fn close(&self) -> Result<(), JournalError> {
        let (waiter, answer) = oneshot::channel();
        self.sender
            .send(Message::Close(waiter))
            .map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)?
    }

    fn send(&self, entry: Entry) -> Result<(), JournalError> {
        self.sender
            .send(Message::Append(entry))
            .map_err(|_| JournalError::Closed)
    }

    /// How many permits a line takes.
    fn weight(&self, draft: &Draft) -> u32 {
        let kib = u32::try_from(draft.bytes_held() / 1024 + 1);
        kib.unwrap_or(u32::MAX).min(self.queue_kib)
    }
}
