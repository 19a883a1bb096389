//! Tokens that SDKs work out by themselves, of presigned requests: what they make of a virtual key is good at the guard
//! alone, so that the guard makes them of the caller's credentials at AWS.
//!
//! INVARIANT: a token is for what was judged: the cluster that the call names; the database whose id the host name begins
//! with.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::call::Call;
use crate::aws::catalog::model::Signature;
use crate::aws::endpoint::Endpoint;
use crate::aws::protocol::escape::encode;
use crate::aws::sigv4::{Algorithm, Over, SignError, Unsigned, presign, sha256_hex};
use crate::aws::value::{Object, Value};

/// A token or a URL as it's handed out; never in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Minted {
    pub token: String,
    /// From this moment on it's good for nothing.
    pub expires: SystemTime,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("`{0}` is missing, or no text")]
    Parameter(&'static str),
    #[error("`{parameter}` {problem}")]
    Invalid {
        parameter: &'static str,
        problem: String,
    },
    #[error(
        "`DBHostname` `{host}` isn't the endpoint of a database, a cluster or a proxy in `{region}`, `name.hash.{region}.rds.amazonaws.com`: a token is signed for the endpoint's own name; custom endpoints and names of one's own don't tell which database they lead to"
    )]
    Host { host: String, region: String },
    #[error("`DBHostname` is of `{of}` `{id}`: name exactly that as `{of}`")]
    OtherDatabase { of: &'static str, id: String },
}

/// A token for a Kubernetes cluster: a presigned `sts:GetCallerIdentity` that names the cluster.
/// <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EksToken {
    cluster: String,
}

const EKS_PREFIX: &str = "k8s-aws-v1.";
const EKS_CLUSTER: HeaderName = HeaderName::from_static("x-k8s-aws-id");
const EKS_QUERY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
/// How long the request may be on its way; the cluster takes the token for 15 minutes after it was made.
const EKS_URL: Duration = Duration::from_secs(60);
/// A minute less than the cluster takes it, as the AWS CLI says it.
const EKS_TOKEN: Duration = Duration::from_secs(14 * 60);

impl EksToken {
    /// What an `eks:GetToken` asks for.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn of(input: &Object) -> Result<Self, TokenError> {
        Ok(Self {
            cluster: text(input, "name")?,
        })
    }

    /// Makes the token. `sts` is where the cluster sends it.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn mint(
        &self,
        sts: &Endpoint,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Minted, SignError> {
        let value = HeaderValue::from_str(&self.cluster);
        let value = value.map_err(|_| SignError::Header(EKS_CLUSTER))?;
        let headers = HeaderMap::from_iter([(EKS_CLUSTER, value)]);
        let over = Over {
            algorithm: Algorithm::Hmac,
            region: &sts.region,
            signing_name: "sts",
            signature: Signature::V4,
        };
        let host = sts.host.as_str();
        let query = presigned(host, EKS_QUERY, &headers, credentials, over, now, EKS_URL)?;
        let url = format!("https://{host}/?{query}");
        Ok(Minted {
            token: format!("{EKS_PREFIX}{}", URL_SAFE_NO_PAD.encode(url)),
            expires: now + EKS_TOKEN,
        })
    }
}

/// A token for a database: a presigned `connect`, in the place of a password.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdsToken {
    /// `host:port`.
    authority: String,
    user: String,
    region: String,
}

const RDS_TOKEN: Duration = Duration::from_secs(15 * 60);
/// What MySQL and PostgreSQL take, and more.
const USER_CHARS_MAX: usize = 128;

/// The parameters that name a database, one of them.
const NAMES: [&str; 3] = ["DBInstanceIdentifier", "DBClusterIdentifier", "DBProxyName"];

impl RdsToken {
    /// What an `rds:GenerateDBAuthToken` asks for.
    ///
    /// # Errors
    /// [`TokenError`]; the host name has to be of exactly the one database that the call names, in the call's region.
    pub fn of(call: &Call) -> Result<Self, TokenError> {
        let input = &call.input;
        let invalid = |parameter, problem: &str| TokenError::Invalid {
            parameter,
            problem: problem.to_owned(),
        };
        let host = text(input, "DBHostname")?.to_ascii_lowercase();
        let database = database(&host).filter(|database| database.region == call.region);
        let Database { of, id, .. } = database.ok_or_else(|| TokenError::Host {
            host: host.clone(),
            region: call.region.clone(),
        })?;
        let named = |name: &&str| !matches!(input.get(name), None | Some(Value::Null));
        let is_it = |name: &str| input.get(name).and_then(Value::as_str) == Some(id);
        if NAMES.iter().filter(|name| named(name)).count() != 1 || !is_it(of) {
            let id = id.to_owned();
            return Err(TokenError::OtherDatabase { of, id });
        }
        let port = input.get("Port").and_then(Value::as_i64);
        let port = port.and_then(|port| u16::try_from(port).ok());
        let port = port.filter(|port| *port != 0);
        let port = port.ok_or_else(|| invalid("Port", "must be 1 to 65535"))?;
        let user = text(input, "DBUsername")?;
        if user.is_empty()
            || user.chars().count() > USER_CHARS_MAX
            || user.chars().any(char::is_control)
        {
            return Err(invalid("DBUsername", "must be 1 to 128 characters"));
        }
        Ok(Self {
            authority: format!("{host}:{port}"),
            user,
            region: call.region.clone(),
        })
    }

    /// Makes the token.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn mint(&self, credentials: &Credentials, now: SystemTime) -> Result<Minted, SignError> {
        let own = format!("Action=connect&DBUser={}", encode(&self.user));
        let headers = HeaderMap::new();
        let over = Over {
            algorithm: Algorithm::Hmac,
            region: &self.region,
            signing_name: "rds-db",
            signature: Signature::V4,
        };
        let host = &self.authority;
        let query = presigned(host, &own, &headers, credentials, over, now, RDS_TOKEN)?;
        Ok(Minted {
            token: format!("{host}/?{query}"),
            expires: now + RDS_TOKEN,
        })
    }
}

/// What a host name is the endpoint of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database<'h> {
    /// The parameter that names it: `DBInstanceIdentifier`, `DBClusterIdentifier` or `DBProxyName`.
    pub of: &'static str,
    pub id: &'h str,
    pub region: &'h str,
}

/// Reads the endpoint of a database, `name.hash.region.rds.suffix` in lower case, whose hash says what it is; `None` for any
/// other host name.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.Endpoints.html>
#[must_use]
pub fn database(host: &str) -> Option<Database<'_>> {
    let mut labels = host.split('.');
    let (id, hash, region, rds) = (
        labels.next()?,
        labels.next()?,
        labels.next()?,
        labels.next()?,
    );
    let fits = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let suffix: Vec<&str> = labels.collect();
    let is_it = rds == "rds" && fits(id) && fits(hash) && fits(region);
    if !is_it || suffix.is_empty() || !suffix.into_iter().all(fits) {
        return None;
    }
    let [instance, cluster, proxy] = NAMES;
    let of = match hash.rsplit_once('-') {
        None => instance,
        Some(("cluster" | "cluster-ro", _)) => cluster,
        Some(("proxy", _)) => proxy,
        Some(_) => return None,
    };
    Some(Database { of, id, region })
}

/// Presigns a GET of `/`, which has no body.
fn presigned(
    host: &str,
    query: &str,
    headers: &HeaderMap,
    credentials: &Credentials,
    over: Over<'_>,
    now: SystemTime,
    expires: Duration,
) -> Result<String, SignError> {
    let request = Unsigned {
        method: &Method::GET,
        host,
        path: "/",
        query: Some(query),
        headers,
        payload: &sha256_hex(b""),
    };
    presign(request, credentials, over, now, expires)
}

fn text(input: &Object, parameter: &'static str) -> Result<String, TokenError> {
    let text = input.get(parameter).and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or(TokenError::Parameter(parameter))
}

#[cfg(test)]
mod tests;
