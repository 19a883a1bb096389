//! `palisade token`: what SDKs work out by themselves, made by the guard: with a virtual key it would be good for nothing.

use anyhow::anyhow;
use serde_json::json;

use super::ask::{As, Asking, answered, within};
use super::failure::Failure;
use crate::guard::token::{Database, database};

/// What `kubectl` takes where it doesn't say (`KUBERNETES_EXEC_INFO`).
const API_VERSION: &str = "client.authentication.k8s.io/v1beta1";

const EXAMPLES: &str = "\
Examples:
  palisade token eks --cluster prod
  palisade token rds --hostname orders.cabc123.eu-west-1.rds.amazonaws.com \\
      --port 5432 --username reader";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, clap::Subcommand)]
enum Of {
    /// For a Kubernetes cluster, in the form that kubectl takes from a command
    Eks(Eks),
    /// For a database, in the place of a password: 15 minutes to connect
    Rds(Rds),
}

#[derive(Debug, clap::Args)]
struct Eks {
    /// The cluster's name
    #[arg(long, visible_alias = "cluster-name", value_name = "NAME")]
    cluster: String,
    #[command(flatten)]
    by: As,
}

#[derive(Debug, clap::Args)]
struct Rds {
    /// The endpoint of the instance, the cluster or the proxy, as AWS names it
    #[arg(long, value_name = "HOST")]
    hostname: String,
    /// Its port: 5432 of PostgreSQL, 3306 of MySQL
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The database's user, one that takes IAM authentication
    #[arg(long, value_name = "USER")]
    username: String,
    #[command(flatten)]
    by: As,
}

/// What the command prints.
pub(crate) fn run(arguments: &Arguments) -> Result<String, Failure> {
    within(async {
        match &arguments.of {
            Of::Eks(eks) => of_cluster(eks).await,
            Of::Rds(rds) => of_database(rds).await,
        }
    })
}

async fn of_cluster(eks: &Eks) -> Result<String, Failure> {
    let asking = Asking::prepare(&eks.by, None).await?;
    let answer = asking
        .call("eks:GetToken", json!({ "name": eks.cluster }))
        .await?;
    let said = std::env::var("KUBERNETES_EXEC_INFO").ok();
    let credential = json!({
        "apiVersion": api_version(said.as_deref()),
        "kind": "ExecCredential",
        "spec": {},
        "status": {
            "expirationTimestamp": answered(&answer, "expiration")?,
            "token": answered(&answer, "token")?,
        },
    });
    Ok(format!("{credential}\n"))
}

/// The version that `kubectl` says it speaks.
fn api_version(said: Option<&str>) -> String {
    let said: Option<serde_json::Value> = said.and_then(|said| serde_json::from_str(said).ok());
    let version = said.as_ref().and_then(|said| said.get("apiVersion"));
    let version = version.and_then(serde_json::Value::as_str);
    version.unwrap_or(API_VERSION).to_owned()
}

async fn of_database(rds: &Rds) -> Result<String, Failure> {
    let host = rds.hostname.to_ascii_lowercase();
    let Database { of, id, region } = database(&host).ok_or_else(|| {
        Failure::usage(anyhow!("`{host}` isn't the endpoint of a database")).with_help(
            "give the endpoint that AWS shows, `name.hash.region.rds.amazonaws.com`, of the instance, the cluster or the proxy"
                .to_owned(),
        )
    })?;
    let asking = Asking::prepare(&rds.by, Some(region)).await?;
    let input = json!({
        of: id,
        "DBHostname": host,
        "Port": rds.port,
        "DBUsername": rds.username,
    });
    let answer = asking.call("rds:GenerateDBAuthToken", input).await?;
    Ok(format!("{}\n", answered(&answer, "Token")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_is_answered_in_the_version_that_it_speaks() {
        let v1 =
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{}}"#;
        assert_eq!(api_version(Some(v1)), "client.authentication.k8s.io/v1");
        assert_eq!(api_version(None), API_VERSION);
        assert_eq!(api_version(Some("nonsense")), API_VERSION);
    }
}
