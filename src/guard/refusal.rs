//! Every reason for not forwarding a call, and what each tells the client.

use std::borrow::Cow;

use crate::aws::answer::Kind;
use crate::aws::sigv4::{AuthError, Family};
use crate::guard::answer::AskError;
use crate::guard::assume::AssumeError;
use crate::guard::call::DecisionId;
use crate::guard::decide::{Decision, Denial};
use crate::guard::facts::EnquiryError;
use crate::guard::keyring::UnknownKey;
use crate::guard::presign::PresignError;

/// Why a call is not forwarded. Each variant is one value of the label `reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// CONNECT host, SNI and Host disagree.
    Misdirected { connected: String, found: String },
    /// A name of AWS's that no model covers.
    UnmodelledHost { host: String },
    /// A service whose operations the catalog lacks.
    UnmodelledService { service: String },
    /// Reads well, and names what isn't known.
    NotUnderstood { message: String },
    /// Ambiguous or badly framed.
    Malformed { message: String },
    /// The body is larger than its bound.
    TooLarge { message: String },
    /// The body didn't come in time, or broke off.
    BodyBroken { message: String },
    /// Whose signature it is isn't known, or it isn't theirs.
    Unauthenticated { kind: Kind, message: String },
    /// The client proved at the proxy port to be another caller than the one who signed.
    OtherCaller { proven: String, signer: String },
    /// A guarded call that is signed with a key that isn't Palisade's.
    ForeignKey { access_key_id: String },
    /// Nobody can tell any more which virtual keys are revoked, so none is taken.
    LedgerUnread { message: String },
    /// The guard is at its bounds.
    Overloaded { message: String },
    /// A policy forbids it.
    Forbidden {
        decision: Decision,
        reason: Option<String>,
    },
    /// No policy permits it.
    NotPermitted { decision: Decision },
    /// A policy erred.
    PolicyError { policy: String, message: String },
    /// A policy reads what can't be looked up.
    UnknowableFact { message: String },
    /// AWS doesn't know a resource.
    UnknownResource { message: String },
    /// AWS doesn't let the guard look at a resource, and won't the next time.
    LookupDenied { message: String },
    /// A lookup failed, and may not the next time.
    LookupFailed { message: String },
    /// The configuration doesn't let the caller assume the role.
    NotAssumable { message: String },
    /// No URL may be presigned for such a call.
    NotPresignable { message: String },
    /// The caller's upstream credentials reach other accounts than this one.
    Account { message: String },
    /// There are no upstream credentials, and there will be none until somebody acts.
    CredentialsLasting { message: String },
    /// Upstream credentials could not be had just now.
    CredentialsPassing { message: String },
    /// The decision could not be recorded.
    JournalFailed { message: String },
    /// Nothing was sent: AWS could not be reached.
    Unreachable { message: String },
    /// Nothing was sent: AWS can't be reached until somebody acts.
    Barred { message: String },
    /// It was sent, and no answer came.
    OutcomeUnknown { message: String },
    /// The guard itself is at fault.
    Internal { message: String },
}

impl Refusal {
    /// Every value of the label `reason`.
    pub const REASONS: [&'static str; 29] = [
        "misdirected",
        "unmodelled_host",
        "unmodelled_service",
        "not_understood",
        "malformed",
        "too_large",
        "body_broken",
        "unauthenticated",
        "other_caller",
        "foreign_key",
        "ledger_unread",
        "overloaded",
        "forbidden",
        "not_permitted",
        "policy_error",
        "unknowable_fact",
        "unknown_resource",
        "lookup_denied",
        "lookup_failed",
        "not_assumable",
        "not_presignable",
        "account",
        "credentials_lasting",
        "credentials_passing",
        "journal_failed",
        "unreachable",
        "barred",
        "outcome_unknown",
        "internal",
    ];

    /// The refusal's name in metrics and records.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Refusal::Misdirected { .. } => "misdirected",
            Refusal::UnmodelledHost { .. } => "unmodelled_host",
            Refusal::UnmodelledService { .. } => "unmodelled_service",
            Refusal::NotUnderstood { .. } => "not_understood",
            Refusal::Malformed { .. } => "malformed",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::BodyBroken { .. } => "body_broken",
            Refusal::Unauthenticated { .. } => "unauthenticated",
            Refusal::OtherCaller { .. } => "other_caller",
            Refusal::ForeignKey { .. } => "foreign_key",
            Refusal::LedgerUnread { .. } => "ledger_unread",
            Refusal::Overloaded { .. } => "overloaded",
            Refusal::Forbidden { .. } => "forbidden",
            Refusal::NotPermitted { .. } => "not_permitted",
            Refusal::PolicyError { .. } => "policy_error",
            Refusal::UnknowableFact { .. } => "unknowable_fact",
            Refusal::UnknownResource { .. } => "unknown_resource",
            Refusal::LookupDenied { .. } => "lookup_denied",
            Refusal::LookupFailed { .. } => "lookup_failed",
            Refusal::NotAssumable { .. } => "not_assumable",
            Refusal::NotPresignable { .. } => "not_presignable",
            Refusal::Account { .. } => "account",
            Refusal::CredentialsLasting { .. } => "credentials_lasting",
            Refusal::CredentialsPassing { .. } => "credentials_passing",
            Refusal::JournalFailed { .. } => "journal_failed",
            Refusal::Unreachable { .. } => "unreachable",
            Refusal::Barred { .. } => "barred",
            Refusal::OutcomeUnknown { .. } => "outcome_unknown",
            Refusal::Internal { .. } => "internal",
        }
    }

    /// What the answer tells the client to do next.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Refusal::Misdirected { .. }
            | Refusal::Malformed { .. }
            | Refusal::BodyBroken { .. } => Kind::Malformed,
            Refusal::Unauthenticated { kind, .. } => *kind,
            Refusal::Overloaded { .. }
            | Refusal::LookupFailed { .. }
            | Refusal::CredentialsPassing { .. }
            | Refusal::Unreachable { .. } => Kind::Retry,
            Refusal::OutcomeUnknown { .. } => Kind::OutcomeUnknown,
            Refusal::UnmodelledHost { .. }
            | Refusal::UnmodelledService { .. }
            | Refusal::NotUnderstood { .. }
            | Refusal::OtherCaller { .. }
            | Refusal::ForeignKey { .. }
            | Refusal::LedgerUnread { .. }
            | Refusal::TooLarge { .. }
            | Refusal::Forbidden { .. }
            | Refusal::NotPermitted { .. }
            | Refusal::PolicyError { .. }
            | Refusal::UnknowableFact { .. }
            | Refusal::UnknownResource { .. }
            | Refusal::LookupDenied { .. }
            | Refusal::NotAssumable { .. }
            | Refusal::NotPresignable { .. }
            | Refusal::Account { .. }
            | Refusal::CredentialsLasting { .. }
            | Refusal::JournalFailed { .. }
            | Refusal::Barred { .. }
            | Refusal::Internal { .. } => Kind::Denied,
        }
    }

    /// What the policies said, where it was they who refused.
    #[must_use]
    pub const fn decision(&self) -> Option<&Decision> {
        match self {
            Refusal::Forbidden { decision, .. } | Refusal::NotPermitted { decision } => {
                Some(decision)
            }
            Refusal::Misdirected { .. }
            | Refusal::UnmodelledHost { .. }
            | Refusal::UnmodelledService { .. }
            | Refusal::NotUnderstood { .. }
            | Refusal::Malformed { .. }
            | Refusal::TooLarge { .. }
            | Refusal::BodyBroken { .. }
            | Refusal::Unauthenticated { .. }
            | Refusal::OtherCaller { .. }
            | Refusal::ForeignKey { .. }
            | Refusal::LedgerUnread { .. }
            | Refusal::Overloaded { .. }
            | Refusal::PolicyError { .. }
            | Refusal::UnknowableFact { .. }
            | Refusal::UnknownResource { .. }
            | Refusal::LookupDenied { .. }
            | Refusal::LookupFailed { .. }
            | Refusal::NotAssumable { .. }
            | Refusal::NotPresignable { .. }
            | Refusal::Account { .. }
            | Refusal::CredentialsLasting { .. }
            | Refusal::CredentialsPassing { .. }
            | Refusal::JournalFailed { .. }
            | Refusal::Unreachable { .. }
            | Refusal::Barred { .. }
            | Refusal::OutcomeUnknown { .. }
            | Refusal::Internal { .. } => None,
        }
    }

    /// What the client reads: who refused, what, why, and under which id it's recorded.
    #[must_use]
    pub fn told(&self, action: Option<&str>, id: DecisionId) -> String {
        let action = action
            .map(|action| format!(" {action}"))
            .unwrap_or_default();
        let verb = match self.kind() {
            Kind::Denied => "refused",
            Kind::Unsigned
            | Kind::UnknownKey
            | Kind::BadSignature
            | Kind::Stale
            | Kind::Expired => "doesn't know who signed",
            Kind::Retry => "can't send just now",
            Kind::OutcomeUnknown => "sent and got no answer to",
            Kind::Malformed => "can't take",
        };
        format!("palisade {verb}{action}: {} (decision {id})", self.why())
    }

    /// Why, in one sentence.
    #[must_use]
    pub fn why(&self) -> Cow<'_, str> {
        match self {
            Refusal::Misdirected { connected, found } => {
                format!("this connection is for `{connected}`, the request for `{found}`").into()
            }
            Refusal::UnmodelledHost { host } => format!(
                "`{host}` is a host of AWS's that is no API of the catalog; name it in `egress.allow` to tunnel to it"
            )
            .into(),
            Refusal::UnmodelledService { service } => {
                format!("the catalog has no operations of `{service}`; `palisade catalog build` makes one that has, for `catalog` of the configuration").into()
            }
            Refusal::OtherCaller { proven, signer } => format!(
                "the connection to the proxy was proven to be `{proven}`'s, and the request is signed by `{signer}`: use the keys and the certificate of one caller"
            )
            .into(),
            Refusal::ForeignKey { access_key_id } => format!(
                "this call is guarded, and goes on only where it is known who asks; `{access_key_id}` isn't a key of Palisade's: sign with one (`palisade keys new NAME`)"
            )
            .into(),
            Refusal::Forbidden { decision, reason } => {
                let policies = decision.policies.join("`, `");
                let reason = reason.as_deref().unwrap_or("a policy forbids it");
                format!("{}{reason} (policy `{policies}`)", on(decision)).into()
            }
            Refusal::NotPermitted { decision } => format!("{}no policy permits it", on(decision)).into(),
            Refusal::PolicyError { policy, message } => {
                format!("policy `{policy}` could not be evaluated: {message}").into()
            }
            Refusal::OutcomeUnknown { message } => {
                format!("{message}; it may have happened: look before you repeat it").into()
            }
            Refusal::NotUnderstood { message }
            | Refusal::Malformed { message }
            | Refusal::TooLarge { message }
            | Refusal::BodyBroken { message }
            | Refusal::Unauthenticated { message, .. }
            | Refusal::LedgerUnread { message }
            | Refusal::Overloaded { message }
            | Refusal::UnknowableFact { message }
            | Refusal::UnknownResource { message }
            | Refusal::LookupDenied { message }
            | Refusal::LookupFailed { message }
            | Refusal::NotAssumable { message }
            | Refusal::NotPresignable { message }
            | Refusal::Account { message }
            | Refusal::CredentialsLasting { message }
            | Refusal::CredentialsPassing { message }
            | Refusal::JournalFailed { message }
            | Refusal::Unreachable { message }
            | Refusal::Barred { message }
            | Refusal::Internal { message } => message.into(),
        }
    }
}

/// The refused resources, for a message: the first three and how many more.
fn on(decision: &Decision) -> String {
    let refused = decision
        .resources
        .iter()
        .filter(|r| r.verdict == super::call::Verdict::Refused);
    let ids: Vec<&str> = refused.map(|r| r.id.as_str()).collect();
    let shown = ids
        .iter()
        .take(3)
        .map(|id| format!("`{id}`"))
        .collect::<Vec<_>>()
        .join(", ");
    match ids.len() {
        0 => String::new(),
        1..=3 => format!("{shown}: "),
        more => format!("{shown} and {} more: ", more - 3),
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Forbidden { decision, reason } => Refusal::Forbidden { decision, reason },
            Denial::NotPermitted { decision } => Refusal::NotPermitted { decision },
            Denial::Error { policy, message } => Refusal::PolicyError { policy, message },
            Denial::Unreadable { message } => Refusal::Malformed { message },
            Denial::Unjudgeable { message } => Refusal::Internal { message },
        }
    }
}

impl From<EnquiryError> for Refusal {
    fn from(error: EnquiryError) -> Self {
        let message = error.to_string();
        match error {
            EnquiryError::NoWay { .. } | EnquiryError::Unresolvable { .. } => {
                Refusal::UnknowableFact { message }
            }
            EnquiryError::UnknownId { .. } => Refusal::UnknownResource { message },
            EnquiryError::Denied { .. } | EnquiryError::Rejected { .. } => {
                Refusal::LookupDenied { message }
            }
            EnquiryError::Failed { .. } => Refusal::LookupFailed { message },
        }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        let kind = match (&error, error.family()) {
            (AuthError::Missing, _) => Kind::Unsigned,
            (_, Family::UnknownKey) => Kind::UnknownKey,
            (_, Family::BadSignature | Family::Malformed) => Kind::BadSignature,
            (_, Family::Stale) => Kind::Stale,
            (_, Family::Expired) => Kind::Expired,
        };
        Refusal::Unauthenticated {
            kind,
            message: error.to_string(),
        }
    }
}

impl From<UnknownKey> for Refusal {
    /// What the client reads doesn't tell whose key it was.
    fn from(error: UnknownKey) -> Self {
        let message = match &error {
            UnknownKey::NotVirtual
            | UnknownKey::SessionToken
            | UnknownKey::TokenMissing
            | UnknownKey::BadToken => error.to_string(),
            UnknownKey::NotOurs | UnknownKey::Revoked { .. } => {
                "the virtual key is not valid here: issue a new one with `palisade keys new NAME`"
                    .to_owned()
            }
            UnknownKey::RoleGone { .. } | UnknownKey::CredentialsGone { .. } => {
                "the session is no longer valid here: begin a new one".to_owned()
            }
            UnknownKey::Expired { .. } => "the session has expired: begin a new one".to_owned(),
        };
        let kind = match error.family() {
            Family::Expired => Kind::Expired,
            Family::UnknownKey | Family::BadSignature | Family::Stale | Family::Malformed => {
                Kind::UnknownKey
            }
        };
        Refusal::Unauthenticated { kind, message }
    }
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        let message = error.to_string();
        match error {
            AskError::Assume(error) => error.into(),
            AskError::Token(_) => Refusal::Malformed { message },
            AskError::Presign(error) => error.into(),
        }
    }
}

impl From<PresignError> for Refusal {
    fn from(error: PresignError) -> Self {
        let message = error.to_string();
        match error {
            PresignError::Invalid { .. } | PresignError::Partition { .. } => {
                Refusal::Malformed { message }
            }
            PresignError::Guarded { .. }
            | PresignError::Body { .. }
            | PresignError::Answered { .. } => Refusal::NotPresignable { message },
        }
    }
}

impl From<AssumeError> for Refusal {
    fn from(error: AssumeError) -> Self {
        let message = error.to_string();
        match error {
            AssumeError::Missing { .. } | AssumeError::Invalid { .. } => {
                Refusal::Malformed { message }
            }
            AssumeError::NotTaken { .. } | AssumeError::OtherIdentity { .. } => {
                Refusal::NotUnderstood { message }
            }
            AssumeError::NotListed { .. } => Refusal::NotAssumable { message },
        }
    }
}

impl From<crate::guard::target::TargetError> for Refusal {
    fn from(error: crate::guard::target::TargetError) -> Self {
        Refusal::Malformed {
            message: error.to_string(),
        }
    }
}
