//! The tables that stand once for each name: callers, credentials, and budgets, which aren't built.

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::keys::{self, Key};
use super::read::each;
use super::section::{Found, Section, Source, in_order};
use super::value;
use super::{CallerConfig, CertificateName, CredentialSource, CredentialsConfig, Roles};
use crate::aws::arn::{RoleArn, RolePattern, is_account};
use crate::aws::nearest::nearest;
use crate::guard::call::UNVERIFIED;

/// Refuses any budget.
pub(super) fn no_budgets(root: &DeTable<'_>, source: &Source<'_>) -> Result<(), ConfigError> {
    let Some((name, value)) = root.get_key_value(keys::BUDGET) else {
        return Ok(());
    };
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => Ok(()),
        DeValue::Array(_)
        | DeValue::Table(_)
        | DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => Err(ConfigError::Unbuilt {
            place: source.place(name.span()),
            what: "[[budget]]".to_owned(),
            help: "take the table out; policies can limit `context.batchSize`".to_owned(),
        }),
    }
}

/// Every `[credentials.*]`, in the order of the file.
pub(super) fn read_credentials(
    root: &DeTable<'_>,
    source: &Source<'_>,
) -> Result<Vec<CredentialsConfig>, ConfigError> {
    let Some((key, value)) = root.get_key_value(keys::CREDENTIALS) else {
        return Ok(Vec::new());
    };
    let wants = |place| ConfigError::WrongType {
        place,
        key: keys::CREDENTIALS.to_owned(),
        wants: "a table for each name, as `[credentials.prod]`",
        found: "something else".to_owned(),
    };
    let tables = value
        .get_ref()
        .as_table()
        .ok_or_else(|| wants(source.place(key.span())))?;
    let mut all = Vec::new();
    for (name, value) in in_order(tables) {
        let place = source.place(name.span());
        let table = value
            .get_ref()
            .as_table()
            .ok_or_else(|| wants(place.clone()))?;
        all.push(read_credentials_table(
            name.get_ref(),
            table,
            place,
            source,
        )?);
    }
    Ok(all)
}

fn read_credentials_table(
    name: &str,
    table: &DeTable<'_>,
    place: Place,
    source: &Source<'_>,
) -> Result<CredentialsConfig, ConfigError> {
    let header = Found {
        value: (),
        key: keys::CREDENTIALS.to_owned(),
        place,
    };
    value::name(name).map_err(|problem| header.invalid(name, problem, None))?;
    let mut section = Section::new(format!("credentials.{name}."));
    section.read(table, keys::credentials::ALL, source)?;
    let accounts = accounts(&section)?;
    Ok(CredentialsConfig {
        name: name.to_owned(),
        source: credential_source(&section)?,
        roles: roles(&section, &accounts)?,
        accounts,
    })
}

fn roles(section: &Section, accounts: &[String]) -> Result<Roles, ConfigError> {
    let work = role(section, keys::credentials::ROLE_ARN, accounts)?;
    let guarded = role(section, keys::credentials::GUARDED_ROLE_ARN, accounts)?;
    if let (Some(work), Some(found)) = (&work, &guarded)
        && let (Some(judged), Some(done)) = (work.value.account(), found.value.account())
        && judged != done
    {
        return Err(found.invalid(
            &found.value.to_string(),
            format!(
                "`role_arn` is of account `{judged}`: what was judged there would be done here"
            ),
            "write `{account}` in the place of both accounts, or a table for each account"
                .to_owned(),
        ));
    }
    let external_id = section.text(keys::credentials::EXTERNAL_ID)?;
    if !external_id.value.is_empty() {
        value::external_id(&external_id.value)
            .map_err(|problem| external_id.invalid(&external_id.value, problem, None))?;
    }
    Ok(Roles {
        work: work.map(|found| found.value),
        guarded: guarded.map(|found| found.value),
        external_id: Some(external_id.value).filter(|id| !id.is_empty()),
    })
}

/// The ARN of a role, or nothing where the text is empty.
fn role(
    section: &Section,
    key: Key,
    accounts: &[String],
) -> Result<Option<Found<RolePattern>>, ConfigError> {
    let found = section.text(key)?;
    if found.value.is_empty() {
        return Ok(None);
    }
    let pattern = RolePattern::parse(&found.value).map_err(|problem| {
        let help = "write it as `arn:aws:iam::{account}:role/path/name`, with `{account}` or an account id";
        found.invalid(&found.value, problem.to_string(), help.to_owned())
    })?;
    if let Some(account) = pattern.account()
        && !accounts.is_empty()
        && !accounts.iter().any(|a| a == account)
    {
        return Err(found.invalid(
            &found.value,
            format!("its account `{account}` isn't among `accounts`"),
            "add the account to the list, or write `{account}` in its place".to_owned(),
        ));
    }
    Ok(Some(found.map(|_| pattern)))
}

fn credential_source(section: &Section) -> Result<CredentialSource, ConfigError> {
    let profile = section.text(keys::credentials::PROFILE)?;
    let source = section.text(keys::credentials::SOURCE)?;
    let has_source = section.is_set(keys::credentials::SOURCE);
    if section.is_set(keys::credentials::PROFILE) {
        if profile.value.trim().is_empty() {
            return Err(profile.invalid(&profile.value, "names no profile", None));
        }
        if has_source {
            return Err(profile.invalid(
                &profile.value,
                "stands beside `source`, and only one of them can hold",
                "take one of them out".to_owned(),
            ));
        }
        return Ok(CredentialSource::Profile(profile.value));
    }
    if has_source && source.value != "default" {
        return Err(source.invalid(
            &source.value,
            "not a source",
            "write `source = \"default\"` for AWS's own chain, or `profile = \"…\"`".to_owned(),
        ));
    }
    Ok(CredentialSource::Default)
}

fn accounts(section: &Section) -> Result<Vec<String>, ConfigError> {
    let found = section.list(keys::credentials::ACCOUNTS)?;
    let mut accounts = each(&found, |text| {
        is_account(text)
            .then(|| text.to_owned())
            .ok_or_else(|| "not an account id, which has twelve digits".to_owned())
    })?;
    accounts.sort();
    accounts.dedup();
    Ok(accounts)
}

/// Every `[[caller]]`, in the order of the file; `credentials` are those that it may name.
pub(super) fn read_callers(
    root: &DeTable<'_>,
    source: &Source<'_>,
    credentials: &[CredentialsConfig],
) -> Result<Vec<CallerConfig>, ConfigError> {
    let Some((key, value)) = root.get_key_value(keys::CALLER) else {
        return Ok(Vec::new());
    };
    let wants = |place| ConfigError::WrongType {
        place,
        key: keys::CALLER.to_owned(),
        wants: "a list of tables, as `[[caller]]`",
        found: "something else".to_owned(),
    };
    let tables = value
        .get_ref()
        .as_array()
        .ok_or_else(|| wants(source.place(key.span())))?;
    let mut callers: Vec<CallerConfig> = Vec::new();
    for value in tables.iter() {
        let place = source.place(value.span());
        let table = value
            .get_ref()
            .as_table()
            .ok_or_else(|| wants(place.clone()))?;
        let caller = read_caller(table, place, source, credentials, &callers)?;
        callers.push(caller);
    }
    Ok(callers)
}

fn read_caller(
    table: &DeTable<'_>,
    place: Place,
    source: &Source<'_>,
    credentials: &[CredentialsConfig],
    before: &[CallerConfig],
) -> Result<CallerConfig, ConfigError> {
    let mut section = Section::new("caller.".to_owned());
    section.read(table, keys::caller::ALL, source)?;
    let missing = |key: Key, help: &str| {
        let place = place.clone();
        let key = format!("caller.{}", key.path);
        let help = help.to_owned();
        Err(ConfigError::Missing { place, key, help })
    };
    if !section.is_set(keys::caller::NAME) {
        return missing(
            keys::caller::NAME,
            "write `name = \"…\"`, as in `palisade keys new NAME`",
        );
    }
    let name = section.text(keys::caller::NAME)?;
    value::name(&name.value).map_err(|problem| name.invalid(&name.value, problem, None))?;
    if name.value == UNVERIFIED {
        let problem = "callers whose key isn't Palisade's are called so";
        return Err(name.invalid(&name.value, problem, None));
    }
    if before.iter().any(|c| c.name == name.value) {
        return Err(name.invalid(&name.value, "another caller has this name", None));
    }
    if !section.is_set(keys::caller::CREDENTIALS) {
        return missing(
            keys::caller::CREDENTIALS,
            "write `credentials = \"…\"`, the name of a `[credentials.*]` table",
        );
    }
    let table = known_credentials(&section, credentials)?;
    Ok(CallerConfig {
        name: name.value,
        groups: groups(&section)?,
        credentials: table.name.clone(),
        may_assume: may_assume(&section, table)?,
        certificate: certificate(&section, before)?,
    })
}

/// The roles that a caller may assume: each named in full, each once, each in an account that its table reaches.
fn may_assume(section: &Section, table: &CredentialsConfig) -> Result<Vec<RoleArn>, ConfigError> {
    let found = section.list(keys::caller::MAY_ASSUME)?;
    let mut roles: Vec<RoleArn> = Vec::new();
    for text in &found.value {
        if text.contains(['*', '?']) {
            return Err(found.invalid(
                text,
                "a wildcard would let the caller into roles that nobody named",
                "write the ARN of each role".to_owned(),
            ));
        }
        let role = RoleArn::parse(text).map_err(|problem| {
            let help = "write it as `arn:aws:iam::123456789012:role/path/name`";
            found.invalid(text, problem.to_string(), help.to_owned())
        })?;
        if roles.contains(&role) {
            return Err(found.invalid(text, "stands in the list twice", None));
        }
        let (account, accounts) = (role.account(), &table.accounts);
        if !accounts.is_empty() && !accounts.iter().any(|a| a == account) {
            return Err(found.invalid(
                text,
                format!(
                    "its account `{account}` isn't among `accounts` of `[credentials.{}]`",
                    table.name
                ),
                "add the account to that list".to_owned(),
            ));
        }
        roles.push(role);
    }
    Ok(roles)
}

fn certificate(
    section: &Section,
    before: &[CallerConfig],
) -> Result<Option<CertificateName>, ConfigError> {
    let found = section.text(keys::caller::CERTIFICATE)?;
    if found.value.is_empty() {
        return Ok(None);
    }
    let name = CertificateName::parse(&found.value)
        .map_err(|problem| found.invalid(&found.value, problem, None))?;
    let other = before
        .iter()
        .find(|c| c.certificate.as_ref() == Some(&name));
    match other {
        Some(other) => Err(found.invalid(
            &found.value,
            format!("the caller `{}` has this certificate", other.name),
            None,
        )),
        None => Ok(Some(name)),
    }
}

fn groups(section: &Section) -> Result<Vec<String>, ConfigError> {
    let found = section.list(keys::caller::GROUPS)?;
    let groups = each(&found, |text| value::name(text).map(|()| text.to_owned()))?;
    let twice = groups
        .iter()
        .enumerate()
        .find(|(i, group)| groups.iter().take(*i).any(|g| g == *group));
    match twice {
        Some((_, group)) => Err(found.invalid(group, "stands in the list twice", None)),
        None => Ok(groups),
    }
}

fn known_credentials<'c>(
    section: &Section,
    credentials: &'c [CredentialsConfig],
) -> Result<&'c CredentialsConfig, ConfigError> {
    let found = section.text(keys::caller::CREDENTIALS)?;
    if let Some(known) = credentials.iter().find(|c| c.name == found.value) {
        return Ok(known);
    }
    let help = nearest(&found.value, credentials.iter().map(|c| c.name.as_str())).map_or_else(
        || format!("add `[credentials.{}]`", found.value),
        |n| format!("did you mean `{n}`?"),
    );
    Err(found.invalid(
        &found.value,
        "there is no such `[credentials.*]` table",
        help,
    ))
}
