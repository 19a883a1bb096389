//! The thread that writes. It takes all that waits, writes it at once, waits for the disk once, and answers
//! everybody: the fsync sets the pace, and the more wait the larger the next batch.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::draft::Draft;
use super::error::JournalError;
use super::handle::Observe;
use super::inbox::{Hurry, Receiver, Silence};
use super::ledger::Ledger;
use super::record::{Lifecycle, Record};
use super::status::Status;

/// How often a failing journal is tried again.
const RETRY: Duration = Duration::from_secs(1);

pub(super) enum Message {
    Append(Entry),
    /// Somebody wants to know whether the thread turns.
    Turn(oneshot::Sender<()>),
    Close(oneshot::Sender<Result<(), JournalError>>),
}

impl Hurry for Message {
    fn hurries(&self) -> bool {
        match self {
            Message::Append(entry) => entry.waiter.is_some(),
            Message::Turn(_) | Message::Close(_) => true,
        }
    }
}

/// A record on its way: its line, and who waits for it.
pub(super) struct Entry {
    draft: Draft,
    waiter: Option<Waiter>,
    /// Its share of the queue; given back when it's written, or kept for a retry.
    permit: Option<OwnedSemaphorePermit>,
}

/// Who gets the record back, in its place.
pub(super) struct Waiter {
    pub(super) record: Record,
    pub(super) answer: oneshot::Sender<Result<Record, JournalError>>,
}

impl Entry {
    pub(super) const fn new(
        draft: Draft,
        waiter: Option<Waiter>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            draft,
            waiter,
            permit: Some(permit),
        }
    }
}

pub(super) struct Writer {
    ledger: Ledger,
    receiver: Receiver<Message>,
    observer: Option<Arc<dyn Observe>>,
    status: Arc<Status>,
    /// What is to be written, in order. While the journal fails it is never empty: the record that says so is in it.
    pending: VecDeque<Entry>,
    /// Whether the thread ends: it was asked to, or nobody holds the journal any more.
    closing: bool,
    /// Who asked.
    asked: Vec<oneshot::Sender<Result<(), JournalError>>>,
}

impl Writer {
    pub(super) fn new(
        ledger: Ledger,
        receiver: Receiver<Message>,
        observer: Option<Arc<dyn Observe>>,
    ) -> Self {
        Self {
            status: ledger.status(),
            ledger,
            receiver,
            observer,
            pending: VecDeque::new(),
            closing: false,
            asked: Vec::new(),
        }
    }

    pub(super) fn spawn(self) -> io::Result<()> {
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || self.run())
            .map(drop)
    }

    fn run(mut self) {
        while !self.closing {
            self.receive();
            // What fails is told to those who wait, and tried again.
            let _ = self.write();
        }
        // What came meanwhile is written too; whoever comes now hears that the journal is closed.
        let left = self.receiver.close();
        left.into_iter().for_each(|m| self.take(m));
        let result = self.write();
        let lost = self.pending.len();
        if let Err(error) = &result {
            tracing::error!(%error, lost, "the journal was closed while it failed");
        }
        let asked = std::mem::take(&mut self.asked);
        // The lock is free before anybody hears that the journal is closed.
        drop(self);
        for waiter in asked {
            // Who asked may have gone.
            let _ = waiter.send(result.clone());
        }
    }

    /// Waits for something to do, then takes all there is.
    fn receive(&mut self) {
        let patience = (!self.pending.is_empty()).then_some(RETRY);
        match self.receiver.receive(patience) {
            Ok(messages) => messages.into_iter().for_each(|m| self.take(m)),
            Err(Silence::Timeout) => {}
            Err(Silence::Abandoned) => self.closing = true,
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Append(entry) => self.pending.push_back(entry),
            Message::Turn(waiter) => {
                // Who asked may have gone.
                let _ = waiter.send(());
            }
            Message::Close(waiter) => {
                self.closing = true;
                self.asked.push(waiter);
            }
        }
    }

    /// Writes all that is pending, a batch at a time.
    fn write(&mut self) -> Result<(), JournalError> {
        while !self.pending.is_empty() {
            let lines = self.pending.iter_mut().map(|entry| {
                let record = entry.waiter.as_mut().map(|waiter| &mut waiter.record);
                (&entry.draft, record)
            });
            match self.ledger.write(lines) {
                Ok(count) => {
                    self.settle(count);
                    self.ledger.work_out_link();
                }
                Err(error) => {
                    self.fail(&error);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Answers whoever waits for what is written.
    fn settle(&mut self, count: usize) {
        let written = self.pending.drain(..count.min(self.pending.len()));
        let waiters: Vec<Waiter> = written.filter_map(|entry| entry.waiter).collect();
        if let Some(observer) = &self.observer {
            waiters.iter().for_each(|w| observer.recorded(&w.record));
        }
        let mut unawaited = Vec::new();
        for Waiter { record, answer } in waiters {
            // Who waits logs it, on a thread that others don't wait for. Who waited may have gone; the record stays.
            if let Err(Ok(record)) = answer.send(Ok(record)) {
                unawaited.push(record);
            }
        }
        unawaited.iter().for_each(Record::log);
    }

    /// Tells everybody who waits. What nobody waits for stays, and is tried again before anything else.
    fn fail(&mut self, error: &JournalError) {
        let first = !self.status.is_failing();
        self.status.failed(error.clone());
        let pending = std::mem::take(&mut self.pending);
        for mut entry in pending {
            match entry.waiter {
                None => {
                    // Nothing more is accepted without waiting until this is written, so that it stays bounded.
                    entry.permit = None;
                    self.pending.push_back(entry);
                }
                Some(waiter) => {
                    let _ = waiter.answer.send(Err(error.clone()));
                }
            }
        }
        if first {
            tracing::error!(%error, "the journal cannot be written: nothing is forwarded until it can");
            let failed = Lifecycle::JournalFailed {
                error: error.to_string(),
            };
            let record = Record::lifecycle(SystemTime::now(), failed);
            match Draft::of(&record) {
                Ok(draft) => {
                    self.pending.push_back(Entry {
                        draft,
                        waiter: None,
                        permit: None,
                    });
                    accepted(&record, self.observer.as_deref());
                }
                Err(error) => tracing::error!(%error, "the journal's failure cannot be recorded"),
            }
        }
    }
}

/// Tells of a record that nobody waits for, once it is on its way: to the observer, and in the log. That is where whoever
/// recorded it is held up if nobody takes the log, as by a record that somebody waits for.
pub(super) fn accepted(record: &Record, observer: Option<&dyn Observe>) {
    if let Some(observer) = observer {
        observer.recorded(record);
    }
    record.log();
}
