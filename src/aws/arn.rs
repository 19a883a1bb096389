//! The ARNs of IAM roles, checked once: whole ones, and those of the configuration, which may leave the account open.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns>

use std::fmt;

/// What stands in the account's place of an ARN that leaves it open.
const OPEN_ACCOUNT: &str = "{account}";
/// The longest ARN that STS takes, in bytes.
const ARN_BYTES_MAX: usize = 2048;
/// The longest path, with the slashes around it, and the longest name of a role, in bytes.
const PATH_BYTES_MAX: usize = 512;
const NAME_BYTES_MAX: usize = 64;

/// The ARN of a role: `arn:aws:iam::123456789012:role/path/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleArn {
    partition: String,
    account: String,
    resource: String,
}

/// The ARN of a role whose account may be left open: `arn:aws:iam::{account}:role/path/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePattern {
    partition: String,
    /// `None`: open.
    account: Option<String>,
    resource: String,
}

/// Why a text isn't the ARN of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArnError {
    #[error("longer than {ARN_BYTES_MAX} characters, which AWS doesn't take")]
    TooLong,
    #[error("not the ARN of a role, `arn:aws:iam::123456789012:role/path/name`")]
    NotRole,
    #[error("the partition `{0}` isn't one of AWS's, such as `aws`, `aws-cn` or `aws-us-gov`")]
    Partition(String),
    #[error("the account `{0}` doesn't have twelve digits")]
    Account(String),
    #[error("`{OPEN_ACCOUNT}` can stand only in the account's place, and no other braces anywhere")]
    Braces,
    #[error(
        "the role's path is longer than {PATH_BYTES_MAX} characters, or holds what AWS doesn't take there"
    )]
    Path,
    #[error("the role's name has to hold 1 to {NAME_BYTES_MAX} letters, digits and `_+=,.@-`")]
    Name,
}

impl RoleArn {
    /// Reads the ARN of one role.
    ///
    /// # Errors
    /// [`ArnError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        let RolePattern {
            partition,
            account,
            resource,
        } = RolePattern::parse(text)?;
        let account = account.ok_or(ArnError::Braces)?;
        Ok(Self {
            partition,
            account,
            resource,
        })
    }

    /// `aws`, `aws-cn`, …
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// Twelve digits.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }
}

impl RolePattern {
    /// Reads the ARN of a role, in whose account's place `{account}` may stand.
    ///
    /// # Errors
    /// [`ArnError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        if text.len() > ARN_BYTES_MAX {
            return Err(ArnError::TooLong);
        }
        let mut fields = text.splitn(6, ':');
        let mut next = || fields.next().ok_or(ArnError::NotRole);
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let role = resource.strip_prefix("role/").ok_or(ArnError::NotRole)?;
        if arn != "arn" || service != "iam" || !region.is_empty() {
            return Err(ArnError::NotRole);
        }
        if !is_partition(partition) {
            return Err(ArnError::Partition(partition.to_owned()));
        }
        let is_open = account == OPEN_ACCOUNT;
        if role.contains(['{', '}']) || (!is_open && account.contains(['{', '}'])) {
            return Err(ArnError::Braces);
        }
        if !is_open && !is_account(account) {
            return Err(ArnError::Account(account.to_owned()));
        }
        check_role(role)?;
        Ok(Self {
            partition: partition.to_owned(),
            account: (!is_open).then(|| account.to_owned()),
            resource: resource.to_owned(),
        })
    }

    /// The account, unless it is left open.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// The role: that of its own account, or, where that is left open, of this one.
    #[must_use]
    pub fn at(&self, account: &str) -> RoleArn {
        RoleArn {
            partition: self.partition.clone(),
            account: self.account().unwrap_or(account).to_owned(),
            resource: self.resource.clone(),
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            account,
            resource,
        } = self;
        write!(f, "arn:{partition}:iam::{account}:{resource}")
    }
}

impl fmt::Display for RolePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at(OPEN_ACCOUNT).fmt(f)
    }
}

/// Whether a text is an account id: twelve digits.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_partition(text: &str) -> bool {
    let mut words = text.split('-');
    words.next() == Some("aws")
        && words.all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
}

/// Checks a role's name with the path before it: `name`, `path/name`.
fn check_role(role: &str) -> Result<(), ArnError> {
    let (path, name) = role.rsplit_once('/').unwrap_or(("", role));
    let printable = path.bytes().all(|b| (0x21..=0x7e).contains(&b));
    // The slashes before and behind it count, and stand outside of `path`.
    if !printable || path.len() + 2 > PATH_BYTES_MAX {
        return Err(ArnError::Path);
    }
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        return Err(ArnError::Name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, expected: ArnError) {
        assert_eq!(RolePattern::parse(text), Err(expected), "{text}");
    }

    #[test]
    fn an_open_account_is_filled_in_and_a_named_one_stays() {
        let open = RolePattern::parse("arn:aws-cn:iam::{account}:role/palisade/work").unwrap();
        assert_eq!(open.account(), None);
        let role = open.at("123456789012");
        assert_eq!(
            role.to_string(),
            "arn:aws-cn:iam::123456789012:role/palisade/work"
        );
        assert_eq!(
            (role.partition(), role.account()),
            ("aws-cn", "123456789012")
        );
        assert_eq!(
            open.to_string(),
            "arn:aws-cn:iam::{account}:role/palisade/work"
        );
        let named = RolePattern::parse("arn:aws:iam::210987654321:role/w").unwrap();
        assert_eq!(named.at("123456789012").account(), "210987654321");
        assert_eq!(RoleArn::parse(&role.to_string()), Ok(role));
    }

    #[test]
    fn a_whole_arn_leaves_nothing_open() {
        let open = "arn:aws:iam::{account}:role/work";
        assert_eq!(RoleArn::parse(open), Err(ArnError::Braces));
    }

    #[test]
    fn what_is_no_role_is_refused() {
        for text in [
            "",
            "work",
            "arn:aws:iam::123456789012:user/ada",
            "arn:aws:iam::123456789012:role",
            "arn:aws:sts::123456789012:assumed-role/work/ada",
            "arn:aws:iam:us-east-1:123456789012:role/work",
            "ARN:aws:iam::123456789012:role/work",
        ] {
            check_refused(text, ArnError::NotRole);
        }
        for account in [
            "",
            "12345678901",
            "1234567890123",
            "12345678901x",
            "account",
        ] {
            let text = format!("arn:aws:iam::{account}:role/work");
            check_refused(&text, ArnError::Account(account.to_owned()));
        }
        for partition in ["", "amazon", "aws-", "aws-CN"] {
            let text = format!("arn:{partition}:iam::123456789012:role/work");
            check_refused(&text, ArnError::Partition(partition.to_owned()));
        }
        for text in [
            "arn:aws:iam::123456789012:role/{account}",
            "arn:aws:iam::123456789012:role/{account}/work",
            "arn:aws:iam::{Account}:role/work",
            "arn:aws:iam::{account}{account}:role/work",
            "arn:aws:iam::{account}:role/{name}",
        ] {
            check_refused(text, ArnError::Braces);
        }
        let role = |role: &str| format!("arn:aws:iam::123456789012:role/{role}");
        for name in ["", "path/", "wo rk", "work*", &"w".repeat(65), "wörk"] {
            check_refused(&role(name), ArnError::Name);
        }
        check_refused(&role("pa th/work"), ArnError::Path);
        check_refused(&role(&format!("{}/work", "p".repeat(511))), ArnError::Path);
        check_refused(&role(&"p/".repeat(1024)), ArnError::TooLong);
    }

    #[test]
    fn the_longest_role_that_aws_takes_is_taken() {
        let role = format!("{}/{}", "p".repeat(510), "w".repeat(64));
        let text = format!("arn:aws:iam::123456789012:role/{role}");
        assert_eq!(RoleArn::parse(&text).unwrap().to_string(), text);
    }
}
