//! Every reason for not forwarding a call: one enum, and the class of answer that each gets.

/// The class of an answer, which says what a client may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerClass {
    /// Denied: final.
    Denied,
    /// Not authenticated.
    Unauthenticated,
    /// Nothing was sent and it heals within a minute.
    Retry,
    /// Sent, no answer.
    Unknown,
    /// Malformed: answered, then closed.
    Malformed,
}
