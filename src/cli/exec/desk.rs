//! Where the command's credential processes get session keys: a Unix socket in the private folder. `exec` mints them,
//! so that they can be renewed for as long as the command runs and not a moment longer, and so that a login that is over
//! is told when it's noticed.
//!
//! One line of JSON asks (`{"profile":"prod"}`), one answers: what a credential process prints, or an error with the
//! next step. Only the user who runs `exec` is answered.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use crate::cli::failure::Failure;
use crate::guard::keyring::{Session, SessionKey};
use crate::state::{KeyStore, StateError, time_text};

/// The socket's name in the private folder; short, for its whole path may have 107 bytes.
const SOCKET: &str = "s";
/// How long a session key is good; clients ask for the next one a while before.
const SESSION: Duration = Duration::from_secs(3600);
/// The longest question and answer.
const LINE_BYTES_MAX: u64 = 16 * 1024;
/// How long an exchange may take: a login that is looked at may take ten seconds or so.
const DEADLINE: Duration = Duration::from_secs(45);
/// How many are answered at one time.
const AT_ONCE: usize = 16;

/// Says what a credential process prints for a profile.
pub(super) trait Mint: Send + Sync + 'static {
    /// Session keys of that profile.
    fn mint(&self, profile: &str) -> impl Future<Output = Result<String, Failure>> + Send;
}

#[derive(Debug, Serialize, Deserialize)]
struct Question {
    profile: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Printed(String),
    Refused { error: String, help: Option<String> },
}

/// Session keys of a caller, as a credential process prints them.
pub(in crate::cli) fn session(
    keys: &KeyStore,
    caller: &str,
    parent: Option<&str>,
    table: &str,
    now: SystemTime,
) -> Result<String, StateError> {
    let expires = now + SESSION;
    let session = Session {
        caller: caller.to_owned(),
        parent: parent.map(str::to_owned),
        credentials: Some(table.to_owned()),
        role: None,
        begun: now,
        expires,
    };
    let key = keys.begin(&session)?;
    Ok(printed(&key, expires))
}

/// What a credential process prints: <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>.
fn printed(key: &SessionKey, expires: SystemTime) -> String {
    let json = serde_json::json!({
        "Version": 1,
        "AccessKeyId": key.access_key_id,
        "SecretAccessKey": key.secret_access_key.expose(),
        "SessionToken": key.session_token,
        "Expiration": time_text(expires),
    });
    format!("{json}\n")
}

/// Opens the desk in a folder, and answers until the runtime ends.
///
/// # Errors
/// The socket can't be made.
pub(super) fn open<M: Mint>(folder: &Path, mint: Arc<M>) -> anyhow::Result<()> {
    let path = folder.join(SOCKET);
    let listener = UnixListener::bind(&path).map_err(|error| {
        anyhow!(
            "`{}` can't be listened on: {error}; set TMPDIR to a folder with a shorter name",
            path.display()
        )
    })?;
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    tokio::spawn(async move {
        loop {
            let Ok(permit) = Arc::clone(&gate).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mint = Arc::clone(&mint);
            tokio::spawn(async move {
                let _permit = permit;
                let answered = tokio::time::timeout(DEADLINE, answer(stream, &*mint)).await;
                if let Ok(Err(error)) = answered {
                    tracing::debug!(%error, "a credential process went away");
                }
            });
        }
    });
    Ok(())
}

async fn answer<M: Mint>(mut stream: tokio::net::UnixStream, mint: &M) -> std::io::Result<()> {
    // The folder keeps others out already.
    let ours = rustix::process::geteuid().as_raw();
    if stream.peer_cred()?.uid() != ours {
        return Ok(());
    }
    let (read, mut write) = stream.split();
    let mut line = String::new();
    let mut read = tokio::io::BufReader::new(read).take(LINE_BYTES_MAX);
    read.read_line(&mut line).await?;
    let minted = match serde_json::from_str::<Question>(&line) {
        Ok(question) => mint.mint(&question.profile).await,
        Err(error) => Err(Failure::usage(anyhow!("not a question: {error}"))),
    };
    let answer = match minted {
        Ok(text) => Answer::Printed(text),
        Err(failure) => Answer::Refused {
            error: failure.error(),
            help: failure.help().map(str::to_owned),
        },
    };
    let text = serde_json::to_string(&answer)? + "\n";
    write.write_all(text.as_bytes()).await?;
    write.shutdown().await
}

/// Asks the desk in a folder; this is the credential process's side.
///
/// # Errors
/// What the desk says, or that it's gone.
pub(in crate::cli) fn ask(folder: &Path, profile: &str) -> Result<String, Failure> {
    let answer = exchange(folder, profile).map_err(|error| {
        let gone = anyhow!(
            "the `palisade exec` that these credentials come from isn't there any more: {error}"
        );
        Failure::usage(gone).with_help("start the command again, by `palisade exec`".to_owned())
    })?;
    match answer {
        Answer::Printed(text) => Ok(text),
        Answer::Refused { error, help } => Err(Failure::usage(anyhow!("{error}")).with_help(help)),
    }
}

fn exchange(folder: &Path, profile: &str) -> std::io::Result<Answer> {
    let mut stream = UnixStream::connect(folder.join(SOCKET))?;
    let deadline = Some(DEADLINE + Duration::from_secs(5));
    stream.set_read_timeout(deadline)?;
    stream.set_write_timeout(deadline)?;
    let question = Question {
        profile: profile.to_owned(),
    };
    let text = serde_json::to_string(&question)? + "\n";
    stream.write_all(text.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Only(&'static str);

    impl Mint for Only {
        async fn mint(&self, profile: &str) -> Result<String, Failure> {
            if profile == self.0 {
                return Ok(format!("keys of {profile}\n"));
            }
            let error = anyhow!("`{profile}` has no login");
            Err(Failure::usage(error).with_help("run `aws sso login`".to_owned()))
        }
    }

    async fn asked(folder: &Path, profile: &'static str) -> Result<String, String> {
        let folder = folder.to_owned();
        let asked = tokio::task::spawn_blocking(move || ask(&folder, profile));
        asked.await.unwrap().map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn a_profile_gets_its_keys_or_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        open(folder.path(), Arc::new(Only("prod"))).unwrap();
        let keys = asked(folder.path(), "prod").await;
        assert_eq!(keys.as_deref(), Ok("keys of prod\n"));
        assert_eq!(
            asked(folder.path(), "de\"v").await.unwrap_err(),
            "palisade: `de\"v` has no login\nhelp: run `aws sso login`"
        );
    }

    #[tokio::test]
    async fn a_desk_that_is_gone_says_to_start_again() {
        let folder = tempfile::tempdir().unwrap();
        let text = asked(folder.path(), "prod").await.unwrap_err();
        assert!(
            text.ends_with("\nhelp: start the command again, by `palisade exec`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_printed_is_what_a_credential_process_prints() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyStore::passing(&folder.path().join("keys")).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let text = session(&keys, "anna", None, "prod", now).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(
            names,
            [
                "Version",
                "AccessKeyId",
                "SecretAccessKey",
                "SessionToken",
                "Expiration"
            ]
        );
        assert_eq!(json["Version"], 1);
        assert_eq!(json["Expiration"], "2027-01-15T09:00:00Z");
        assert!(
            json["AccessKeyId"]
                .as_str()
                .unwrap()
                .starts_with("PALISADE")
        );
        assert!(!folder.path().join("keys/master.key").exists());
    }
}
