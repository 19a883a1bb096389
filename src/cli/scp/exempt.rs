//! Whom the policies exempt, as patterns of ARNs.
//!
//! INVARIANT: no pattern exempts everyone, and whatever is exempt, the deployer too, is a role under the path that nobody
//! but the deployer may make roles under.

use std::fmt;
use std::str::FromStr;

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::Arguments;

/// Longer than any role's ARN.
const PATTERN_CHARS_MAX: usize = 600;
/// Of each kind of role.
const PATTERNS_MAX: usize = 10;

/// The pattern of a role's or a user's ARN: `arn:aws:iam::*:role/palisade/guarded`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RolePattern {
    text: String,
    partition: String,
    account: String,
    /// `role/palisade/guarded`.
    resource: String,
}

impl FromStr for RolePattern {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
            bail!(
                "this is no role's ARN: `arn:aws:iam::123456789012:role/palisade/guarded` is one, with `*` for every account"
            );
        };
        ensure!(
            text.len() <= PATTERN_CHARS_MAX,
            "an ARN has {PATTERN_CHARS_MAX} characters at most"
        );
        let mut letters = partition.bytes();
        ensure!(
            partition.starts_with("aws") && letters.all(|b| b.is_ascii_lowercase() || b == b'-'),
            "`{partition}` is no partition: `aws`, `aws-cn`, `aws-us-gov` …"
        );
        let is_id = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        ensure!(
            is_id || *account == "*",
            "an account is 12 digits, or `*` for every one of the organization"
        );
        let name = resource
            .strip_prefix("role/")
            .or_else(|| resource.strip_prefix("user/"));
        let Some(name) = name else {
            bail!("`{resource}` is neither a `role/…` nor a `user/…`");
        };
        ensure!(
            name.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+=,.@_/-*?".contains(&b)),
            "the name of a role holds letters, digits and `+=,.@_/-`"
        );
        ensure!(
            name.bytes().any(|b| b.is_ascii_alphanumeric()),
            "a pattern that is every role exempts everyone: say which"
        );
        Ok(Self {
            text: text.to_owned(),
            partition: (*partition).to_owned(),
            account: (*account).to_owned(),
            resource: (*resource).to_owned(),
        })
    }
}

/// A path of IAM's: `/palisade/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RolePath(String);

impl FromStr for RolePath {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let inner = text.strip_prefix('/').and_then(|t| t.strip_suffix('/'));
        let inner = inner.unwrap_or_default();
        let mut letters = inner.bytes();
        ensure!(
            !inner.is_empty()
                && text.len() <= PATTERN_CHARS_MAX
                && letters.all(|b| b.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&b)),
            "a path begins and ends with `/`, with a name between: `/palisade/`"
        );
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RolePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An organization's id: `o-a1b2c3d4e5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrganizationId(String);

impl FromStr for OrganizationId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let id = text.strip_prefix("o-").unwrap_or_default();
        let mut letters = id.bytes();
        ensure!(
            (10..=32).contains(&id.len())
                && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
            "an organization's id is `o-` and 10 to 32 letters and digits"
        );
        Ok(Self(text.to_owned()))
    }
}

/// Whom which statement exempts.
#[derive(Debug)]
pub(super) struct Exempt {
    guard: Vec<String>,
    work: Vec<String>,
    deployers: Vec<String>,
    break_glass: Vec<String>,
    partition: String,
    path: RolePath,
    /// For resource control policies.
    organization: Option<(String, AnyAccount)>,
}

/// Whether a role of the same name in any account of AWS fits a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnyAccount {
    Fits,
    DoesNot,
}

impl Exempt {
    /// # Errors
    /// Where the patterns don't go together, or one is no role under the path.
    pub(super) fn new(args: &Arguments) -> anyhow::Result<Self> {
        let of_guard = || args.guard.iter().chain(&args.work).chain(&args.break_glass);
        let inside = || of_guard().chain(&args.deployers);
        let Some(first) = args.guard.first() else {
            bail!("name the guard's role by `--guard-role`");
        };
        for patterns in [&args.guard, &args.work, &args.deployers, &args.break_glass] {
            ensure!(
                patterns.len() <= PATTERNS_MAX,
                "each kind of role takes {PATTERNS_MAX} ARNs at most: use `*` for the account"
            );
        }
        if let Some(other) = inside().find(|p| p.partition != first.partition) {
            bail!(
                "`{}` is of another partition than `{}`: an organization has one",
                other.text,
                first.partition
            );
        }
        let under = format!("role{}", args.path);
        if let Some(outside) = inside().find(|p| !p.resource.starts_with(&under)) {
            bail!(
                "`{}` isn't under `{}`, where nobody but the deployer makes and changes roles: whoever administers an account could make it there, or take it over, and be exempt. Name a role under the path, such as `arn:{}:iam::*:{under}deployer`, or its path by `--path`",
                outside.text,
                args.path,
                first.partition
            );
        }
        let any = match of_guard().any(|p| p.account == "*") {
            true => AnyAccount::Fits,
            false => AnyAccount::DoesNot,
        };
        let texts = |patterns: &[RolePattern]| patterns.iter().map(|p| p.text.clone()).collect();
        Ok(Self {
            guard: texts(&args.guard),
            work: texts(&args.work),
            deployers: texts(&args.deployers),
            break_glass: texts(&args.break_glass),
            partition: first.partition.clone(),
            path: args.path.clone(),
            organization: args.organization.as_ref().map(|o| (o.0.clone(), any)),
        })
    }

    /// Who may do what is guarded.
    pub(super) fn of_guarded(&self) -> Value {
        but([&self.guard, &self.break_glass, &Vec::new()])
    }

    /// Who may do what needs the same action as something guarded and something that isn't.
    pub(super) fn of_shared(&self) -> Value {
        but([&self.guard, &self.work, &self.break_glass])
    }

    /// Who may change the roles themselves, and the alarm.
    pub(super) fn of_roles(&self) -> Value {
        but([&self.deployers, &self.break_glass, &Vec::new()])
    }

    /// The roles, policies and instance profiles under the path.
    pub(super) fn protected(&self) -> Value {
        let of = |kind| format!("arn:{}:iam::*:{kind}{}*", self.partition, self.path);
        json!([of("role"), of("policy"), of("instance-profile")])
    }

    /// The rules of EventBridge and the topics of SNS, with their subscriptions, that are called as deploy/aws calls the alarm's.
    pub(super) fn alarm(&self) -> Value {
        json!([
            format!("arn:{}:events:*:*:rule/palisade-*", self.partition),
            format!("arn:{}:sns:*:*:palisade-*", self.partition),
        ])
    }

    pub(super) fn organization(&self) -> Option<(&str, AnyAccount)> {
        self.organization
            .as_ref()
            .map(|(id, any)| (id.as_str(), *any))
    }
}

fn but(patterns: [&Vec<String>; 3]) -> Value {
    let all: Vec<&String> = patterns.into_iter().flatten().collect();
    json!({ "ArnNotLike": { "aws:PrincipalArn": all } })
}
