//! From a refusal to an answer in the service's own shape, and to a record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::header::DATE;
use http::{HeaderValue, Response, StatusCode};

use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::answer::{self, Format, Shape};
use crate::guard::call::{Call, DecisionId};
use crate::journal::record::{Judgement, Refused};
use crate::journal::{Record, uuid_at};
use crate::proxy::Body;

/// How many log lines a second strangers may cause, and how many records.
const LINES_PER_SECOND: u32 = 10;

/// Bounds the log lines, or the records, that somebody who isn't authenticated can cause.
#[derive(Debug, Default)]
pub struct LogRate(Mutex<(Option<Instant>, u32)>);

impl LogRate {
    /// Whether one more line may be written in this second.
    pub(super) fn permits(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = &mut *state;
        if since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            (*since, *lines) = (Some(Instant::now()), 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= LINES_PER_SECOND
    }
}

impl Guard {
    /// Answers a refusal. Once the caller is known it is recorded too: durably before the answer, where the call is
    /// guarded.
    pub(super) async fn refuse(&self, trail: &mut Trail, refusal: &Refusal) -> Response<Body> {
        // A call that was sent has its records already: its decision and its outcome.
        let sent = matches!(
            refusal,
            Refusal::OutcomeUnknown { .. } | Refusal::Unreachable { .. } | Refusal::Barred { .. }
        );
        // Whoever isn't authenticated may cause a few records, and no more.
        let recorded =
            |call: &Arc<Call>| !sent && (call.caller.is_verified() || self.strangers.permits());
        let Some(call) = trail.call.clone().filter(recorded) else {
            return self.answer_unrecorded(trail, refusal);
        };
        let (response, code, message) = self.answer(trail, refusal);
        let refused = Refused {
            reason: refusal.reason(),
            status: response.status().as_u16(),
            code,
            message,
        };
        let decision = refusal.decision();
        let record =
            Record::decision(self.record(trail, &call, decision, Judgement::Refused(refused)));
        let recorded = if call.guarded && call.caller.is_verified() {
            self.journal.append(record).await.map(|_| ())
        } else {
            self.journal.append_later(record)
        };
        if let Err(error) = recorded {
            tracing::error!(decision = %trail.id, reason = refusal.reason(), "a refusal could not be recorded: {error}");
        }
        response
    }

    /// Answers a refusal that has no record: its caller isn't known, or its records are written.
    pub(super) fn answer_unrecorded(&self, trail: &Trail, refusal: &Refusal) -> Response<Body> {
        let (response, _, message) = self.answer(trail, refusal);
        self.metrics.refused_unrecorded(refusal.reason());
        if trail.action.is_none() {
            self.metrics.unidentified(refusal.reason());
        }
        if self.log_rate.permits() {
            tracing::info!(peer = %trail.peer, host = %trail.host, reason = refusal.reason(), "{message}");
        }
        response
    }

    /// Answers where there is no request to speak of: it stands on the wrong connection, or can't be read.
    pub(super) fn answer_bare(&self, refusal: Refusal) -> Response<Body> {
        let now = self.clock.now();
        let id = DecisionId(uuid_at(now));
        let shape = Shape {
            format: Format::RestJson,
            denied: None,
            query_compatible: false,
            bodiless: false,
        };
        self.metrics.refused_unrecorded(refusal.reason());
        self.metrics.unidentified(refusal.reason());
        self.response(&shape, &refusal, &refusal.told(None, id), id)
            .0
    }

    fn answer(&self, trail: &Trail, refusal: &Refusal) -> (Response<Body>, String, String) {
        let message = refusal.told(trail.action.as_deref(), trail.id);
        let (response, code) = self.response(&trail.shape, refusal, &message, trail.id);
        (response, code, message)
    }

    fn response(
        &self,
        shape: &Shape,
        refusal: &Refusal,
        message: &str,
        id: DecisionId,
    ) -> (Response<Body>, String) {
        let mut answer = answer::refusal(shape, refusal.kind(), message, &id.to_string());
        if let Refusal::Misdirected { .. } = refusal {
            answer.status = StatusCode::MISDIRECTED_REQUEST;
        }
        let mut response = Response::new(Body::full(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if let Some(date) = http_date(self.clock.now()) {
            response.headers_mut().insert(DATE, date);
        }
        (response, answer.code)
    }
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
pub(super) fn http_date(now: SystemTime) -> Option<HeaderValue> {
    let now = time::OffsetDateTime::from(now);
    let text = format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        now.weekday().to_string().get(..3)?,
        now.day(),
        now.month().to_string().get(..3)?,
        now.year(),
        now.hour(),
        now.minute(),
        now.second()
    );
    HeaderValue::from_str(&text).ok()
}
