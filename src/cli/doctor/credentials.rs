//! The credentials of each `[credentials.*]` table: whether its source gives any, whose they are, and whether its roles may
//! be assumed. Asked are `sts:GetCallerIdentity` and, for a table with roles, `sts:AssumeRole`; what comes back is dropped.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;

use super::finding::Finding;
use super::upstream::Way;
use crate::aws::value::{Object, Value};
use crate::config::{Config, CredentialsConfig};
use crate::guard::call::Caller;
use crate::guard::keyring::PREFIX;
use crate::proxy::roots;
use crate::sources::api::Desk;
use crate::sources::clock::Clock;
use crate::sources::credentials::{
    Cause, CredentialsFault, Fetch, FetchOutcome, Power, Sts, UpstreamCredentials, WatchFetches,
};

/// For one table, its roles included.
const TABLE_MAX: Duration = Duration::from_secs(10);

/// Who asks where the configuration has no caller for a table: what CloudTrail shows.
const NOBODY: &str = "palisade-doctor";

/// Every table, at the same time.
pub(super) async fn check(config: &Config, way: &Way, access_key_id: Option<&str>) -> Vec<Finding> {
    if access_key_id.is_some_and(|id| id.starts_with(PREFIX)) {
        let why = "this environment is a client's, with virtual keys: run `doctor` in the one that the guard is started in";
        return vec![Finding::skipped("host.credentials", why)];
    }
    if config.credentials.is_empty() {
        return vec![Finding::warning(
            "host.credentials",
            "the configuration has no `[credentials.*]` table: nothing can be signed",
            "add a `[[caller]]` and its table, as README.md shows",
        )];
    }
    let credentials = match upstream_credentials(config, way) {
        Ok(credentials) => credentials,
        Err(why) => {
            let fix = "mend `[upstream]` of the configuration";
            return vec![Finding::fault("host.credentials", why, fix)];
        }
    };
    let looks = config.credentials.iter().map(|table| {
        let look = Look {
            table,
            way,
            credentials: &credentials,
            caller: caller(config, table),
        };
        async move {
            let looked = tokio::time::timeout(TABLE_MAX, look.look()).await;
            looked.unwrap_or_else(|_| {
                let what = format!("no answer within {} s", TABLE_MAX.as_secs());
                let fix = "see that STS is reached, and run the table's `credential_process`, if it has one, by hand";
                vec![Finding::fault(&check_of(table), what, fix)]
            })
        }
    });
    futures_util::future::join_all(looks).await.concat()
}

fn upstream_credentials(config: &Config, way: &Way) -> Result<UpstreamCredentials, String> {
    let trusted = roots::certificates(config.upstream.ca_file.as_deref());
    let trusted = trusted.map_err(|e| e.to_string())?;
    let sts = Sts::new(way.api.clone(), way.catalog.clone());
    let (upstream, clock) = (&config.upstream, Clock::system());
    UpstreamCredentials::new(
        &config.credentials,
        &trusted,
        upstream,
        sts,
        clock,
        Arc::new(Findings),
    )
    .map_err(|e| e.to_string())
}

/// How a fetch ends is told by the finding alone.
#[derive(Debug)]
struct Findings;

impl WatchFetches for Findings {
    fn fetched(&self, _: &str, _: Fetch, _: FetchOutcome) {}
}

fn caller(config: &Config, table: &CredentialsConfig) -> Caller {
    let mut callers = config.callers.iter();
    let first = callers.find(|caller| caller.credentials == table.name);
    Caller {
        name: first.map_or(NOBODY, |caller| &caller.name).to_owned(),
        groups: Vec::new(),
        credentials: table.name.clone(),
        access_key_id: String::new(),
        role: None,
        session: None,
    }
}

fn check_of(table: &CredentialsConfig) -> String {
    format!("host.credentials.{}", table.name)
}

struct Look<'a> {
    table: &'a CredentialsConfig,
    way: &'a Way,
    credentials: &'a UpstreamCredentials,
    caller: Caller,
}

impl Look<'_> {
    async fn look(&self) -> Vec<Finding> {
        let check = check_of(self.table);
        let source = match self.credentials.source(&self.table.name).await {
            Ok(source) => source,
            Err(fault) => return vec![at_fault(&check, &fault)],
        };
        let mut findings = vec![match self.whose(&source).await {
            Ok(arn) => Finding::ok(&check, format!("its source is `{arn}`")),
            Err(why) => Finding::fault(
                &check,
                format!("AWS doesn't take what its source gives: {why}"),
                "renew them (log in again, or new keys), or mend the table; a clock that is off does it too",
            ),
        }];
        let roles = &self.table.roles;
        let is_sound = findings.iter().all(|f| f.fix.is_none());
        let pairs = [
            ("role_arn", roles.work.is_some(), Power::Work),
            ("guarded_role_arn", roles.guarded.is_some(), Power::Guarded),
        ];
        for (key, is_set, power) in pairs {
            if is_set && is_sound {
                findings.push(self.role(&format!("{check}.{key}"), key, power).await);
            }
        }
        findings
    }

    /// Takes a role on, as a call would.
    async fn role(&self, check: &str, key: &str, power: Power) -> Finding {
        let (caller, near) = (&self.caller, &self.way.endpoint);
        match self.credentials.credentials(caller, power, near).await {
            Ok(signer) => {
                let role = signer.role.unwrap_or_default();
                Finding::ok(check, format!("`{key}` may be assumed: `{role}`"))
            }
            Err(fault) => at_fault(check, &fault),
        }
    }

    async fn whose(&self, credentials: &Credentials) -> Result<String, String> {
        let lacks = || "the catalog has no `sts:GetCallerIdentity`".to_owned();
        let service = self.way.catalog.service("sts").map_err(|e| e.to_string())?;
        let service = service.ok_or_else(lacks)?;
        let operation = service.operations.get("GetCallerIdentity");
        let desk = Desk {
            service: &service,
            endpoint: &self.way.endpoint,
            credentials,
            purpose: "doctor",
        };
        let api = &self.way.api;
        let input = Object::new();
        let asked = api.call(desk, operation.ok_or_else(lacks)?, &input).await;
        let identity = asked.map_err(|fault| fault.to_string())?;
        let arn = identity.get("Arn").and_then(Value::as_str);
        Ok(arn.unwrap_or_default().to_owned())
    }
}

/// Most causes say what mends them.
fn at_fault(check: &str, fault: &CredentialsFault) -> Finding {
    let what = fault.to_string();
    if fault.is_of_account() {
        let fix = "nothing, where each call comes with a session of a role; else list one account in `accounts`, or give each a table of its own";
        return Finding::warning(check, what, fix);
    }
    let fix = match fault.cause() {
        Cause::RoleDenied { .. } => {
            "let the role's trust policy name them, for `sts:AssumeRole` and `sts:SetSourceIdentity`, with `external_id` of the table if it asks for one; README.md shows such a policy".to_owned()
        }
        Cause::LoginExpired { command }
        | Cause::NotFound { command }
        | Cause::AlreadyExpired { command } => format!("run `{command}`"),
        Cause::IdentityRefused { .. } | Cause::RoleRefused { .. } => {
            "renew the credentials, or mend the table".to_owned()
        }
        Cause::VirtualKey => {
            "unset AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_CONFIG_FILE, or look in another shell".to_owned()
        }
        Cause::Unreachable | Cause::StsUnreachable => {
            "see what `host.upstream` says, and try again".to_owned()
        }
        Cause::NoTable
        | Cause::EmptyProfile { .. }
        | Cause::Misconfigured(_)
        | Cause::ConsoleLogin
        | Cause::ProcessFailed
        | Cause::Refused
        | Cause::ParentRefused
        | Cause::RoleUnreadable { .. }
        | Cause::RoleExpired { .. }
        | Cause::StsBarred { .. }
        | Cause::NoSts { .. }
        | Cause::WhichAccount { .. }
        | Cause::OutOfReach { .. }
        | Cause::OtherAccount { .. }
        | Cause::OtherPartition { .. }
        | Cause::BadSession { .. } => {
            "mend what it names in `[credentials.*]` or in the AWS configuration, and ask again".to_owned()
        },
    };
    Finding::fault(check, what, fix)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::finding::State;
    use super::*;
    use crate::aws::catalog::Catalog;
    use crate::cli::ask::endpoint;

    const TABLE: &str =
        "[[caller]]\nname = \"ci\"\ncredentials = \"p\"\n[credentials.p]\nsource = \"default\"";

    fn config(text: &str) -> Config {
        let home = [("HOME".to_owned(), "/".to_owned())];
        Config::from_toml(text, Path::new("/x/palisade.toml"), &home).unwrap()
    }

    async fn found(config: &Config, id: Option<&str>) -> Vec<Finding> {
        let catalog = Arc::new(Catalog::embedded().unwrap());
        let near = endpoint(&catalog, "sts", "us-east-1").unwrap();
        let way = Way::new(config, catalog, near).map_err(|f| f.what).unwrap();
        check(config, &way, id).await
    }

    #[tokio::test]
    async fn a_clients_shell_is_not_taken_for_the_guards() {
        let found = found(&config(TABLE), Some("PALISADEAEBAGBAFWET7BUIUUNI4SD74")).await;
        assert_eq!(found[0].state, State::Skipped);
        assert_eq!(found.len(), 1);
    }

    #[tokio::test]
    async fn a_configuration_without_a_table_is_told() {
        let found = found(&config("mode = \"enforce\""), None).await;
        assert_eq!(found[0].state, State::Warning);
    }

    #[test]
    fn a_table_is_asked_for_as_its_first_caller() {
        let config = config(TABLE);
        let table = &config.credentials[0];
        assert_eq!(caller(&config, table).name, "ci");
        let mut unused = table.clone();
        unused.name = "q".to_owned();
        assert_eq!(caller(&config, &unused).name, NOBODY);
    }
}
