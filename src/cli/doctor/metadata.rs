//! Credentials that lie about: what an instance or a container is given by AWS, and any process on it can take, around the
//! guard. No credential is fetched: the metadata service is asked for the role's name alone.

use std::ffi::OsString;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::finding::Finding;
use crate::cli::exec::environment::text;

const METADATA: &str = "client.metadata";
const CONTAINER: &str = "client.container";

/// The address is link-local: it answers at once or is not there.
const CONNECT_MAX: Duration = Duration::from_secs(1);
const WHOLE_MAX: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// Where instances are told of themselves.
const PLACE: &str = "169.254.169.254:80";

/// By what containers and pods are told where their credentials are.
const CONTAINERS: [&str; 3] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// Whom the environment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// A guard's client: it should hold no credential of AWS's.
    Client,
    /// The guard's own host, whose credentials they may be.
    Host,
}

/// Looks at both ways, within three seconds.
pub(super) async fn check(given: &[(OsString, OsString)], whose: Whose) -> Vec<Finding> {
    let place = text(given, "AWS_EC2_METADATA_SERVICE_ENDPOINT").and_then(address);
    let place = place.unwrap_or_else(|| PLACE.to_owned());
    let role = tokio::time::timeout(WHOLE_MAX, role(&place)).await;
    let disabled = text(given, "AWS_EC2_METADATA_DISABLED")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    vec![
        instance(role.ok().flatten(), disabled, whose),
        container(given, whose),
    ]
}

fn instance(role: Option<String>, disabled: bool, whose: Whose) -> Finding {
    match (role, whose, disabled) {
        (None, _, _) => Finding::ok(
            METADATA,
            "no instance credentials can be had: the metadata service names no role here",
        ),
        (Some(role), Whose::Host, _) => Finding::ok(
            METADATA,
            format!("instance credentials of the role `{role}`, for `source = \"default\"`"),
        ),
        (Some(role), Whose::Client, disabled) => {
            let still = if disabled {
                ", though SDKs are told not to (AWS_EC2_METADATA_DISABLED)"
            } else {
                ""
            };
            Finding::warning(
                METADATA,
                format!(
                    "any process here can take credentials of the role `{role}` around the guard{still}"
                ),
                "take the role off the instance, or let nobody but the guard reach 169.254.169.254 (a hop limit of 1 for containers, a firewall rule by user); AWS_EC2_METADATA_DISABLED=true for SDKs",
            )
        }
    }
}

fn container(given: &[(OsString, OsString)], whose: Whose) -> Finding {
    let set: Vec<&str> = CONTAINERS
        .into_iter()
        .filter(|name| text(given, name).is_some())
        .collect();
    if set.is_empty() {
        return Finding::ok(
            CONTAINER,
            "no variable leads to credentials of a container or a pod",
        );
    }
    let set = set.join(", ");
    match whose {
        Whose::Host => Finding::ok(
            CONTAINER,
            format!("{set} leads to credentials, for `source = \"default\"`"),
        ),
        Whose::Client => Finding::warning(
            CONTAINER,
            format!("{set} leads to credentials of AWS's, around the guard's keys"),
            format!("unset {set}, and give the task or the pod no role of its own"),
        ),
    }
}

/// `host:port` of a URL such as `http://127.0.0.1:1338/`.
fn address(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let place = rest.split('/').next()?;
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port {
        place.to_owned()
    } else {
        format!("{place}:80")
    })
}

/// The name of the instance's role. `None`: nobody answers, or there is none.
async fn role(place: &str) -> Option<String> {
    let put = "PUT /latest/api/token";
    let token = ask(place, put, "X-aws-ec2-metadata-token-ttl-seconds: 21600").await?;
    let token: String = token.chars().filter(char::is_ascii_graphic).collect();
    let get = "GET /latest/meta-data/iam/security-credentials/";
    let role = ask(place, get, &format!("X-aws-ec2-metadata-token: {token}")).await?;
    let role = role.lines().next()?.trim().to_owned();
    (!role.is_empty()).then_some(role)
}

/// The body of a successful answer.
async fn ask(place: &str, line: &str, header: &str) -> Option<String> {
    let stream = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(place)).await;
    let mut stream = stream.ok()?.ok()?;
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {place}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let mut answered = stream.take(ANSWER_BYTES_MAX);
    answered.read_to_end(&mut answer).await.ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    (status == "200").then(|| body.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::finding::State;
    use super::*;

    /// A metadata service: a token for PUT, a role's name for who shows it.
    async fn service(role: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let (status, body) = if head.starts_with("PUT /latest/api/token") {
                    ("200", "t0ken")
                } else if head.contains("X-aws-ec2-metadata-token: t0ken\r\n") {
                    ("200", role)
                } else {
                    ("401", "")
                };
                let answer = format!("HTTP/1.1 {status} x\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        format!("http://{place}/")
    }

    async fn found(url: &str, more: &[(&str, &str)], whose: Whose) -> Vec<Finding> {
        let place = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let given: Vec<_> = more.iter().chain([&place]).map(pair).collect();
        check(&given, whose).await
    }

    #[tokio::test]
    async fn a_role_that_any_process_can_have_is_told() {
        let url = service("web-server\n").await;
        let client = found(&url, &[], Whose::Client).await;
        assert_eq!(client[0].state, State::Warning);
        assert!(client[0].what.contains("`web-server`"), "{client:?}");
        let disabled = [("AWS_EC2_METADATA_DISABLED", "TRUE")];
        let told = found(&url, &disabled, Whose::Client).await;
        assert!(
            told[0].what.contains("AWS_EC2_METADATA_DISABLED"),
            "{told:?}"
        );
        assert_eq!(found(&url, &[], Whose::Host).await[0].state, State::Ok);
    }

    #[tokio::test]
    async fn no_service_and_no_role_are_fine() {
        let url = service("").await;
        assert_eq!(found(&url, &[], Whose::Client).await[0].state, State::Ok);
        let nobody = found("http://127.0.0.1:1", &[], Whose::Client).await;
        assert_eq!(nobody[0].state, State::Ok);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_says_nothing_holds_nobody_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        assert_eq!(found(&url, &[], Whose::Client).await[0].state, State::Ok);
    }

    #[tokio::test]
    async fn what_leads_to_a_pods_credentials_is_named() {
        let pod = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")];
        let nobody = "http://127.0.0.1:1";
        let client = found(nobody, &pod, Whose::Client).await;
        assert_eq!(client[1].state, State::Warning);
        assert!(
            client[1]
                .fix
                .as_ref()
                .unwrap()
                .contains("unset AWS_WEB_IDENTITY_TOKEN_FILE")
        );
        assert_eq!(found(nobody, &pod, Whose::Host).await[1].state, State::Ok);
        assert_eq!(found(nobody, &[], Whose::Client).await[1].state, State::Ok);
    }
}
