//! What STS answers to AssumeRole: the keys of a role's session.
//!
//! Read from the XML itself and not by a model: a catalog holds the outputs of reads alone.

use std::fmt;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::protocol::xml::{self, Element, XmlError};

/// The keys of a role's session. Secret and token print as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct RoleKeys {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    /// From this moment on they are worth nothing.
    pub expiration: SystemTime,
}

/// Why an answer holds no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoleKeys {
    #[error("the answer isn't XML: {0}")]
    Xml(#[from] XmlError),
    #[error("the answer lacks `{0}`, or has it twice")]
    Lacks(&'static str),
    #[error("the answer's `Expiration` isn't a time")]
    Expiration,
}

impl RoleKeys {
    /// Reads the body of a successful answer.
    ///
    /// # Errors
    /// [`NoRoleKeys`] where a part is missing, stands twice or can't be read.
    pub fn parse(body: &[u8]) -> Result<Self, NoRoleKeys> {
        let root = xml::parse(body)?;
        let result = only(&root, "AssumeRoleResult")?;
        let keys = only(result, "Credentials")?;
        let text = |name| match only(keys, name)?.text.trim() {
            "" => Err(NoRoleKeys::Lacks(name)),
            text => Ok(text.to_owned()),
        };
        let expiration = text("Expiration")?;
        let expiration = OffsetDateTime::parse(&expiration, &Rfc3339);
        Ok(Self {
            access_key_id: text("AccessKeyId")?,
            secret_access_key: text("SecretAccessKey")?,
            session_token: text("SessionToken")?,
            expiration: expiration.map_err(|_| NoRoleKeys::Expiration)?.into(),
        })
    }
}

impl fmt::Debug for RoleKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleKeys")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .field("session_token", &"[redacted]")
            .field("expiration", &self.expiration)
            .finish()
    }
}

fn only<'e>(element: &'e Element, name: &'static str) -> Result<&'e Element, NoRoleKeys> {
    let mut found = element.children.iter().filter(|c| c.name == name);
    match (found.next(), found.next()) {
        (Some(child), None) => Ok(child),
        (None | Some(_), None | Some(_)) => Err(NoRoleKeys::Lacks(name)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// As STS's API reference shows it, with the namespace and what else stands there.
    const ANSWER: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <SourceIdentity>ada</SourceIdentity>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/work/ada</Arn>
      <AssumedRoleId>ARO123EXAMPLE123:ada</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>ASIAEXAMPLE</AccessKeyId>
      <SecretAccessKey>hidden+/key</SecretAccessKey>
      <SessionToken>hidden==
      </SessionToken>
      <Expiration>2026-11-09T13:34:41.5Z</Expiration>
    </Credentials>
    <PackedPolicySize>6</PackedPolicySize>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleResponse>"#;

    #[test]
    fn the_keys_are_read_and_not_printed() {
        let keys = RoleKeys::parse(ANSWER.as_bytes()).unwrap();
        assert_eq!(keys.access_key_id, "ASIAEXAMPLE");
        assert_eq!(keys.secret_access_key, "hidden+/key");
        assert_eq!(keys.session_token, "hidden==");
        let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(1_794_231_281_500);
        assert_eq!(keys.expiration, expected);
        assert!(!format!("{keys:?}").contains("hidden"));
    }

    #[track_caller]
    fn check_refused(old: &str, new: &str, expected: &str) {
        let answer = ANSWER.replace(old, new);
        assert_ne!(answer, ANSWER);
        let error = RoleKeys::parse(answer.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        check_refused(
            "<AccessKeyId>ASIAEXAMPLE</AccessKeyId>",
            "",
            "the answer lacks `AccessKeyId`, or has it twice",
        );
        check_refused(
            "hidden+/key",
            " ",
            "the answer lacks `SecretAccessKey`, or has it twice",
        );
        check_refused(
            "<AccessKeyId>ASIAEXAMPLE</AccessKeyId>",
            "<AccessKeyId>A</AccessKeyId><AccessKeyId>B</AccessKeyId>",
            "the answer lacks `AccessKeyId`, or has it twice",
        );
        check_refused(
            "AssumeRoleResult",
            "GetSessionTokenResult",
            "the answer lacks `AssumeRoleResult`, or has it twice",
        );
        check_refused(
            "2026-11-09T",
            "tomorrow ",
            "the answer's `Expiration` isn't a time",
        );
        check_refused(
            "</AssumeRoleResponse>",
            "",
            "the answer isn't XML: the text ends too early at byte 705",
        );
    }
}
