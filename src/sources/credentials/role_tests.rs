//! Roles against an STS on loopback, by a clock that stands still.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::tests::{sts_at, upstream};
use super::watch::tests::Told;
use super::*;
use crate::aws::arn::RolePattern;
use crate::aws::endpoint::Resolved;
use crate::aws::host::Host;
use crate::aws::protocol::escape;
use crate::guard::call::AssumedRole;

const ACCOUNT: &str = "111111111111";
const WORK: &str = "arn:aws:iam::111111111111:role/work";
const THEIRS: &str = "arn:aws:iam::111111111111:role/theirs";
const HOUR: Duration = Duration::from_secs(3600);

/// What the server answers.
#[derive(Clone, Copy)]
enum Mood {
    /// Keys `ASIA1`, `ASIA2` …, valid for so long.
    Gives(Duration),
    Fails(u16, &'static str),
    Says(&'static str),
}

/// What it was asked: the access key that signed, and the form.
type Asked = (String, BTreeMap<String, String>);

struct World {
    clock: Clock,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Asked>>,
    told: Arc<Told>,
}

impl World {
    /// A world whose STS listens, and credentials of one table `prod` in it.
    fn new(role_arn: Option<&str>) -> (Arc<Self>, UpstreamCredentials) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Arc::new(Self {
            clock: Clock::fixed(SystemTime::UNIX_EPOCH + HOUR * 500_000),
            mood: Mutex::new(Mood::Gives(HOUR)),
            asked: Mutex::default(),
            told: Arc::default(),
        });
        let server = Arc::clone(&world);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.answer(stream.unwrap()));
            }
        });
        let table = CredentialsConfig {
            name: "prod".to_owned(),
            source: CredentialSource::Static(StaticKeys {
                access_key_id: "AKIASOURCE".to_owned(),
                secret_access_key: "s".to_owned(),
            }),
            accounts: vec![ACCOUNT.to_owned()],
            roles: Roles {
                work: role_arn.map(|text| RolePattern::parse(text).unwrap()),
                guarded: None,
                external_id: Some("x-1".to_owned()),
            },
        };
        let (sts, clock) = (sts_at(port, &world.clock), world.clock.clone());
        let watch = Arc::<Told>::clone(&world.told);
        let store =
            UpstreamCredentials::new(&[table], &[], &upstream(), sts, clock, watch).unwrap();
        (world, store)
    }

    fn answer(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut key, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let lower = line.trim().to_ascii_lowercase();
            if let Some((_, rest)) = line.split_once("Credential=") {
                key = rest.split('/').next().unwrap().to_owned();
            } else if let Some(text) = lower.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            } else if lower.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let form = form(&String::from_utf8(body).unwrap());
        let number = {
            let mut asked = lock(&self.asked);
            asked.push((key, form));
            asked.len()
        };
        let (status, body) = match *lock(&self.mood) {
            Mood::Gives(lifetime) => {
                let expires = crate::guard::time::of(self.clock.now() + lifetime).unwrap();
                (200, keys(&format!("ASIA{number}"), &expires))
            }
            Mood::Fails(status, code) => (
                status,
                format!(
                    "<ErrorResponse><Error><Code>{code}</Code><Message>who it was</Message></Error></ErrorResponse>"
                ),
            ),
            Mood::Says(text) => (200, text.to_owned()),
        };
        let length = body.len();
        write!(
            reader.get_mut(),
            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
    }

    fn is(&self, mood: Mood) {
        *lock(&self.mood) = mood;
    }

    fn asked(&self) -> Vec<Asked> {
        lock(&self.asked).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn form(body: &str) -> BTreeMap<String, String> {
    let decode = |text| escape::decode(text, escape::Plus::Blank).unwrap();
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(k, v)| (decode(k), decode(v))).collect()
}

fn keys(id: &str, expires: &str) -> String {
    format!(
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
}

fn caller(role: Option<&str>) -> Caller {
    Caller {
        name: "ada".to_owned(),
        groups: Vec::new(),
        credentials: "prod".to_owned(),
        access_key_id: "PALISADE".to_owned(),
        role: role.map(|arn| AssumedRole {
            arn: arn.to_owned(),
            account: ACCOUNT.to_owned(),
            session_name: "tf".to_owned(),
            external_id: Some("theirs".to_owned()),
        }),
        session: None,
    }
}

/// Where the calls go; told once, since a catalog takes its time.
static NEAR: LazyLock<Endpoint> = LazyLock::new(|| {
    let host = Host::parse("workspaces.eu-central-1.amazonaws.com").unwrap();
    match Catalog::embedded().unwrap().resolve(&host) {
        Resolved::Api(endpoint) => endpoint,
        other @ (Resolved::Unmodelled | Resolved::Foreign) => panic!("{other:?}"),
    }
});

async fn asks(
    store: &UpstreamCredentials,
    role: Option<&str>,
    power: Power,
) -> Result<Signer, CredentialsFault> {
    store.credentials(&caller(role), power, &NEAR).await
}

/// The access key of the work role's credentials, or the fault in words.
async fn work(store: &UpstreamCredentials) -> Result<String, String> {
    let signer = asks(store, None, Power::Work).await;
    let signer = signer.map_err(|fault| match fault.is_lasting() {
        true => format!("lasting {fault}"),
        false => format!("passing {fault}"),
    })?;
    assert_eq!(signer.role.as_deref(), Some(WORK));
    assert_eq!(signer.credentials.account_id().unwrap().as_str(), ACCOUNT);
    Ok(signer.credentials.access_key_id().to_owned())
}

/// Waits for what happens beside the calls.
async fn until(mut there: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !there().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap();
}

fn ok(id: &str) -> Result<String, String> {
    Ok(id.to_owned())
}

#[tokio::test]
async fn fifty_calls_assume_a_role_once() {
    let (world, store) = World::new(Some(WORK));
    let calls = futures_util::future::join_all((0..50).map(|_| work(&store))).await;
    assert_eq!(calls, vec![ok("ASIA1"); 50]);
    let [(key, form)] = world.asked().try_into().unwrap();
    assert_eq!(key, "AKIASOURCE");
    let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("Action", "AssumeRole"),
        ("DurationSeconds", "3600"),
        ("ExternalId", "x-1"),
        ("RoleArn", WORK),
        ("RoleSessionName", "ada"),
        ("SourceIdentity", "ada"),
        ("Version", "2011-06-15"),
    ];
    assert_eq!(form, expected);
}

#[tokio::test]
async fn a_sessions_role_is_assumed_from_the_tables_role() {
    let (world, store) = World::new(Some(WORK));
    for power in [Power::Work, Power::Guarded] {
        let signer = asks(&store, Some(THEIRS), power).await.unwrap();
        assert_eq!(signer.credentials.access_key_id(), "ASIA2");
        assert_eq!(
            (signer.role.as_deref(), signer.account.as_str()),
            (Some(THEIRS), ACCOUNT)
        );
    }
    let asked: Vec<Vec<String>> = world
        .asked()
        .into_iter()
        .map(|(key, form)| {
            let names = ["RoleArn", "RoleSessionName", "SourceIdentity", "ExternalId"];
            [key]
                .into_iter()
                .chain(names.map(|n| form[n].clone()))
                .collect()
        })
        .collect();
    assert_eq!(
        asked,
        [
            ["AKIASOURCE", WORK, "ada", "ada", "x-1"],
            ["ASIA1", THEIRS, "tf", "ada", "theirs"],
        ]
    );
    // The table's own role is another session, and is there already.
    assert_eq!(work(&store).await, ok("ASIA1"));
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn a_session_is_renewed_early_and_nobody_waits() {
    let (world, store) = World::new(Some(WORK));
    assert_eq!(work(&store).await, ok("ASIA1"));
    world.clock.advance(Duration::from_secs(54 * 60));
    assert_eq!(work(&store).await, ok("ASIA1"));
    assert_eq!(world.asked().len(), 1);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(work(&store).await, ok("ASIA1"), "those at hand are good");
    until(async || work(&store).await == ok("ASIA2")).await;
    assert_eq!(world.asked().len(), 2);
}

#[tokio::test]
async fn an_outage_stops_nothing_until_the_session_ends_and_heals_by_itself() {
    let (world, store) = World::new(Some(WORK));
    assert_eq!(work(&store).await, ok("ASIA1"));
    world.clock.advance(Duration::from_secs(56 * 60));
    world.is(Mood::Fails(503, "ServiceUnavailable"));
    for tries in 2..=4 {
        let tried = async || {
            assert_eq!(work(&store).await, ok("ASIA1"));
            world.asked().len() == tries
        };
        until(tried).await;
        assert_eq!(work(&store).await, ok("ASIA1"));
        world.clock.advance(Duration::from_secs(31));
    }
    world.clock.advance(Duration::from_secs(4 * 60));
    let busy = "passing no upstream credentials from `[credentials.prod]`: STS is busy or can't be reached at the moment";
    assert_eq!(work(&store).await, Err(busy.to_owned()));
    let tries = world.asked().len();
    assert_eq!(
        work(&store).await,
        Err(busy.to_owned()),
        "not asked again within a second"
    );
    assert_eq!(world.asked().len(), tries);
    world.is(Mood::Gives(HOUR));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(work(&store).await, ok(&format!("ASIA{}", tries + 1)));
}

#[track_caller]
fn check(mood: Mood, expected: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (world, store) = World::new(Some(WORK));
    world.is(mood);
    let found = runtime.block_on(work(&store)).unwrap_err();
    let expected = expected.replacen(
        ' ',
        " no upstream credentials from `[credentials.prod]`: ",
        1,
    );
    assert_eq!(found, expected);
}

#[test]
fn what_lasts_is_told_from_what_passes() {
    check(
        Mood::Fails(403, "AccessDenied"),
        "lasting AWS doesn't let the guard's own keys assume the role `arn:aws:iam::111111111111:role/work`: its trust policy must allow them `sts:AssumeRole` and `sts:SetSourceIdentity`, with the external id of the table or of the session if it asks for one, and so must their own policies",
    );
    check(
        Mood::Fails(403, "ExpiredToken"),
        "lasting AWS doesn't give the role `arn:aws:iam::111111111111:role/work` to the guard's own keys (ExpiredToken); renew them if they have expired, and check the role",
    );
    let busy = "passing STS is busy or can't be reached at the moment";
    check(Mood::Fails(400, "Throttling"), busy);
    check(Mood::Fails(500, "InternalFailure"), busy);
    let unreadable = "lasting what STS answers about the role `arn:aws:iam::111111111111:role/work` can't be used; the log says why";
    check(Mood::Says("{}"), unreadable);
    check(Mood::Says("<AssumeRoleResponse/>"), unreadable);
}

#[test]
fn keys_that_are_no_good_are_not_used() {
    check(
        Mood::Gives(Duration::from_secs(10)),
        "lasting the credentials of the role `arn:aws:iam::111111111111:role/work` have expired on arrival; check the guard's clock",
    );
    let ours = keys("PALISADEABC", "2999-01-01T00:00:00Z");
    check(
        Mood::Says(ours.leak()),
        "lasting the source gives one of Palisade's own virtual keys; start the guard without AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and such a profile",
    );
}

#[tokio::test]
async fn the_role_before_is_named_where_it_may_not_assume_the_next() {
    let (world, store) = World::new(Some(WORK));
    assert_eq!(work(&store).await, ok("ASIA1"));
    world.is(Mood::Fails(403, "AccessDenied"));
    let fault = asks(&store, Some(THEIRS), Power::Work).await.unwrap_err();
    assert!(
        fault
            .to_string()
            .contains(&format!("let the role `{WORK}` assume the role `{THEIRS}`"))
    );
    assert_eq!(fault.detail(), "403 AccessDenied: who it was");
}

#[tokio::test]
async fn how_each_fetch_ends_is_told() {
    let (world, store) = World::new(Some(WORK));
    assert_eq!(work(&store).await, ok("ASIA1"));
    world.is(Mood::Fails(403, "AccessDenied"));
    asks(&store, Some(THEIRS), Power::Work).await.unwrap_err();
    let expiry = Some(world.clock.now() + HOUR);
    let expected = [FetchOutcome::Fetched { expiry }, FetchOutcome::Failed]
        .map(|outcome| ("prod".to_owned(), Fetch::Role, outcome));
    assert_eq!(*lock(&world.told.0), expected);
}
