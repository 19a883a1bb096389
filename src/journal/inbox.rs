//! The way to the thread that writes. What somebody waits for wakes it at once; what nobody waits for may lie for a
//! moment, so that a thousand unguarded calls are a few wakes and a few writes, and not a thousand.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a message that is in no hurry may lie.
const REST: Duration = Duration::from_millis(5);
/// How many messages may lie before the thread is woken nevertheless.
const RESTING_MAX: usize = 256;

/// A message that knows whether somebody waits for what becomes of it.
pub(super) trait Hurry {
    fn hurries(&self) -> bool;
}

/// A way in, and the thread's end of it.
pub(super) fn inbox<M: Hurry>() -> (Sender<M>, Receiver<M>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            messages: VecDeque::new(),
            hurried: false,
            receiver: Receiving::Busy,
            abandoned: false,
        }),
        bell: Condvar::new(),
    });
    let end = Arc::new(SendersEnd(Arc::clone(&shared)));
    (Sender(end), Receiver(shared))
}

/// A way in. Clones are the same way; the receiver hears when the last one is dropped.
pub(super) struct Sender<M>(Arc<SendersEnd<M>>);

pub(super) struct Receiver<M>(Arc<Shared<M>>);

/// Nobody receives any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Why messages stop coming.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing came in the time given.
    Timeout,
    /// Nobody is left to send.
    Abandoned,
}

struct Shared<M> {
    state: Mutex<State<M>>,
    bell: Condvar,
}

struct State<M> {
    messages: VecDeque<M>,
    /// Somebody waits for one of them.
    hurried: bool,
    receiver: Receiving,
    abandoned: bool,
}

/// What the receiver does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// It looks for itself.
    Busy,
    /// It sleeps until something comes.
    Asleep,
    /// It sleeps until messages that have come have rested.
    Resting,
    Gone,
}

struct SendersEnd<M>(Arc<Shared<M>>);

impl<M> Drop for SendersEnd<M> {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.bell.notify_one();
    }
}

impl<M> Drop for Receiver<M> {
    fn drop(&mut self) {
        // Whoever waits for one of them hears of it now.
        drop(self.close());
    }
}

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Hurry> Sender<M> {
    /// # Errors
    /// [`Closed`]; the message is dropped.
    pub(super) fn send(&self, message: M) -> Result<(), Closed> {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let ring = match state.receiver {
            Receiving::Gone => return Err(Closed),
            Receiving::Busy => false,
            Receiving::Asleep => true,
            Receiving::Resting => message.hurries() || state.messages.len() >= RESTING_MAX,
        };
        state.hurried |= message.hurries();
        state.messages.push_back(message);
        if ring {
            state.receiver = Receiving::Busy;
            drop(state);
            shared.bell.notify_one();
        }
        Ok(())
    }
}

impl<M> Receiver<M> {
    /// Takes no more messages; returns those that have come.
    pub(super) fn close(&self) -> VecDeque<M> {
        let mut state = self.0.lock();
        state.receiver = Receiving::Gone;
        std::mem::take(&mut state.messages)
    }

    /// All messages that have come, at least one; waits for it for at most `patience`.
    ///
    /// # Errors
    /// [`Silence`].
    pub(super) fn receive(&self, patience: Option<Duration>) -> Result<VecDeque<M>, Silence> {
        let begun = Instant::now();
        let mut rested = None;
        let mut state = self.0.lock();
        loop {
            let until = match (state.messages.len(), state.hurried || state.abandoned) {
                (0, _) if state.abandoned => return Err(Silence::Abandoned),
                (0, _) => {
                    state.receiver = Receiving::Asleep;
                    patience.map(|patience| begun + patience)
                }
                (1..RESTING_MAX, false) => {
                    state.receiver = Receiving::Resting;
                    Some(*rested.get_or_insert_with(|| Instant::now() + REST))
                }
                (1.., _) => break,
            };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            match left {
                Some(Duration::ZERO) if state.messages.is_empty() => {
                    state.receiver = Receiving::Busy;
                    return Err(Silence::Timeout);
                }
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let woken = self.0.bell.wait_timeout(state, left);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => {
                    let woken = self.0.bell.wait(state);
                    state = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        state.receiver = Receiving::Busy;
        state.hurried = false;
        Ok(std::mem::take(&mut state.messages))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Message(u32, bool);

    impl Hurry for Message {
        fn hurries(&self) -> bool {
            self.1
        }
    }

    fn numbers(received: Result<VecDeque<Message>, Silence>) -> Vec<u32> {
        received.unwrap().iter().map(|m| m.0).collect()
    }

    #[test]
    fn messages_come_in_their_order_whether_they_hurry_or_not() {
        let (sender, receiver) = inbox();
        for n in 0..10 {
            sender.send(Message(n, n % 3 == 0)).unwrap();
        }
        assert_eq!(numbers(receiver.receive(None)), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_hurries_wakes_who_rests_and_what_does_not_is_received_all_the_same() {
        let (sender, receiver) = inbox();
        let received = thread::spawn(move || {
            let mut batches = Vec::new();
            while let Ok(batch) = receiver.receive(None) {
                batches.push(batch.len());
            }
            batches
        });
        for n in 0..2000 {
            sender.send(Message(n, n % 100 == 0)).unwrap();
        }
        drop(sender);
        let batches = received.join().unwrap();
        assert_eq!(batches.iter().sum::<usize>(), 2000);
    }

    #[test]
    fn one_message_in_no_hurry_is_received_without_another() {
        let (sender, receiver) = inbox();
        sender.send(Message(7, false)).unwrap();
        assert_eq!(numbers(receiver.receive(None)), [7]);
    }

    #[test]
    fn silence_is_told_from_abandonment() {
        let (sender, receiver) = inbox::<Message>();
        let brief = Some(Duration::from_millis(1));
        assert_eq!(receiver.receive(brief), Err(Silence::Timeout));
        let other = sender.clone();
        drop(sender);
        other.send(Message(1, false)).unwrap();
        drop(other);
        assert_eq!(numbers(receiver.receive(None)), [1]);
        assert_eq!(receiver.receive(None), Err(Silence::Abandoned));
    }

    #[test]
    fn nothing_is_taken_where_nobody_receives_and_what_lay_there_is_dropped() {
        struct Told(#[expect(dead_code, reason = "held to be counted")] Arc<()>);
        impl Hurry for Told {
            fn hurries(&self) -> bool {
                false
            }
        }
        let held = Arc::new(());
        let (sender, receiver) = inbox();
        sender.send(Told(Arc::clone(&held))).unwrap();
        assert_eq!(receiver.close().len(), 1);
        assert_eq!(sender.send(Told(Arc::clone(&held))), Err(Closed));
        let (sender, receiver) = inbox();
        sender.send(Told(Arc::clone(&held))).unwrap();
        drop(receiver);
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(sender.send(Told(Arc::clone(&held))), Err(Closed));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
