//! AWS STS: whose credentials are, and the taking on of roles. Its calls go the way of all others: through
//! `[upstream]` and `[egress]`, to the region of the call that needs them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use foldhash::HashMap;

use super::fault::Cause;
use super::plan::Step;
use crate::aws::catalog::Catalog;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::endpoint::{Endpoint, Resolved};
use crate::aws::host::Host;
use crate::aws::protocol::UpstreamError;
use crate::aws::role_keys::RoleKeys;
use crate::aws::value::{Object, Value};
use crate::guard::facts::is_passing;
use crate::guard::keyring::PREFIX;
use crate::sources::api::{Api, ApiFault, Desk};

/// How long a role's session is good for, in seconds: what every role allows, and the most for one that is assumed
/// from another.
const SESSION_SECONDS: &str = "3600";
/// How long one answer of STS may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The most accounts that are remembered.
const ACCOUNTS_MAX: usize = 4096;

/// STS. Clones share what is known of accounts.
#[derive(Debug, Clone)]
pub struct Sts {
    api: Api,
    catalog: Arc<Catalog>,
    /// By access key id.
    accounts: Arc<Mutex<HashMap<String, String>>>,
}

/// Why STS gave nothing: what is in the way, and what STS said, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StsFault {
    pub(super) cause: Cause,
    pub(super) detail: String,
}

impl Sts {
    /// STS by way of `api`, where the catalog has it.
    #[must_use]
    pub fn new(api: Api, catalog: Arc<Catalog>) -> Self {
        let accounts = Arc::default();
        Self {
            api,
            catalog,
            accounts,
        }
    }

    /// The same by another catalog.
    pub(super) fn of(&self, catalog: Arc<Catalog>) -> Self {
        let (api, accounts) = (self.api.clone(), Arc::clone(&self.accounts));
        Self {
            api,
            catalog,
            accounts,
        }
    }

    /// The account that credentials belong to, where it has been asked for.
    pub(super) fn known_account(&self, credentials: &Credentials) -> Option<String> {
        self.accounts().get(credentials.access_key_id()).cloned()
    }

    /// The account that credentials belong to, asked in the region of an endpoint, and known from now on.
    pub(super) async fn ask_account(
        &self,
        near: &Endpoint,
        credentials: &Credentials,
    ) -> Result<String, StsFault> {
        let (service, endpoint) = self.place(near)?;
        let operation = operation(&service, "GetCallerIdentity")?;
        let desk = Desk {
            service: &service,
            endpoint: &endpoint,
            credentials,
            purpose: "lookup",
        };
        let (api, input) = (&self.api, Object::new());
        let asked = in_time(api.call(desk, operation, &input)).await;
        let identity = asked.map_err(|fault| match code(&fault) {
            Some(code) => unlike(fault, Cause::IdentityRefused { code }),
            None => unreached(fault),
        })?;
        let account = identity.get("Account").and_then(Value::as_str);
        let account = account.ok_or_else(|| {
            let why = "the answer to GetCallerIdentity names no account".to_owned();
            unlike(ApiFault::Failed { why }, Cause::StsUnreachable)
        })?;
        let mut accounts = self.accounts();
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.clear();
        }
        accounts.insert(credentials.access_key_id().to_owned(), account.to_owned());
        Ok(account.to_owned())
    }

    /// The credentials of a role, assumed with others in the region of an endpoint. `by` tells whose those are.
    pub(super) async fn assume(
        &self,
        near: &Endpoint,
        credentials: &Credentials,
        step: &Step,
        by: &str,
    ) -> Result<Credentials, StsFault> {
        let (service, endpoint) = self.place(near)?;
        let operation = operation(&service, "AssumeRole")?;
        let desk = Desk {
            service: &service,
            endpoint: &endpoint,
            credentials,
            purpose: "role",
        };
        let input = input(step);
        let asked = in_time(self.api.send(desk, operation, &input)).await;
        let role = step.role.to_string();
        let answer = asked.map_err(|fault| {
            let (role, by) = (role.clone(), by.to_owned());
            match code(&fault) {
                Some(code) if code == "AccessDenied" => {
                    unlike(fault, Cause::RoleDenied { role, by })
                }
                Some(code) => unlike(fault, Cause::RoleRefused { role, by, code }),
                None => unreached(fault),
            }
        })?;
        let keys = RoleKeys::parse(answer.body.bytes()).map_err(|why| StsFault {
            cause: Cause::RoleUnreadable { role },
            detail: why.to_string(),
        })?;
        if keys.access_key_id.starts_with(PREFIX) {
            return Err(StsFault {
                cause: Cause::VirtualKey,
                detail: String::new(),
            });
        }
        let credentials = Credentials::builder()
            .access_key_id(keys.access_key_id)
            .secret_access_key(keys.secret_access_key)
            .session_token(keys.session_token)
            .expiry(keys.expiration)
            .account_id(step.role.account())
            .provider_name("role");
        Ok(credentials.build())
    }

    /// The service, and its regional endpoint in the region of another.
    fn place(&self, near: &Endpoint) -> Result<(Arc<Service>, Endpoint), StsFault> {
        let lacks = |what: &str, detail: String| StsFault {
            cause: Cause::NoSts {
                what: what.to_owned(),
            },
            detail,
        };
        let service = self.catalog.service("sts");
        let service = service.map_err(|e| lacks("`sts`", e.to_string()))?;
        let service = service.ok_or_else(|| lacks("`sts`", String::new()))?;
        let endpoint = self.catalog.dns_suffixes().find_map(|suffix| {
            let host = Host::parse(&format!("sts.{}.{suffix}", near.region)).ok()?;
            match self.catalog.resolve(&host) {
                Resolved::Api(endpoint)
                    if endpoint.partition == near.partition && !endpoint.dualstack =>
                {
                    Some(endpoint)
                }
                Resolved::Api(_) | Resolved::Unmodelled | Resolved::Foreign => None,
            }
        });
        let region = || format!("an endpoint of `sts` in `{}`", near.region);
        let endpoint = endpoint.ok_or_else(|| lacks(&region(), String::new()))?;
        Ok((service, endpoint))
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn operation<'s>(service: &'s Service, name: &str) -> Result<&'s Operation, StsFault> {
    service.operations.get(name).ok_or_else(|| StsFault {
        cause: Cause::NoSts {
            what: format!("`sts:{name}`"),
        },
        detail: String::new(),
    })
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
fn input(step: &Step) -> Object {
    let mut input = Object::new();
    let mut set = |name, value: &str| input.set(name, Value::String(value.to_owned()));
    set("RoleArn", &step.role.to_string());
    set("RoleSessionName", &step.session_name);
    if let Some(external_id) = &step.external_id {
        set("ExternalId", external_id);
    }
    set("SourceIdentity", &step.source_identity);
    if let Some(seconds) = crate::aws::value::Number::parse(SESSION_SECONDS) {
        input.set("DurationSeconds", Value::Number(seconds));
    }
    input
}

async fn in_time<T>(call: impl Future<Output = Result<T, ApiFault>>) -> Result<T, ApiFault> {
    let call = tokio::time::timeout(ANSWER_MAX, call).await;
    call.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", ANSWER_MAX.as_secs());
        Err(ApiFault::Failed { why })
    })
}

/// AWS's code for a refusal that lasts; `None` for what passes.
fn code(fault: &ApiFault) -> Option<String> {
    match fault {
        ApiFault::Rejected { status, error } if !is_passing(*status, &error.code) => {
            Some(error.code.clone())
        }
        ApiFault::Rejected { .. } | ApiFault::Failed { .. } | ApiFault::Barred { .. } => None,
    }
}

/// No answer of STS's that counts, for now or until somebody acts.
fn unreached(fault: ApiFault) -> StsFault {
    let cause = match &fault {
        ApiFault::Barred { why } => Cause::StsBarred { why: why.clone() },
        ApiFault::Rejected { .. } | ApiFault::Failed { .. } => Cause::StsUnreachable,
    };
    unlike(fault, cause)
}

/// A fault with what STS said about it.
fn unlike(fault: ApiFault, cause: Cause) -> StsFault {
    let detail = match fault {
        ApiFault::Rejected {
            status,
            error: UpstreamError { code, message },
        } => format!("{status} {code}: {message}"),
        ApiFault::Failed { why } | ApiFault::Barred { why } => why,
    };
    StsFault { cause, detail }
}
