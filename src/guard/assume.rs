//! `sts:AssumeRole`, which the guard answers by itself: AWS would answer with keys that work without the guard.
//!
//! INVARIANT: a parameter that the guard can't honour is refused, never left out: with a session policy ignored the
//! session could do more than was asked for.
//! INVARIANT: a session never outlives the one that it was begun with, so that no session renews itself for ever.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::arn::{ArnError, RoleArn};
use crate::aws::value::{Object, Value};
use crate::guard::call::{AssumedRole, Call, Caller};
use crate::guard::keyring::{Session, SessionKey};

const DURATION_DEFAULT: Duration = Duration::from_secs(3600);
/// 15 minutes to 12 hours, in seconds.
const DURATION_SECONDS: std::ops::RangeInclusive<i64> = 900..=43200;
/// The longest that a role lasts which was assumed with the keys of another, in seconds.
const CHAINED_SECONDS_MAX: i64 = 3600;

/// What a caller asks for, as far as the guard gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    role: RoleArn,
    session_name: String,
    duration: Duration,
    external_id: Option<String>,
}

/// Why a caller doesn't get the role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssumeError {
    #[error("`{parameter}` is missing")]
    Missing { parameter: &'static str },
    #[error("`{parameter}` {problem}")]
    Invalid {
        parameter: &'static str,
        problem: String,
    },
    #[error(
        "`{parameter}` isn't honoured: the guard begins the session by itself and would give more than was asked for; leave it out"
    )]
    NotTaken { parameter: String },
    #[error("`SourceIdentity` is always the caller, `{caller}`: leave it out")]
    OtherIdentity { caller: String },
    #[error(
        "the caller `{caller}` may not assume `{role}`: its `may_assume` doesn't list the role"
    )]
    NotListed { caller: String, role: String },
}

impl Assumption {
    /// What a call of `sts:AssumeRole` asks for. `may_assume` are the ARNs of the roles that the configuration lets the
    /// caller assume.
    ///
    /// # Errors
    /// [`AssumeError`]: the parameters aren't AWS's, ask for what the guard can't give, or name another role.
    pub fn of(call: &Call, may_assume: &[String]) -> Result<Self, AssumeError> {
        let role = call.input.get("RoleArn").ok_or(missing("RoleArn"))?;
        let role = text("RoleArn", role)?;
        if !may_assume.contains(&role) {
            let caller = call.caller.name.clone();
            return Err(AssumeError::NotListed { caller, role });
        }
        let (mut session_name, mut external_id) = (None, None);
        let mut duration = DURATION_DEFAULT;
        for (name, value) in call.input.iter() {
            match name {
                "RoleArn" => {}
                "RoleSessionName" => {
                    session_name = Some(name_of("RoleSessionName", value, 2..=64, "_+=,.@-")?);
                }
                "ExternalId" => {
                    external_id = Some(name_of("ExternalId", value, 2..=1224, "_+=,.@:/-")?);
                }
                "DurationSeconds" => duration = seconds(value, &call.caller)?,
                "SourceIdentity" if value.as_str() == Some(&call.caller.name) => {}
                "SourceIdentity" => {
                    let caller = call.caller.name.clone();
                    return Err(AssumeError::OtherIdentity { caller });
                }
                // Nothing is asked for by an empty list.
                _ if value.as_list().is_some_and(<[Value]>::is_empty) => {}
                other => {
                    let parameter = other.to_owned();
                    return Err(AssumeError::NotTaken { parameter });
                }
            }
        }
        let session_name = session_name.ok_or(missing("RoleSessionName"))?;
        let role = RoleArn::parse(&role).map_err(|problem: ArnError| AssumeError::Invalid {
            parameter: "RoleArn",
            problem: format!("is {problem}"),
        })?;
        Ok(Self {
            role,
            session_name,
            duration,
            external_id,
        })
    }

    /// The account that the role is of.
    #[must_use]
    pub fn account(&self) -> &str {
        self.role.account()
    }

    /// The session that a caller begins now.
    #[must_use]
    pub fn session(&self, caller: &Caller, now: SystemTime) -> Session {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun = UNIX_EPOCH + Duration::from_secs(since.as_secs());
        let asked = begun + self.duration;
        let (parent, credentials, expires) = match caller.session.clone() {
            Some(session) => {
                let expires = asked.min(session.expires);
                (session.parent, session.credentials, expires)
            }
            None => (Some(caller.access_key_id.clone()), None, asked),
        };
        Session {
            caller: caller.name.clone(),
            parent,
            credentials,
            role: Some(AssumedRole {
                arn: self.role.to_string(),
                account: self.role.account().to_owned(),
                session_name: self.session_name.clone(),
                external_id: self.external_id.clone(),
            }),
            begun,
            expires,
        }
    }

    /// What STS answers, as members of `AssumeRoleResult`.
    #[must_use]
    pub fn answer(&self, session: &Session, key: &SessionKey) -> Object {
        let name = &self.session_name;
        let arn = session.role.as_ref().map(AssumedRole::session_arn);
        let arn = arn.unwrap_or_default();
        let user = [
            ("AssumedRoleId", format!("{}:{name}", role_id(&self.role))),
            ("Arn", arn),
        ];
        let credentials = [
            ("AccessKeyId", key.access_key_id.clone()),
            ("SecretAccessKey", key.secret_access_key.expose().to_owned()),
            ("SessionToken", key.session_token.clone()),
            ("Expiration", timestamp(session.expires)),
        ];
        let object = |members: &[(&str, String)]| {
            let member =
                |(name, text): &(&str, String)| ((*name).to_owned(), Value::String(text.clone()));
            Value::Object(members.iter().map(member).collect())
        };
        let result = [
            ("AssumedRoleUser", object(&user)),
            ("Credentials", object(&credentials)),
            ("SourceIdentity", Value::String(session.caller.clone())),
        ];
        let result = result.into_iter();
        result
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// An id in the shape of AWS's, the same for the same role.
fn role_id(role: &RoleArn) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(role.to_string());
    let letters = digest.iter().take(9);
    let letters = letters.filter_map(|byte| LETTERS.get(usize::from(byte & 31)));
    let letters: String = letters.map(|letter| char::from(*letter)).collect();
    format!("AROAPALISADE{letters}")
}

fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}

const fn missing(parameter: &'static str) -> AssumeError {
    AssumeError::Missing { parameter }
}

fn text(parameter: &'static str, value: &Value) -> Result<String, AssumeError> {
    let text = value.as_str().ok_or_else(|| AssumeError::Invalid {
        parameter,
        problem: "must be a string".to_owned(),
    })?;
    Ok(text.to_owned())
}

/// A text of so many letters, digits and other characters.
fn name_of(
    parameter: &'static str,
    value: &Value,
    length: std::ops::RangeInclusive<usize>,
    others: &str,
) -> Result<String, AssumeError> {
    let text = text(parameter, value)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    if length.contains(&text.len()) && text.chars().all(fits) {
        return Ok(text);
    }
    let (from, to) = (length.start(), length.end());
    Err(AssumeError::Invalid {
        parameter,
        problem: format!("must hold {from} to {to} letters, digits and `{others}`"),
    })
}

fn seconds(value: &Value, caller: &Caller) -> Result<Duration, AssumeError> {
    let invalid = |problem: String| AssumeError::Invalid {
        parameter: "DurationSeconds",
        problem,
    };
    let (from, to) = (DURATION_SECONDS.start(), DURATION_SECONDS.end());
    let seconds = value
        .as_i64()
        .filter(|seconds| DURATION_SECONDS.contains(seconds))
        .ok_or_else(|| invalid(format!("must be {from} to {to}")))?;
    if caller.role.is_some() && seconds > CHAINED_SECONDS_MAX {
        return Err(invalid(format!(
            "must not be more than {CHAINED_SECONDS_MAX} where a role is assumed with the keys of another"
        )));
    }
    u64::try_from(seconds)
        .map(Duration::from_secs)
        .map_err(|_| invalid(format!("must be {from} to {to}")))
}

#[cfg(test)]
mod tests;
