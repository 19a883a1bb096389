//! What AWS answered, looked at before the client gets it.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

use aws_credential_types::Credentials;
use flate2::read::GzDecoder;
use http::header::CONTENT_ENCODING;
use http::{Response, StatusCode};

use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::protocol::{self, UpstreamError};
use crate::guard::call::Call;
use crate::guard::facts::is_busy;
use crate::proxy::body::{Budget, Buffered, read_whole};
use crate::proxy::upstream::Answer;
use crate::proxy::{Body, Timeouts};

/// The longest answer to a guarded call that changes something, in bytes. They are a few KiB.
pub(super) const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The longest answer that is an error of the client's, in bytes.
pub(super) const ERROR_BYTES_MAX: u64 = 1024 * 1024;
/// Shorter than this, a part of a credential may stand anywhere by chance.
const MARK_CHARS_MIN: usize = 12;
/// With what AWS answers a signature that it doesn't take.
const DISOWNING: [StatusCode; 3] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
];

/// What tells in an answer that it repeats what the guard signed with. Prints as `[redacted]`.
pub(super) struct SignedWith(Vec<String>);

impl SignedWith {
    /// The access key id, and the longest part of the session token that is spelt alike in every escaping.
    pub(super) fn of(credentials: &Credentials) -> Self {
        let token = credentials.session_token().unwrap_or_default();
        let parts = token.split(|c: char| !c.is_ascii_alphanumeric());
        let longest = parts.max_by_key(|part| part.len()).unwrap_or_default();
        let marks = [credentials.access_key_id(), longest].into_iter();
        Self(
            marks
                .filter(|mark| mark.len() >= MARK_CHARS_MIN)
                .map(str::to_owned)
                .collect(),
        )
    }

    fn stands_in(&self, body: &[u8]) -> bool {
        let mut marks = self.0.iter().map(String::as_bytes);
        marks.any(|mark| body.windows(mark.len()).any(|window| window == mark))
    }
}

impl fmt::Debug for SignedWith {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Whether an answer may repeat what the guard signed with. Of a call that its caller signed, it can't.
pub(super) fn may_disown(call: &Call, status: StatusCode) -> bool {
    call.caller.is_verified() && DISOWNING.contains(&status)
}

impl Guard {
    /// Reads an answer to its end before the client gets any of it: one that breaks off halfway looks to most SDKs like
    /// a connection that failed, and they send the call again.
    pub(super) async fn whole(
        &self,
        response: Response<Answer>,
        bytes_max: u64,
    ) -> Result<Response<Buffered>, Refusal> {
        let (head, body) = response.into_parts();
        let status = head.status;
        // A budget of its own: what others send may not cost this client its answer.
        let budget = Budget::new(bytes_max);
        let timeouts = Timeouts {
            body_total: self.timeouts.body_stall,
            ..self.timeouts
        };
        match read_whole(body, bytes_max, &budget, &timeouts).await {
            Ok(body) => Ok(Response::from_parts(head, body)),
            Err(error) => Err(Refusal::OutcomeUnknown {
                message: format!("AWS answered {status}, but not to the end: {error}"),
            }),
        }
    }

    /// AWS explains a signature that it doesn't take by repeating what was signed, the session token too; and the
    /// signature is the guard's. The client learns that it is, and none of AWS's words.
    pub(super) fn unless_of_the_signature(
        &self,
        trail: &Trail,
        call: &Call,
        answer: Response<Buffered>,
    ) -> Response<Body> {
        if !may_disown(call, answer.status()) {
            return answer.map(Body::buffered);
        }
        let what = match plain(&answer) {
            Some(body) => {
                let error = error_of(call, &answer);
                let signed_with = trail.signed_with.as_ref();
                let stands = signed_with.is_some_and(|with| with.stands_in(&body));
                if !stands && !error.repeats_the_signature() {
                    return answer.map(Body::buffered);
                }
                format!(
                    "AWS doesn't take the guard's own signature ({})",
                    error.code
                )
            }
            None => format!(
                "AWS answered {} in an encoding that can't be looked into, and may not take the guard's own signature",
                answer.status()
            ),
        };
        let message =
            format!("{what}: see that its clock is right, and its credentials (`[credentials.*]`)");
        tracing::error!(decision = %trail.id, "{message}");
        self.answer_unrecorded(trail, &Refusal::CredentialsLasting { message })
    }
}

/// A fault of AWS's own leaves open whether a destructive call has happened, and SDKs answer it by sending the call
/// again: that is told as unknown instead. An answer of AWS's that it was too busy is passed on: it says that nothing
/// has happened.
pub(super) fn may_be_repeated(call: &Call, answer: &Response<Buffered>) -> Result<(), Refusal> {
    let status = answer.status();
    if !call.class.destroys() || !status.is_server_error() {
        return Ok(());
    }
    let error = error_of(call, answer);
    if is_busy(&error.code) {
        return Ok(());
    }
    Err(Refusal::OutcomeUnknown {
        message: format!("AWS answered {status}: {error}"),
    })
}

/// The error that an answer is; what can't be read has its status for a code.
fn error_of(call: &Call, answer: &Response<Buffered>) -> UpstreamError {
    let body = plain(answer).unwrap_or_default();
    protocol::decode_error(call.protocol, answer.status(), answer.headers(), &body)
}

/// The body without its encoding; `None` where that isn't known, or it holds more than an error does.
fn plain(answer: &Response<Buffered>) -> Option<Cow<'_, [u8]>> {
    let body = answer.body().bytes();
    let mut encodings = answer.headers().get_all(CONTENT_ENCODING).iter();
    let encoding = encodings.next().map(|e| e.as_bytes().to_ascii_lowercase());
    match (encoding.as_deref(), encodings.next()) {
        (None | Some(b"identity"), None) => Some(Cow::Borrowed(body)),
        (Some(b"gzip"), None) => {
            let mut plain = Vec::new();
            let mut bounded = GzDecoder::new(body.as_ref()).take(ERROR_BYTES_MAX + 1);
            bounded.read_to_end(&mut plain).ok()?;
            let fits = u64::try_from(plain.len()).is_ok_and(|len| len <= ERROR_BYTES_MAX);
            fits.then_some(Cow::Owned(plain))
        }
        (Some(_), _) | (None, Some(_)) => None,
    }
}
