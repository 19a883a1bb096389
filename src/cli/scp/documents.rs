//! The policies: statements, divided into documents that AWS takes.
//!
//! INVARIANT: no document is longer than AWS takes, and each pattern stands in one.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::choice::{Actions, Choice};
use super::cover::cover;
use super::exempt::{AnyAccount, Exempt};
use crate::aws::iam::Iam;

/// The characters of a service control policy and of a resource control policy, at most:
/// <https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html>
pub(super) const POLICY_CHARS_MAX: usize = 5_120;
/// How many of each kind a root, an organizational unit or an account takes, the one that allows everything among them.
pub(super) const ATTACHED_MAX: usize = 5;
/// The characters of a VPC endpoint's policy, at most:
/// <https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-limits-endpoints.html>
const ENDPOINT_CHARS_MAX: usize = 20_480;

/// What only the deployer does with what stands under the path: of roles, policies and instance profiles there is no action
/// that these words begin and that reads.
const ROLE_ACTIONS: [&str; 12] = [
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:PassRole",
    "iam:Put*",
    "iam:Remove*",
    "iam:Set*",
    "iam:Tag*",
    "iam:Untag*",
    "iam:Update*",
];

/// What would silence the alarm that tells of the role for emergencies, as it begins.
const ALARM_ACTIONS: [&str; 9] = [
    "events:Delete*",
    "events:Disable*",
    "events:Put*",
    "events:Remove*",
    "sns:Delete*",
    "sns:Put*",
    "sns:Remove*",
    "sns:Set*",
    "sns:Unsubscribe",
];
/// By which an account ceases to be held by any of these policies.
const LEAVING: [&str; 2] = ["account:CloseAccount", "organizations:LeaveOrganization"];

/// One policy, as it is to be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    /// `scp-1`.
    pub(super) name: String,
    /// JSON without blanks: blanks count, too.
    pub(super) text: String,
    /// How many patterns of actions it forbids.
    pub(super) patterns: usize,
}

/// Where the statements stand that keep the guard itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// In the first service control policy.
    First,
    /// In one of their own.
    Apart,
}

/// Every policy that is needed.
#[derive(Debug)]
pub(super) struct Documents {
    /// What keeps the guard itself, where that stands apart.
    pub(super) roles: Option<Document>,
    pub(super) service_control: Vec<Document>,
    pub(super) resource_control: Vec<Document>,
    pub(super) endpoints: Vec<Document>,
    /// How many characters the actions of each prefix take, most first.
    pub(super) by_prefix: Vec<(String, usize)>,
}

/// Statements that differ in their actions only.
struct Kind {
    /// The statement without its actions; more than one where each action stands in all of them.
    statements: Vec<Value>,
    patterns: Vec<String>,
}

impl Documents {
    /// # Errors
    /// Where a statement is too long by itself, or an endpoint's policy is.
    pub(super) fn make(
        choice: &Choice,
        iam: &Iam,
        exempt: &Exempt,
        endpoints: &[String],
        place: Head,
    ) -> anyhow::Result<Self> {
        let guarded = patterns(&choice.guarded, iam, |_| true)?;
        let shared = patterns(&choice.shared, iam, |_| true)?;
        let by_prefix = by_prefix(guarded.iter().chain(&shared));
        let roles = json!({
            "Sid": "PalisadeRoles",
            "Effect": "Deny",
            "Action": ROLE_ACTIONS,
            "Resource": exempt.protected(),
            "Condition": exempt.of_roles(),
        });
        // Nobody is exempt: the management account does both without being held by this.
        let organization = json!({
            "Sid": "PalisadeOrganization", "Effect": "Deny", "Action": LEAVING, "Resource": "*",
        });
        let alarm = json!({
            "Sid": "PalisadeAlarm",
            "Effect": "Deny",
            "Action": ALARM_ACTIONS,
            "Resource": exempt.alarm(),
            "Condition": exempt.of_roles(),
        });
        let head = vec![roles, organization, alarm];
        let (apart, head) = match place {
            Head::First => (Vec::new(), head),
            Head::Apart => (head, Vec::new()),
        };
        let roles = pack("roles", apart, &[])?.pop().map(|document| Document {
            name: "roles".to_owned(),
            ..document
        });
        let kinds = [
            Kind {
                statements: vec![statement("PalisadeGuarded", exempt.of_guarded())],
                patterns: guarded,
            },
            Kind {
                statements: vec![statement("PalisadeShared", exempt.of_shared())],
                patterns: shared,
            },
        ];
        Ok(Self {
            roles,
            service_control: pack("scp", head, &kinds)?,
            resource_control: resource_control(choice, iam, exempt)?,
            endpoints: of_endpoints(choice, iam, exempt, endpoints)?,
            by_prefix,
        })
    }

    /// Whether all of a kind can be attached to one target, beside the one that allows everything.
    pub(super) fn fits(&self) -> bool {
        self.most() < ATTACHED_MAX
    }

    /// How many there are of the kind that has more.
    pub(super) fn most(&self) -> usize {
        let service = self.service_control.len();
        let service = service.saturating_add(usize::from(self.roles.is_some()));
        service.max(self.resource_control.len())
    }

    /// Every document.
    pub(super) fn all(&self) -> impl Iterator<Item = &Document> {
        let service = self.roles.iter().chain(&self.service_control);
        let controls = service.chain(&self.resource_control);
        controls.chain(&self.endpoints)
    }

    /// Every document, by the name of its file.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let file = |d: &Document| (format!("{}.json", d.name), d.text.clone());
        self.all().map(file).collect()
    }
}

fn by_prefix<'a>(patterns: impl Iterator<Item = &'a String>) -> Vec<(String, usize)> {
    let mut chars: BTreeMap<&str, usize> = BTreeMap::new();
    for pattern in patterns {
        let sum = chars.entry(prefix_of(pattern)).or_default();
        // With its quotes and its comma.
        *sum = sum.saturating_add(pattern.len()).saturating_add(3);
    }
    let chars = chars.into_iter().map(|(prefix, n)| (prefix.to_owned(), n));
    let mut chars: Vec<(String, usize)> = chars.collect();
    chars.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    chars
}

/// They hold for those from elsewhere, too: a role of the guard's name in an account of theirs exempts nobody.
fn resource_control(choice: &Choice, iam: &Iam, exempt: &Exempt) -> anyhow::Result<Vec<Document>> {
    let Some((organization, any)) = exempt.organization() else {
        return Ok(Vec::new());
    };
    let outside = json!({ "StringNotEqualsIfExists": { "aws:PrincipalOrgID": organization } });
    let kind = |sid: &str, exempt: Value, patterns| {
        let mut statements = vec![of_anyone(sid, exempt)];
        if any == AnyAccount::Fits {
            statements.push(of_anyone(&format!("{sid}Outside"), outside.clone()));
        }
        Kind {
            statements,
            patterns,
        }
    };
    let held = |prefix: &str| iam.resource_control().holds(prefix);
    let guarded = patterns(&choice.guarded, iam, held)?;
    let shared = patterns(&choice.shared, iam, held)?;
    let kinds = [
        kind("PalisadeGuarded", exempt.of_guarded(), guarded),
        kind("PalisadeShared", exempt.of_shared(), shared),
    ];
    pack("rcp", Vec::new(), &kinds)
}

/// The policies of VPC endpoints: everything passes, but what is guarded for the guard's roles alone.
fn of_endpoints(
    choice: &Choice,
    iam: &Iam,
    exempt: &Exempt,
    services: &[String],
) -> anyhow::Result<Vec<Document>> {
    let mut found = Vec::new();
    for service in services {
        let begin = format!("{service}:");
        let mine = choice.covered.iter();
        let mine = mine.filter(|c| c.operation.starts_with(&begin));
        let prefixes: Vec<&str> = mine
            .flat_map(|c| &c.actions)
            .map(|a| prefix_of(a))
            .collect();
        if prefixes.is_empty() {
            bail!("no policy covers an operation of `{service}`: its endpoint needs none");
        }
        let of = |part| patterns(part, iam, |p| prefixes.contains(&p));
        let mut statements = vec![json!({
            "Sid": "Everything", "Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*",
        })];
        let mut count: usize = 0;
        for (sid, condition, patterns) in [
            ("PalisadeGuarded", exempt.of_guarded(), of(&choice.guarded)?),
            ("PalisadeShared", exempt.of_shared(), of(&choice.shared)?),
        ] {
            if patterns.is_empty() {
                continue;
            }
            count = count.saturating_add(patterns.len());
            let mut deny = statement(sid, condition);
            set(&mut deny, "Principal", json!("*"));
            set(&mut deny, "Action", json!(patterns));
            statements.push(deny);
        }
        let text = document(&statements)?;
        ensure!(
            text.len() <= ENDPOINT_CHARS_MAX,
            "the policy for the endpoint of `{service}` has {} characters, where AWS takes {ENDPOINT_CHARS_MAX}: narrow it by --class",
            text.len()
        );
        found.push(Document {
            name: format!("endpoint-{service}"),
            text,
            patterns: count,
        });
    }
    Ok(found)
}

fn statement(sid: &str, condition: Value) -> Value {
    json!({ "Sid": sid, "Effect": "Deny", "Resource": "*", "Condition": condition })
}

/// The same for a resource's side: whoever it is, but for AWS's own services, which act for those who were let in.
fn of_anyone(sid: &str, condition: Value) -> Value {
    let mut condition = condition;
    let service = json!({ "aws:PrincipalIsAWSService": "false" });
    set(&mut condition, "BoolIfExists", service);
    let mut whole = statement(sid, condition);
    set(&mut whole, "Principal", json!("*"));
    whole
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn patterns(part: &Actions, iam: &Iam, held: impl Fn(&str) -> bool) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (prefix, actions) in part.iter().filter(|(prefix, _)| held(prefix)) {
        let all = iam.under(prefix);
        let all = all.with_context(|| format!("AWS's list of actions has no prefix `{prefix}`"))?;
        found.extend(cover(prefix, actions, all));
    }
    Ok(found)
}

fn prefix_of(action: &str) -> &str {
    action.split_once(':').map_or(action, |(prefix, _)| prefix)
}

/// Divides the patterns over as many documents as it takes, in their order.
fn pack(name: &str, head: Vec<Value>, kinds: &[Kind]) -> anyhow::Result<Vec<Document>> {
    let mut done: Vec<(Vec<Value>, usize)> = Vec::new();
    let mut open = head;
    let mut count: usize = 0;
    for kind in kinds {
        let mut held: Vec<&str> = Vec::new();
        for pattern in &kind.patterns {
            held.push(pattern);
            if document(&with(&open, kind, &held))?.len() > POLICY_CHARS_MAX {
                held.pop();
                done.push((with(&open, kind, &held), count));
                (open, held, count) = (Vec::new(), vec![pattern.as_str()], 0);
            }
            count = count.saturating_add(1);
        }
        open = with(&open, kind, &held);
    }
    if !open.is_empty() {
        done.push((open, count));
    }
    let mut documents = Vec::new();
    for (at, (statements, patterns)) in done.iter().enumerate() {
        let text = document(statements)?;
        ensure!(
            text.len() <= POLICY_CHARS_MAX && !statements.is_empty(),
            "a policy has {} characters, where AWS takes {POLICY_CHARS_MAX}: name fewer roles, or shorter patterns",
            text.len()
        );
        documents.push(Document {
            name: format!("{name}-{}", at.saturating_add(1)),
            text,
            patterns: *patterns,
        });
    }
    Ok(documents)
}

/// The statements, and those of a kind with these actions, where there are any.
fn with(open: &[Value], kind: &Kind, patterns: &[&str]) -> Vec<Value> {
    let mut all = open.to_vec();
    if !patterns.is_empty() {
        all.extend(kind.statements.iter().map(|statement| {
            let mut statement = statement.clone();
            set(&mut statement, "Action", json!(patterns));
            statement
        }));
    }
    all
}

fn document(statements: &[Value]) -> anyhow::Result<String> {
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    Ok(serde_json::to_string(&document)?)
}
