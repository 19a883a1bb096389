//! AWS's chain for real: each case runs in a process of its own, whose environment, home and profile files are
//! the case's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use std::time::Duration;

use super::watch::tests::{Told, nobody};
use super::*;
use crate::proxy::egress::{Egress, OtherHosts, PrivateAddresses};
use crate::proxy::parent::{Bypass, Parent};
use crate::proxy::upstream::{Override, Scheme, Upstream, UpstreamConfig};
use crate::proxy::{Budget, Timeouts};
use crate::sources::api::Api;

const MARKER: &str = "CREDENTIALS_CASE";
const PARENT: &str = "CREDENTIALS_PARENT";

/// `[upstream]` without a parent proxy, or with the one that the case's variable names.
pub(super) fn upstream() -> UpstreamConfig {
    let proxy = std::env::var(PARENT)
        .ok()
        .map(|url| Parent::parse(&url).unwrap());
    UpstreamConfig {
        dangerous_override: None,
        ca_file: None,
        proxy,
        no_proxy: Bypass::default(),
        timeout: Duration::from_secs(5),
    }
}

/// What a case's process runs: says in one line what the table gave.
#[test]
fn case() {
    let source = match std::env::var(MARKER) {
        Err(_) => return,
        Ok(profile) if profile.is_empty() => CredentialSource::Default,
        Ok(profile) => CredentialSource::Profile(profile),
    };
    let table = CredentialsConfig {
        name: "prod".to_owned(),
        source,
        accounts: Vec::new(),
        roles: Roles::default(),
    };
    let store =
        UpstreamCredentials::new(&[table], &[], &upstream(), sts(), Clock::system(), nobody())
            .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let line = match runtime.block_on(store.source("prod")) {
        Ok(c) => format!(
            "ok {} {:?}",
            c.access_key_id(),
            c.account_id().map(|a| a.as_str())
        ),
        Err(fault) if fault.is_lasting() => format!("lasting {fault}"),
        Err(fault) => format!("passing {fault}"),
    };
    println!("RESULT {line}");
}

/// STS where nobody answers.
fn sts() -> Sts {
    sts_at(9, &Clock::system())
}

/// STS, and all of AWS, at a port of this host.
pub(super) fn sts_at(port: u16, clock: &Clock) -> Sts {
    let upstream = UpstreamConfig {
        dangerous_override: Some(Override {
            scheme: Scheme::Http,
            host: "127.0.0.1".to_owned(),
            port,
        }),
        ..upstream()
    };
    let egress = Egress {
        other_hosts: OtherHosts::Refuse,
        allow: Vec::new(),
        private_addresses: PrivateAddresses::Refuse,
        private_cidrs: Vec::new(),
    };
    let timeouts = Timeouts::default();
    let upstream = Upstream::new(&upstream, &egress, timeouts).unwrap();
    let api = Api::new(upstream, clock.clone(), Budget::new(1 << 20), timeouts);
    Sts::new(api, Arc::new(Catalog::embedded().unwrap()))
}

struct Case {
    home: tempfile::TempDir,
    /// Where the environment's proxy variables point; nobody may ever connect.
    proxy: TcpListener,
    variables: Vec<(String, String)>,
}

impl Case {
    fn new(config: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = config.replace("{home}", &home.path().display().to_string());
        std::fs::write(home.path().join("config"), config).unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.set_nonblocking(true).unwrap();
        Self {
            home,
            proxy,
            variables: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    fn file(self, name: &str, contents: &str) -> Self {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
        self
    }

    /// Runs the case; an empty `profile` is AWS's own chain.
    #[track_caller]
    fn check(self, profile: &str, expected: &str) {
        let proxy = format!("http://{}", self.proxy.local_addr().unwrap());
        let home = self.home.path();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "sources::credentials::tests::case",
                "--nocapture",
            ])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .env("AWS_CONFIG_FILE", home.join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", home.join("credentials"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|n| (n, &proxy)))
            .envs(self.variables.iter().cloned())
            .env(MARKER, profile)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.split("RESULT ").nth(1).and_then(|t| t.lines().next());
        let expected = expected.replace("{home}", &home.display().to_string());
        assert_eq!(line, Some(expected.as_str()), "{text}\n{output:?}");
        let untouched = self.proxy.accept().unwrap_err();
        assert_eq!(
            untouched.kind(),
            ErrorKind::WouldBlock,
            "the proxy was used"
        );
    }
}

/// A server that gives every request the same answer; its address.
fn answers(status: &'static str, header: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), status, header, body);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, status: &str, header: &str, body: &str) -> std::io::Result<()> {
    let mut request = [0; 8192];
    let _ = stream.read(&mut request)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

const JSON: &str = "Content-Type: application/json";
const PROCESS_OUTPUT: &str = r#"{"Version":1,"AccessKeyId":"AKIAPROCESS","SecretAccessKey":"s","AccountId":"123456789012","Expiration":"2099-01-01T00:00:00Z"}"#;
const SSO: &str = "
[profile work]
sso_session = company
sso_account_id = 123456789012
sso_role_name = admin
[sso-session company]
sso_region = eu-central-1
sso_start_url = https://company.awsapps.com/start
";
const NO: &str = "lasting no upstream credentials from `[credentials.prod]`:";

fn token(expires: &str) -> String {
    format!(
        r#"{{"accessToken":"t","expiresAt":"{expires}","region":"eu-central-1","startUrl":"https://company.awsapps.com/start"}}"#
    )
}

fn sso_cache() -> String {
    // The name of the file in which AWS's clients keep a session's token: the SHA-1 of the session's name.
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, b"company");
    let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!(".aws/sso/cache/{hex}.json")
}

#[test]
fn a_credential_process_gives_credentials_and_their_account() {
    Case::new("[profile work]\ncredential_process = cat {home}/out.json\n")
        .file("out.json", PROCESS_OUTPUT)
        .check("work", "ok AKIAPROCESS Some(\"123456789012\")");
}

#[test]
fn a_named_profile_comes_before_the_environments_keys() {
    let case = || {
        Case::new("[profile work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = s\n")
            .with("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
            .with("AWS_SECRET_ACCESS_KEY", "s")
    };
    case().check("work", "ok AKIAWORK None");
    case().check("", "ok AKIAENVIRONMENT None");
}

#[test]
fn a_login_goes_through_the_parent_proxy_of_the_configuration() {
    let login = || Case::new(SSO).file(&sso_cache(), &token("2099-01-01T00:00:00Z"));
    let (parent, heads) = parent("HTTP/1.1 407 Who\r\n\r\n");
    login().with(PARENT, parent).check(
        "work",
        &format!(
            "{NO} the parent proxy wants another user and password than those in `upstream.proxy`; mend them there"
        ),
    );
    let head = heads.recv().unwrap();
    let to = "CONNECT portal.sso.eu-central-1.amazonaws.com:443 HTTP/1.1\r\n";
    assert!(head.starts_with(to), "{head}");
    assert!(head.contains("Basic YW5uOnMzY3JldEA="), "{head}");
    let (parent, _) = self::parent("HTTP/1.1 503 Busy\r\n\r\n");
    let passing = NO.replace("lasting", "passing");
    login().with(PARENT, parent).check(
        "work",
        &format!("{passing} their source cannot be reached at the moment"),
    );
}

/// A parent proxy with user and password that gives every request the same answer: its URL, and the heads that came.
fn parent(answer: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heads) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            sender
                .send(String::from_utf8_lossy(&head[..read]).into_owned())
                .ok();
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    (format!("http://ann:s3cret%40@{address}"), heads)
}

#[test]
fn an_expired_login_is_lasting_and_names_the_command() {
    let command = "there is no login, or it has expired; run `aws sso login --profile work`";
    Case::new(SSO)
        .file(&sso_cache(), &token("2020-01-01T00:00:00Z"))
        .check("work", &format!("{NO} {command}"));
    Case::new(SSO).check("work", &format!("{NO} {command}"));
    Case::new(SSO)
        .with("AWS_PROFILE", "work")
        .check("", &format!("{NO} {command}"));
}

#[test]
fn a_login_that_aws_no_longer_takes_is_lasting() {
    let portal = answers(
        "401 Unauthorized",
        "Content-Type: application/json\r\nx-amzn-ErrorType: UnauthorizedException",
        r#"{"message":"Session token not found or invalid"}"#,
    );
    Case::new(SSO)
        .file(&sso_cache(), &token("2099-01-01T00:00:00Z"))
        .with("AWS_ENDPOINT_URL_SSO", portal)
        .check(
            "work",
            &format!(
                "{NO} there is no login, or it has expired; run `aws sso login --profile work`"
            ),
        );
}

#[test]
fn no_credentials_at_all_is_lasting() {
    let rest = "set AWS's variables, or name a profile in the table";
    Case::new("").check(
        "",
        &format!("{NO} none were found; log in (`aws sso login`), {rest}"),
    );
    for config in ["", "[profile work]\nregion = eu-central-1\n"] {
        Case::new(config).check(
            "work",
            &format!("{NO} the profile `work` of the AWS configuration is not there or holds none; `aws configure --profile work` writes one"),
        );
    }
}

#[test]
fn a_wrong_profile_is_lasting() {
    Case::new("[profile other]\nregion = eu-central-1\n").check(
        "work",
        &format!("{NO} the AWS configuration is wrong: profile `work` was not defined: could not find source profile work referenced from the root profile"),
    );
    Case::new("[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = gone\n")
        .check(
            "work",
            &format!("{NO} the AWS configuration is wrong: profile `gone` was not defined: could not find source profile gone referenced from work"),
        );
    Case::new("[profile work]\nlogin_session = arn:aws:iam::123456789012:user/u\n").check(
        "work",
        &format!("{NO} the profile uses `aws login`, which isn't built yet; give it a `credential_process`"),
    );
}

#[test]
fn a_failing_process_is_lasting_and_its_words_stay_with_us() {
    Case::new("[profile work]\ncredential_process = echo secret words >&2; exit 3\n").check(
        "work",
        &format!(
            "{NO} the credential process failed; run it by hand, log in again if it asks for that"
        ),
    );
}

#[test]
fn credentials_that_have_expired_are_not_used() {
    Case::new("[profile work]\ncredential_process = cat {home}/out.json\n")
        .file("out.json", &PROCESS_OUTPUT.replace("2099", "2020"))
        .check(
            "work",
            &format!("{NO} the source gives credentials that have expired; log in again (`aws sso login --profile work`)"),
        );
}

#[test]
fn a_virtual_key_of_our_own_is_never_used_upstream() {
    Case::new("")
        .with("AWS_ACCESS_KEY_ID", "PALISADEABCDEFGH")
        .with("AWS_SECRET_ACCESS_KEY", "s")
        .check(
            "",
            &format!("{NO} the source gives one of Palisade's own virtual keys; start the guard without AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and such a profile"),
        );
}

#[test]
fn a_container_gives_credentials_past_any_proxy() {
    let agent = answers(
        "200 OK",
        JSON,
        r#"{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#,
    );
    Case::new("")
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{agent}/x"))
        .check("", "ok ASIACONTAINER None");
}

#[test]
fn a_source_that_cannot_be_reached_passes() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let expected = "passing no upstream credentials from `[credentials.prod]`: their source cannot be reached at the moment";
    Case::new("")
        .with(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            format!("http://{address}/x"),
        )
        .check("", expected);
    let busy = answers("503 Service Unavailable", JSON, "{}");
    Case::new("")
        .with("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{busy}/x"))
        .check("", expected);
}

#[test]
fn a_role_that_may_not_be_taken_on_is_lasting() {
    let sts = answers(
        "403 Forbidden",
        "Content-Type: text/xml",
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
    );
    Case::new("[profile work]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = base\n[profile base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n")
        .with("AWS_ENDPOINT_URL_STS", sts)
        .check("work", &format!("{NO} AWS refused to give them; check the role and who may take it on"));
}

#[tokio::test]
async fn keys_from_code_and_unknown_tables() {
    let table = CredentialsConfig {
        name: "sandbox".to_owned(),
        source: CredentialSource::Static(crate::config::StaticKeys {
            access_key_id: "AKIASANDBOX".to_owned(),
            secret_access_key: "hidden".to_owned(),
        }),
        accounts: Vec::new(),
        roles: Roles::default(),
    };
    let store =
        UpstreamCredentials::new(&[table], &[], &upstream(), sts(), Clock::system(), nobody())
            .unwrap();
    let keys = store.source("sandbox").await.unwrap();
    assert_eq!(keys.access_key_id(), "AKIASANDBOX");
    assert_eq!(keys.secret_access_key(), "hidden");
    assert!(!format!("{store:?}").contains("hidden"));
    let fault = store.source("prod").await.unwrap_err();
    assert_eq!((fault.cause(), fault.is_lasting()), (&Cause::NoTable, true));
}

#[test]
fn roots_that_are_no_certificates_trust_nothing() {
    let junk = CertificateDer::from(vec![1, 2, 3]);
    UpstreamCredentials::new(&[], &[junk], &upstream(), sts(), Clock::system(), nobody()).unwrap();
}

#[tokio::test]
async fn a_table_whose_settings_stay_keeps_what_it_has() {
    let table = |name: &str, external_id: Option<&str>| CredentialsConfig {
        name: name.to_owned(),
        source: CredentialSource::Default,
        accounts: Vec::new(),
        roles: Roles {
            external_id: external_id.map(str::to_owned),
            ..Roles::default()
        },
    };
    let (same, other) = (table("same", None), table("other", None));
    let store = UpstreamCredentials::new(
        &[same.clone(), other],
        &[],
        &upstream(),
        sts(),
        Clock::system(),
        nobody(),
    )
    .unwrap();
    let tables = [same, table("other", Some("x-1")), table("new", None)];
    let renewed = store.renewed(&tables, Arc::new(Catalog::embedded().unwrap()));
    let kept = |name: &str| {
        let before = store.table(name).ok();
        before.is_some_and(|before| Arc::ptr_eq(before, renewed.table(name).unwrap()))
    };
    assert_eq!(["same", "other", "new"].map(kept), [true, false, false]);
}

#[tokio::test]
async fn a_source_that_gives_nothing_is_told_as_failed() {
    let table = CredentialsConfig {
        name: "prod".to_owned(),
        source: CredentialSource::Profile("nobody-has-such-a-profile".to_owned()),
        accounts: Vec::new(),
        roles: Roles::default(),
    };
    let told = nobody();
    let watch = Arc::<Told>::clone(&told);
    let store = UpstreamCredentials::new(&[table], &[], &upstream(), sts(), Clock::system(), watch);
    store.unwrap().source("prod").await.unwrap_err();
    let expected = [("prod".to_owned(), Fetch::Source, FetchOutcome::Failed)];
    assert_eq!(*told.0.lock().unwrap(), expected);
}
