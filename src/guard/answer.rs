//! What the guard answers by itself: what a call asks for, read strictly.
//!
//! INVARIANT: a parameter that the guard can't honour is refused, never left out.

use super::assume::{AssumeError, Assumption};
use super::call::Call;
use super::presign::{PresignError, Presigning};
use super::token::{EksToken, RdsToken, TokenError};
use crate::aws::catalog::model::Answers;

/// What a caller asks the guard for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Session(Assumption),
    EksToken(EksToken),
    RdsToken(RdsToken),
    PresignedUrl(Presigning),
}

/// Why a caller doesn't get it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Assume(#[from] AssumeError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Presign(#[from] PresignError),
}

impl Ask {
    /// What a call asks for. `may_assume` are the ARNs of the roles that the configuration lets the caller assume.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn of(answers: Answers, call: &Call, may_assume: &[String]) -> Result<Self, AskError> {
        Ok(match answers {
            Answers::Session => Ask::Session(Assumption::of(call, may_assume)?),
            Answers::EksToken => Ask::EksToken(EksToken::of(&call.input)?),
            Answers::RdsToken => Ask::RdsToken(RdsToken::of(call)?),
            Answers::PresignedUrl => Ask::PresignedUrl(Presigning::of(&call.input)?),
        })
    }
}
