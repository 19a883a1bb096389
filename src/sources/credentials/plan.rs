//! Which roles lead to the credentials of a call, decided without asking anybody.
//!
//! INVARIANT: the roles of a plan are of the call's partition and of accounts that the table may reach, and what signs
//! a guarded call acts in the account that the call was judged in.

use super::fault::Cause;
use super::source::CredentialsConfig;
use crate::aws::arn::RoleArn;
use crate::aws::sigv4::sha256_hex;
use crate::guard::call::{AssumedRole, Caller};

/// The longest name of a session that STS takes, in characters.
const SESSION_NAME_CHARS_MAX: usize = 64;
/// How much of a hash keeps apart two names that were changed to fit.
const HASH_CHARS: usize = 16;

/// What credentials are for. Rule: the least power that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Unguarded calls, and lookups: `role_arn`.
    Work,
    /// A guarded call that was allowed, and nothing else: `guarded_role_arn`.
    Guarded,
}

/// The way from a table's source to the credentials of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// One after the other, each assumed with the credentials of the one before; none: the source itself.
    pub(super) steps: Vec<Step>,
    /// Whose account the credentials at the end are of.
    pub(super) account: String,
}

/// One role to assume, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Step {
    pub(super) role: RoleArn,
    /// RoleSessionName: what CloudTrail shows.
    pub(super) session_name: String,
    /// SourceIdentity: the caller, whatever the session is called.
    pub(super) source_identity: String,
    pub(super) external_id: Option<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unplanned {
    /// It depends on the account of the source, which must be given.
    OwnAccount,
    Fault(Cause),
}

impl From<Cause> for Unplanned {
    fn from(cause: Cause) -> Self {
        Self::Fault(cause)
    }
}

/// The way to the credentials that a caller's call in a partition is signed with. `own` is the account of the table's
/// source, where it is known.
pub(super) fn plan(
    table: &CredentialsConfig,
    caller: &Caller,
    power: Power,
    partition: &str,
    own: Option<&str>,
) -> Result<Plan, Unplanned> {
    let plan = match power {
        Power::Work => work(table, caller, own)?,
        Power::Guarded => guarded(table, caller, own)?,
    };
    for Step { role, .. } in &plan.steps {
        reaches(table, role.account())?;
        if role.partition() != partition {
            return Err(Unplanned::Fault(Cause::OtherPartition {
                role: role.to_string(),
                partition: partition.to_owned(),
            }));
        }
    }
    Ok(plan)
}

/// The caller's session's role, or `role_arn`, or the source itself. A session's role is assumed from `role_arn`, where
/// there is one: role chaining.
fn work(table: &CredentialsConfig, caller: &Caller, own: Option<&str>) -> Result<Plan, Unplanned> {
    let session = caller.role.as_ref().map(|r| of_session(table, caller, r));
    let session = session.transpose()?;
    let account = match (&session, &table.roles.work) {
        (Some(session), _) => session.role.account().to_owned(),
        (None, Some(role)) => match role.account() {
            Some(account) => account.to_owned(),
            None => home(table, own)?,
        },
        (None, None) => own.ok_or(Unplanned::OwnAccount)?.to_owned(),
    };
    let role = table.roles.work.as_ref().map(|role| role.at(&account));
    let first = role.map(|role| of_table(table, caller, role));
    Ok(Plan {
        steps: first.into_iter().chain(session).collect(),
        account,
    })
}

/// `guarded_role_arn` in the account that the call was judged in; without it what signs any other call.
fn guarded(
    table: &CredentialsConfig,
    caller: &Caller,
    own: Option<&str>,
) -> Result<Plan, Unplanned> {
    let work = work(table, caller, own)?;
    let Some(pattern) = &table.roles.guarded else {
        return Ok(work);
    };
    let role = pattern.at(&work.account);
    if role.account() != work.account {
        return Err(Unplanned::Fault(Cause::OtherAccount {
            role: role.to_string(),
            account: work.account,
        }));
    }
    Ok(Plan {
        account: work.account,
        steps: vec![of_table(table, caller, role)],
    })
}

/// The account that `{account}` stands for where no session says it.
fn home(table: &CredentialsConfig, own: Option<&str>) -> Result<String, Unplanned> {
    if let [only] = table.accounts.as_slice() {
        return Ok(only.clone());
    }
    let own = own.ok_or(Unplanned::OwnAccount)?;
    if table.accounts.is_empty() || table.accounts.iter().any(|a| a == own) {
        return Ok(own.to_owned());
    }
    let accounts = table.accounts.clone();
    Err(Unplanned::Fault(Cause::WhichAccount { accounts }))
}

fn reaches(table: &CredentialsConfig, account: &str) -> Result<(), Cause> {
    if table.accounts.is_empty() || table.accounts.iter().any(|a| a == account) {
        return Ok(());
    }
    Err(Cause::OutOfReach {
        account: account.to_owned(),
        accounts: table.accounts.clone(),
    })
}

/// A role of the table's own.
fn of_table(table: &CredentialsConfig, caller: &Caller, role: RoleArn) -> Step {
    Step {
        role,
        session_name: session_name(&caller.name),
        source_identity: session_name(&caller.name),
        external_id: table.roles.external_id.clone(),
    }
}

/// The role of a caller's session, with the session's own name and external id.
fn of_session(
    table: &CredentialsConfig,
    caller: &Caller,
    assumed: &AssumedRole,
) -> Result<Step, Cause> {
    let role = RoleArn::parse(&assumed.arn).ok();
    let role = role.filter(|role| role.account() == assumed.account);
    let external_id = assumed.external_id.as_ref();
    let external_id = external_id.or(table.roles.external_id.as_ref()).cloned();
    Ok(Step {
        role: role.ok_or_else(|| Cause::BadSession {
            role: assumed.arn.clone(),
        })?,
        session_name: session_name(&assumed.session_name),
        source_identity: session_name(&caller.name),
        external_id,
    })
}

/// A name as STS takes it (`[\w+=,.@-]{2,64}`). One that doesn't fit ends in a hash of the whole, so that no two
/// become the same.
pub(super) fn session_name(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (2..=SESSION_NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(fits) {
        return name.to_owned();
    }
    let fitted = name.chars().map(|c| if fits(c) { c } else { '-' });
    let fitted: String = fitted
        .take(SESSION_NAME_CHARS_MAX - HASH_CHARS - 1)
        .collect();
    let hash: String = sha256_hex(name.as_bytes())
        .chars()
        .take(HASH_CHARS)
        .collect();
    format!("{fitted}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::super::source::{CredentialSource, Roles};
    use super::*;
    use crate::aws::arn::RolePattern;

    const ONE: &str = "111111111111";
    const TWO: &str = "222222222222";
    const OPEN: &str = "arn:aws:iam::{account}:role/work";
    const OPEN_GUARDED: &str = "arn:aws:iam::{account}:role/guarded";

    fn table(accounts: &[&str], work: &str, guarded: &str) -> CredentialsConfig {
        let pattern = |text: &str| (!text.is_empty()).then(|| RolePattern::parse(text).unwrap());
        CredentialsConfig {
            name: "prod".to_owned(),
            source: CredentialSource::Default,
            accounts: accounts.iter().map(|a| (*a).to_owned()).collect(),
            roles: Roles {
                work: pattern(work),
                guarded: pattern(guarded),
                external_id: Some("x-1".to_owned()),
            },
        }
    }

    fn caller(session: Option<&str>) -> Caller {
        Caller {
            name: "ada".to_owned(),
            groups: Vec::new(),
            credentials: "prod".to_owned(),
            access_key_id: "PALISADE".to_owned(),
            role: session.map(|account| AssumedRole {
                arn: format!("arn:aws:iam::{account}:role/theirs"),
                account: account.to_owned(),
                session_name: "tf".to_owned(),
                external_id: None,
            }),
            session: None,
        }
    }

    /// The roles of the plan, each as `account:role as session for identity`, and the account.
    fn shown(result: Result<Plan, Unplanned>) -> String {
        let plan = match result {
            Ok(plan) => plan,
            Err(Unplanned::OwnAccount) => return "whose is the source?".to_owned(),
            Err(Unplanned::Fault(cause)) => return cause.to_string(),
        };
        let steps = plan.steps.iter().map(|step| {
            let role = step.role.to_string();
            let role = role.strip_prefix("arn:aws:iam::").unwrap();
            format!("{role} as {}", step.session_name)
        });
        let steps: Vec<String> = steps.collect();
        format!("{}; in {}", steps.join(" > "), plan.account)
    }

    #[track_caller]
    fn check(
        table: &CredentialsConfig,
        session: Option<&str>,
        own: Option<&str>,
        expected_work: &str,
        expected_guarded: &str,
    ) {
        let caller = caller(session);
        let found = plan(table, &caller, Power::Work, "aws", own);
        assert_eq!(shown(found), expected_work);
        let found = plan(table, &caller, Power::Guarded, "aws", own);
        assert_eq!(shown(found), expected_guarded);
    }

    #[test]
    fn without_roles_the_source_signs_and_its_account_is_asked() {
        let table = table(&[ONE, TWO], "", "");
        let ask = "whose is the source?";
        check(&table, None, None, ask, ask);
        let own = "; in 222222222222";
        check(&table, None, Some(TWO), own, own);
    }

    #[test]
    fn an_only_account_needs_no_asking() {
        let one = "111111111111:role/work as ada; in 111111111111";
        let guarded = "111111111111:role/guarded as ada; in 111111111111";
        check(&table(&[ONE], OPEN, OPEN_GUARDED), None, None, one, guarded);
        check(&table(&[ONE], OPEN, ""), None, None, one, one);
    }

    #[test]
    fn of_several_accounts_the_sources_own_counts_if_it_is_listed() {
        let table = table(&[ONE, TWO], OPEN, OPEN_GUARDED);
        let ask = "whose is the source?";
        check(&table, None, None, ask, ask);
        check(
            &table,
            None,
            Some(TWO),
            "222222222222:role/work as ada; in 222222222222",
            "222222222222:role/guarded as ada; in 222222222222",
        );
        let which = "`{account}` could stand for each of `111111111111`, `222222222222`: the call must come with a session of a role in one of them (`sts:AssumeRole`; `may_assume` of the caller lists the role)";
        check(&table, None, Some("333333333333"), which, which);
    }

    #[test]
    fn without_accounts_the_sources_own_is_meant() {
        check(
            &table(&[], OPEN, OPEN_GUARDED),
            None,
            Some(TWO),
            "222222222222:role/work as ada; in 222222222222",
            "222222222222:role/guarded as ada; in 222222222222",
        );
    }

    #[test]
    fn a_session_of_a_role_is_taken_on_from_the_tables_role() {
        check(
            &table(&[ONE, TWO], "", ""),
            Some(TWO),
            None,
            "222222222222:role/theirs as tf; in 222222222222",
            "222222222222:role/theirs as tf; in 222222222222",
        );
        check(
            &table(&[ONE, TWO], OPEN, OPEN_GUARDED),
            Some(TWO),
            None,
            "222222222222:role/work as ada > 222222222222:role/theirs as tf; in 222222222222",
            "222222222222:role/guarded as ada; in 222222222222",
        );
        let hub = "arn:aws:iam::111111111111:role/hub";
        check(
            &table(&[ONE, TWO], hub, ""),
            Some(TWO),
            None,
            "111111111111:role/hub as ada > 222222222222:role/theirs as tf; in 222222222222",
            "111111111111:role/hub as ada > 222222222222:role/theirs as tf; in 222222222222",
        );
    }

    #[test]
    fn a_guarded_call_is_never_signed_for_another_account_than_it_was_judged_in() {
        let elsewhere = "`guarded_role_arn` is `arn:aws:iam::111111111111:role/guarded`, and the call was judged in account `222222222222`: write `{account}` in its account's place, or give that account a table of its own";
        let literal = "arn:aws:iam::111111111111:role/guarded";
        check(
            &table(&[ONE, TWO], "", literal),
            Some(TWO),
            None,
            "222222222222:role/theirs as tf; in 222222222222",
            elsewhere,
        );
        check(
            &table(&[ONE, TWO], "", literal),
            None,
            Some(TWO),
            "; in 222222222222",
            elsewhere,
        );
        check(
            &table(
                &[ONE, TWO],
                "arn:aws:iam::222222222222:role/work",
                OPEN_GUARDED,
            ),
            None,
            None,
            "222222222222:role/work as ada; in 222222222222",
            "222222222222:role/guarded as ada; in 222222222222",
        );
    }

    #[test]
    fn what_is_out_of_reach_is_refused() {
        let out = "the role is of account `222222222222`, and `accounts` lists only `111111111111`";
        check(&table(&[ONE], "", ""), Some(TWO), None, out, out);
        let caller = caller(None);
        let found = plan(
            &table(&[ONE], OPEN, ""),
            &caller,
            Power::Work,
            "aws-cn",
            None,
        );
        let partition = "the role `arn:aws:iam::111111111111:role/work` is of another partition than the call, which goes to `aws-cn`: give that one a table of its own";
        assert_eq!(shown(found), partition);
        let mut liar = self::caller(Some(ONE));
        liar.role.as_mut().unwrap().account = TWO.to_owned();
        let found = plan(&table(&[], "", ""), &liar, Power::Work, "aws", None);
        let bad = "the session is of `arn:aws:iam::111111111111:role/theirs`, which isn't a role of its account; begin another one";
        assert_eq!(shown(found), bad);
    }

    #[test]
    fn the_sessions_external_id_comes_before_the_tables_and_the_caller_is_the_source_identity() {
        let table = table(&[ONE], OPEN, "");
        let mut caller = caller(Some(ONE));
        let of = |caller: &Caller| {
            let plan = plan(&table, caller, Power::Work, "aws", None).unwrap();
            let ids = plan.steps.iter().map(|s| s.external_id.clone().unwrap());
            assert!(plan.steps.iter().all(|s| s.source_identity == "ada"));
            ids.collect::<Vec<_>>()
        };
        assert_eq!(of(&caller), ["x-1", "x-1"]);
        caller.role.as_mut().unwrap().external_id = Some("theirs".to_owned());
        assert_eq!(of(&caller), ["x-1", "theirs"]);
    }

    #[test]
    fn names_that_sts_does_not_take_are_fitted_and_stay_apart() {
        let longest = "n".repeat(64);
        for name in ["ada", "ci-deploy@x.example", "ab", longest.as_str()] {
            assert_eq!(session_name(name), name);
        }
        let long = "n".repeat(65);
        let changed = ["a", "", "a b", "a/b", "ä", "名", long.as_str()];
        let mut fitted: Vec<String> = changed.iter().map(|n| session_name(n)).collect();
        for name in &fitted {
            assert!((2..=64).contains(&name.len()), "{name}");
            assert_eq!(&session_name(name), name, "it fits");
        }
        fitted.sort();
        fitted.dedup();
        assert_eq!(fitted.len(), changed.len());
    }
}
