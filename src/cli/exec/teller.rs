//! Tells standard error what becomes of the command's calls, line by line, and counts them.
//!
//! INVARIANT: whoever records a call never waits for the terminal: lines queue, and where the queue is full they are
//! counted instead. Each line is one write.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::lines::{Tally, line, of_event, resources};
use crate::guard::call::{DecisionId, Verdict};
use crate::journal::event::Event;
use crate::journal::{Observe, Phase, Record};

/// How many lines may wait for the terminal.
const QUEUE_MAX: usize = 1024;
/// Of how many calls in flight the resources are kept.
const PENDING_MAX: usize = 4096;

/// Counts and tells.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// What was before the command isn't its own.
    listening: AtomicBool,
    tally: Mutex<Tally>,
    printer: Mutex<Option<Printer>>,
    untold: AtomicU64,
    /// What guarded calls name whose outcome isn't known yet.
    pending: Mutex<HashMap<DecisionId, String>>,
    /// The keys whose calls count; `None`: everybody's.
    keys: Mutex<Option<BTreeSet<String>>>,
}

#[derive(Debug)]
struct Printer {
    sender: SyncSender<String>,
    thread: JoinHandle<()>,
}

impl Teller {
    /// Begins to tell and to count. From here on lines come.
    pub(super) fn listen(&self) {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let thread = std::thread::spawn(move || print_all(&receiver));
        *held(&self.printer) = Some(Printer { sender, thread });
        self.listening.store(true, Ordering::Release);
    }

    /// Counts the calls of this key, and of no others but those that are named so.
    pub(super) fn only(&self, access_key_id: &str) {
        let mut keys = held(&self.keys);
        let keys = keys.get_or_insert_default();
        keys.insert(access_key_id.to_owned());
    }

    /// Takes a record in.
    pub(super) fn see(&self, event: &Event) {
        if !self.listening.load(Ordering::Acquire) || !self.is_ours(event) {
            return;
        }
        held(&self.tally).count(event);
        let named = self.named(event);
        if let Some(text) = of_event(event, &named)
            && let Some(printer) = &*held(&self.printer)
            && printer.sender.try_send(text).is_err()
        {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is told, and what it came to.
    pub(super) fn finish(&self) -> Tally {
        self.listening.store(false, Ordering::Release);
        if let Some(Printer { sender, thread }) = held(&self.printer).take() {
            drop(sender);
            let _ = thread.join();
        }
        let untold = self.untold.load(Ordering::Relaxed);
        if untold > 0 {
            print(&line(&format!(
                "palisade: {untold} more lines could not be written in time; the journal has them"
            )));
        }
        *held(&self.tally)
    }

    /// The resources of the decision whose outcome this is; those of a decision are kept for it.
    fn named(&self, event: &Event) -> String {
        let own = &event.unmapped.palisade;
        let Some(id) = own.decision_id else {
            return String::new();
        };
        let mut pending = held(&self.pending);
        match own.phase {
            Phase::Decision if own.outcome.is_none() && pending.len() < PENDING_MAX => {
                if own.verdict.is_some_and(Verdict::goes_on) {
                    pending.insert(id, resources(event));
                }
                String::new()
            }
            Phase::Outcome => pending.remove(&id).unwrap_or_default(),
            Phase::Decision | Phase::Tunnel | Phase::Lifecycle => String::new(),
        }
    }

    fn is_ours(&self, event: &Event) -> bool {
        let user = event.actor.user.as_ref();
        let key = user.and_then(|user| user.credential_uid.as_ref());
        match (&*held(&self.keys), key) {
            (None, _) => true,
            (Some(ours), Some(key)) => ours.contains(key),
            (Some(_), None) => false,
        }
    }
}

impl Observe for Teller {
    fn recorded(&self, record: &Record) {
        self.see(record.event());
    }

    fn appended(&self, _: Duration) {}
}

/// Writes a line to standard error, in one go.
pub(super) fn print(line: &str) {
    // Nobody may read it any more.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn print_all(lines: &Receiver<String>) {
    while let Ok(line) = lines.recv() {
        print(&line);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A teller that observes a journal.
pub(super) fn observer(teller: &Arc<Teller>) -> Arc<dyn Observe> {
    Arc::<Teller>::clone(teller)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{allowed, read};

    #[test]
    fn only_what_comes_while_the_command_runs_counts() {
        let teller = Teller::default();
        teller.recorded(&read(1));
        teller.listen();
        teller.recorded(&read(2));
        teller.recorded(&allowed(3));
        assert_eq!(teller.finish().calls, 2);
        teller.recorded(&read(4));
        assert_eq!(teller.finish().calls, 2);
    }

    #[test]
    fn beside_others_only_the_commands_own_keys_count() {
        let teller = Teller::default();
        teller.only("PALISADE0002");
        teller.listen();
        teller.recorded(&read(1));
        assert_eq!(teller.finish().calls, 0);
        teller.only("PALISADE0001");
        teller.listen();
        teller.recorded(&read(1));
        assert_eq!(teller.finish().calls, 1);
    }
}
