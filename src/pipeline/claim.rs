//! Whose a request says it is, and the head that its signature covers.

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};

use super::Refusal;
use super::arrive::head;
use crate::aws::catalog::model::Signature;
use crate::aws::head::Head;
use crate::aws::sigv4::{self, AuthError, Authorization, Declared};

/// What a request says of its signature. Nothing of it is verified.
pub(super) struct Claim {
    auth: Result<Authorization, AuthError>,
    /// Target and headers as they came, where the signature stood in the query: it was taken out of it.
    presigned: Option<Box<(Uri, HeaderMap)>>,
}

impl Claim {
    /// Reads what a request says, and takes what it says in its query out of it.
    pub(super) fn take(parts: &mut Parts) -> Result<Self, Refusal> {
        let auth = Authorization::of(&head(parts));
        let presigned = match sigv4::lift(&head(parts))? {
            None => None,
            Some(lifted) => {
                let path = parts.uri.path();
                let target = match &lifted.query {
                    Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
                    None => PathAndQuery::try_from(path),
                };
                let target = target.map_err(|e| Refusal::Malformed {
                    message: format!("the target can't be read: {e}"),
                })?;
                let uri = std::mem::replace(&mut parts.uri, Uri::from(target));
                let headers = std::mem::replace(&mut parts.headers, lifted.headers);
                Some(Box::new((uri, headers)))
            }
        };
        Ok(Self { auth, presigned })
    }

    /// Who says to have signed, for what.
    pub(super) fn auth(&self) -> Result<&Authorization, Refusal> {
        self.auth.as_ref().map_err(|e| e.clone().into())
    }

    /// Refuses by name what is signed in a way that isn't accepted, whatever it asks.
    pub(super) fn is_of_a_way_that_is_known(&self) -> Result<(), Refusal> {
        match &self.auth {
            Err(error @ AuthError::Unsupported(_)) => Err(error.clone().into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether the request carries nothing that would say whose it is.
    pub(super) fn is_nobodys(&self) -> bool {
        matches!(self.auth, Err(AuthError::Missing))
    }

    pub(super) const fn is_presigned(&self) -> bool {
        self.presigned.is_some()
    }

    /// The head that the signature covers.
    pub(super) fn head<'a>(&'a self, parts: &'a Parts) -> Head<'a> {
        match &self.presigned {
            None => head(parts),
            Some(signed) => Head {
                path: signed.0.path(),
                query: signed.0.query(),
                headers: &signed.1,
                ..head(parts)
            },
        }
    }

    /// What the request declares of its body. A presigned URL of S3's covers none.
    pub(super) fn declared(
        &self,
        parts: &Parts,
        mut signatures: impl Iterator<Item = Signature>,
    ) -> Result<Declared, Refusal> {
        let declared = Declared::of(&parts.headers)?;
        let of_s3 = self.is_presigned() && signatures.all(|s| s == Signature::S3v4);
        if of_s3 && declared == Declared::Absent {
            return Ok(Declared::Unsigned);
        }
        Ok(declared)
    }
}
