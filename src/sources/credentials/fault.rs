//! Why there are no upstream credentials: what a person must mend, and what heals by itself.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::ConnectorError;

use super::source::CredentialSource;

/// The longest detail that a log line gets.
const DETAIL_CHARS_MAX: usize = 400;

/// Why there are no credentials for a table. The text is fit for the client; [`CredentialsFault::detail`] is
/// for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no upstream credentials from `[credentials.{name}]`: {cause}")]
pub struct CredentialsFault {
    name: String,
    cause: Cause,
    detail: String,
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("the configuration has no such table")]
    NoTable,
    #[error("there is no login, or it has expired; run `{command}`")]
    LoginExpired { command: String },
    #[error(
        "none were found; log in (`{command}`), set AWS's variables, or name a profile in the table"
    )]
    NotFound { command: String },
    #[error(
        "the profile `{profile}` of the AWS configuration is not there or holds none; `aws configure --profile {profile}` writes one"
    )]
    EmptyProfile { profile: String },
    #[error("the AWS configuration is wrong: {0}")]
    Misconfigured(String),
    #[error("the profile uses `aws login`, which isn't built yet; give it a `credential_process`")]
    ConsoleLogin,
    #[error("the credential process failed; run it by hand, log in again if it asks for that")]
    ProcessFailed,
    #[error("AWS refused to give them; check the role and who may take it on")]
    Refused,
    #[error(
        "the source gives one of Palisade's own virtual keys; start the guard without AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and such a profile"
    )]
    VirtualKey,
    #[error("the source gives credentials that have expired; log in again (`{command}`)")]
    AlreadyExpired { command: String },
    #[error(
        "the parent proxy wants another user and password than those in `upstream.proxy`; mend them there"
    )]
    ParentRefused,
    #[error("their source cannot be reached at the moment")]
    Unreachable,
    #[error(
        "AWS doesn't let {by} assume the role `{role}`: its trust policy must allow them `sts:AssumeRole` and `sts:SetSourceIdentity`, with the external id of the table or of the session if it asks for one, and so must their own policies"
    )]
    RoleDenied { role: String, by: String },
    #[error(
        "AWS doesn't give the role `{role}` to {by} ({code}); renew them if they have expired, and check the role"
    )]
    RoleRefused {
        role: String,
        by: String,
        code: String,
    },
    #[error("what STS answers about the role `{role}` can't be used; the log says why")]
    RoleUnreadable { role: String },
    #[error(
        "the credentials of the role `{role}` have expired on arrival; check the guard's clock"
    )]
    RoleExpired { role: String },
    #[error("STS is busy or can't be reached at the moment")]
    StsUnreachable,
    #[error("STS can't be asked: {why}")]
    StsBarred { why: String },
    #[error("AWS doesn't take them ({code}); renew them, or mend the table")]
    IdentityRefused { code: String },
    #[error("the catalog lacks {what}; build one with `sts`, or use the one that Palisade brings")]
    NoSts { what: String },
    #[error(
        "`{{account}}` could stand for each of `{}`: the call must come with a session of a role in one of them (`sts:AssumeRole`; `may_assume` of the caller lists the role)",
        accounts.join("`, `")
    )]
    WhichAccount { accounts: Vec<String> },
    #[error("the role is of account `{account}`, and `accounts` lists only `{}`", accounts.join("`, `"))]
    OutOfReach {
        account: String,
        accounts: Vec<String>,
    },
    #[error(
        "`guarded_role_arn` is `{role}`, and the call was judged in account `{account}`: write `{{account}}` in its account's place, or give that account a table of its own"
    )]
    OtherAccount { role: String, account: String },
    #[error(
        "the role `{role}` is of another partition than the call, which goes to `{partition}`: give that one a table of its own"
    )]
    OtherPartition { role: String, partition: String },
    #[error("the session is of `{role}`, which isn't a role of its account; begin another one")]
    BadSession { role: String },
}

impl CredentialsFault {
    pub(super) fn new(name: &str, cause: Cause, detail: String) -> Self {
        Self {
            name: name.to_owned(),
            cause,
            detail,
        }
    }

    /// What AWS's chain failed with, understood.
    pub(super) fn of(name: &str, source: &CredentialSource, error: &CredentialsError) -> Self {
        let detail = detail(error);
        Self::new(name, cause(source, error, &detail), detail)
    }

    /// What is in the way.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Whether a person must mend it. What doesn't last heals within a minute or so, and may be tried again.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self.cause {
            Cause::NoTable
            | Cause::LoginExpired { .. }
            | Cause::NotFound { .. }
            | Cause::EmptyProfile { .. }
            | Cause::Misconfigured(_)
            | Cause::StsBarred { .. }
            | Cause::ConsoleLogin
            | Cause::ProcessFailed
            | Cause::Refused
            | Cause::ParentRefused
            | Cause::VirtualKey
            | Cause::AlreadyExpired { .. }
            | Cause::RoleDenied { .. }
            | Cause::RoleRefused { .. }
            | Cause::RoleUnreadable { .. }
            | Cause::RoleExpired { .. }
            | Cause::IdentityRefused { .. }
            | Cause::NoSts { .. }
            | Cause::WhichAccount { .. }
            | Cause::OutOfReach { .. }
            | Cause::OtherAccount { .. }
            | Cause::OtherPartition { .. }
            | Cause::BadSession { .. } => true,
            Cause::Unreachable | Cause::StsUnreachable => false,
        }
    }

    /// Whether it is an account that these credentials don't reach, and no fault of the credentials themselves.
    #[must_use]
    pub const fn is_of_account(&self) -> bool {
        matches!(
            self.cause,
            Cause::WhichAccount { .. } | Cause::OutOfReach { .. } | Cause::OtherAccount { .. }
        )
    }

    /// What the source said, in one printable line, for the log.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

fn cause(source: &CredentialSource, error: &CredentialsError, detail: &str) -> Cause {
    let command = login_command(source);
    let says = |words: &[&str]| words.iter().any(|w| detail.contains(w));
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        return match source {
            CredentialSource::Profile(_) if says(&["was not defined"]) => {
                Cause::Misconfigured(innermost(error))
            }
            CredentialSource::Profile(profile) => Cause::EmptyProfile {
                profile: printable(profile),
            },
            CredentialSource::Default | CredentialSource::Static(_) => Cause::NotFound { command },
        };
    }
    if says(&["credentials-login"]) {
        return Cause::ConsoleLogin;
    }
    if matches!(error, CredentialsError::InvalidConfiguration(_)) {
        return Cause::Misconfigured(innermost(error));
    }
    if says(&[
        "the SSO token has expired",
        "failed to load the cached SSO token",
        ".aws/sso/cache",
        "cached SSO token file",
        "UnauthorizedException",
    ]) {
        return Cause::LoginExpired { command };
    }
    if says(&["external process"]) {
        return Cause::ProcessFailed;
    }
    if says(&["proxy authorization required"]) {
        return Cause::ParentRefused;
    }
    if matches!(error, CredentialsError::ProviderTimedOut(_)) || passes(error, &says) {
        return Cause::Unreachable;
    }
    if says(&["ExpiredToken", "InvalidIdentityToken"]) {
        return Cause::LoginExpired { command };
    }
    Cause::Refused
}

/// Whether nothing but the way to the source, or its load, is at fault.
fn passes(error: &CredentialsError, says: &impl Fn(&[&str]) -> bool) -> bool {
    let is_connection = |e: &(dyn Error + 'static)| e.downcast_ref::<ConnectorError>().is_some();
    chain(error).any(is_connection)
        || says(&[
            "timed out",
            "timeout",
            "Throttl",
            "TooManyRequests",
            "ServiceUnavailable",
            "InternalFailure",
            "InternalServer",
            "IDPCommunicationError",
            "StatusCode(429",
            "StatusCode(5",
            "code: 429",
            "code: 5",
        ])
}

fn chain(error: &CredentialsError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&e| e.source())
}

/// What each error of the chain says, in one line without control characters.
fn detail(error: &CredentialsError) -> String {
    let all: Vec<String> = chain(error).map(ToString::to_string).collect();
    printable(&all.join(": "))
}

fn innermost(error: &CredentialsError) -> String {
    let last = chain(error).last().map(ToString::to_string);
    printable(&last.unwrap_or_default())
}

pub(super) fn printable(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).take(DETAIL_CHARS_MAX).collect()
}

/// What a person runs to log in again.
pub(super) fn login_command(source: &CredentialSource) -> String {
    let profile = match source {
        CredentialSource::Profile(name) => Some(name.clone()),
        CredentialSource::Default => std::env::var("AWS_PROFILE").ok(),
        CredentialSource::Static(_) => None,
    };
    let Some(profile) = profile.filter(|p| !p.is_empty()) else {
        return "aws sso login".to_owned();
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    if profile.chars().all(plain) {
        return format!("aws sso login --profile {profile}");
    }
    let quoted = printable(&profile).replace('\'', r"'\''");
    format!("aws sso login --profile '{quoted}'")
}
