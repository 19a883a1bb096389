//! `palisade exec -- CMD`: runs a command so that its calls to AWS go through a guard.
//!
//! Which guard: the one that `palisade serve` runs on the same state folder, if one does; else one of the command's own
//! ([`own`]), which lives as long as it. The command has virtual keys in its environment, and a configuration file in
//! which each of the user's profiles gets its credentials from [`desk`], by `palisade credentials`. So neither `--profile`
//! nor a provider's own profile brings the real keys back.
//!
//! It's a seat belt: a command that wants to can read `~/.aws` by itself. Only where AWS takes no other keys for what is
//! guarded (a service control policy) is it a boundary.

pub(super) mod beside;
pub(super) mod bundle;
mod child;
pub(super) mod choice;
pub(super) mod desk;
pub(super) mod environment;
mod follow;
mod lines;
mod own;
mod parent;
pub(super) mod profiles;
mod teller;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use rustls::pki_types::CertificateDer;

use self::beside::{Beside, BesideMint, Following, Serving};
use self::choice::{Asked, Main};
use self::environment::{Change, EXEC, Lead};
use self::follow::Follow;
use self::lines::{Guarding, Reached};
use self::own::{Own, Started};
use self::profiles::Profiles;
use self::teller::{Teller, print};
use super::Printed;
use super::failure::Failure;
use super::folder::{Folder, write_private};
use crate::aws::catalog::Catalog;
use crate::config::Config;
use crate::guard::call::Mode;
use crate::guard::keyring::VirtualKey;
use crate::proxy::roots;
use crate::ruleset::Ruleset;
use crate::running::{open_authority, open_state};
use crate::sources::clock::Clock;
use crate::state::{KeyStore, StateDir};

const EXAMPLES: &str = "\
Examples:
  palisade exec -- aws workspaces describe-workspaces
  palisade exec --profile prod -- terraform destroy";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The profile of your AWS configuration that signs what is allowed [default: $AWS_PROFILE, else as AWS's tools]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// As whom to call: what policies and records know you by [default: your user name, or the caller of the guard that
    /// runs]
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments, config: &Config) -> Result<Printed, Failure> {
    let limits = child::Limits::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::refused)?;
    let ended = runtime.block_on(exec(arguments, config, limits));
    // What the command left behind must not hold us up.
    runtime.shutdown_background();
    Ok(Printed::Done(match ended? {
        Ok(status) => child::end_like(status),
        Err(not_started) => {
            print(&lines::line(&format!("palisade: {not_started}")));
            ExitCode::from(not_started.status())
        }
    }))
}

type Ended = Result<std::process::ExitStatus, child::NotStarted>;

async fn exec(
    arguments: &Arguments,
    config: &Config,
    limits: child::Limits,
) -> Result<Ended, Failure> {
    let given: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if environment::text(&given, EXEC).is_some() {
        let error = anyhow!("this is inside of a `palisade exec` already");
        return Err(Failure::usage(error).with_help(
            "run the command as it is; for another profile, give the tool its own `--profile`"
                .to_owned(),
        ));
    }
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::usage(anyhow!("the command is missing")));
    };
    let profiles = load_profiles().await?;
    let asked = Asked::of(arguments.profile.as_deref(), &given);
    let folder = Folder::make("palisade-exec").map_err(Failure::refused)?;
    let trusted = trusted(&given, &profiles, &asked);
    let teller = Arc::new(Teller::default());
    let mut notes = trusted.unread.clone();
    let setting = Setting {
        arguments,
        config,
        given: &given,
        profiles: &profiles,
        asked: &asked,
        folder: folder.path(),
        trusted: &trusted.certificates,
    };
    let post = setting.post(&teller, &mut notes).await?;
    let changes = match setting.changes(&post, &mut notes) {
        Ok(changes) => changes,
        Err(failure) => {
            // Why nothing runs says more than what else is in the way.
            let _ = post.leave().await;
            return Err(failure);
        }
    };
    print(&post.guarding.line());
    for note in &notes {
        print(&lines::line(&format!("palisade: {note}")));
    }
    teller.listen();
    let following = post.follow(&teller)?;
    let ended = child::run(program, rest, &changes, &limits).await;
    if let Some(following) = following {
        following.end().await;
    }
    let reached_aws = post.reached_aws().await;
    let journal = post.journal.clone();
    if let Err(error) = post.leave().await {
        print(&lines::line(&format!("palisade: {error:#}")));
    }
    let tally = teller.finish();
    if ended.is_ok() {
        print(&tally.line(&journal));
        if tally.calls == 0 {
            let reached = match (reached_aws, tally.tunnels) {
                (true, _) => Reached::Aws,
                (false, 0) => Reached::Never,
                (false, _) => Reached::Others,
            };
            print(&lines::silent(&program_name(program), reached));
        }
    }
    Ok(ended)
}

/// Reads the user's profiles.
pub(super) async fn load_profiles() -> Result<Profiles, Failure> {
    Profiles::load().await.map_err(|error| {
        let source = std::error::Error::source(&error).map(|e| format!(": {e}"));
        Failure::usage(anyhow!(
            "your AWS configuration can't be read: {error}{}",
            source.unwrap_or_default()
        ))
    })
}

/// What the user's own variables and profile trust besides the system's certificates.
pub(super) fn trusted(
    given: &[(OsString, OsString)],
    profiles: &Profiles,
    asked: &Asked,
) -> bundle::Trusted {
    let of_profile = profiles.setting(asked.profile(), "ca_bundle");
    let more = of_profile.map(|path| ("ca_bundle".to_owned(), path.to_owned()));
    bundle::of_user(given, more.as_slice())
}

/// The suffixes of AWS's hosts.
pub(super) fn suffixes(catalog: &Catalog) -> Vec<String> {
    catalog.dns_suffixes().map(str::to_owned).collect()
}

/// The files that a command's environment names: the bundle and the private AWS files.
pub(super) fn write_files(
    folder: &Path,
    authority: &CertificateDer<'static>,
    trusted: &[CertificateDer<'static>],
    profiles: &Profiles,
    more: &str,
) -> Result<(PathBuf, PathBuf, PathBuf), Failure> {
    let system = roots::certificates(None).map_err(Failure::refused)?;
    let all = system.iter().chain(trusted).chain([authority]);
    let paths = ["ca-bundle.pem", "config", "credentials"].map(|name| folder.join(name));
    let [bundle, config, credentials] = &paths;
    let program = std::env::current_exe().map_err(Failure::refused)?;
    let texts = [
        (bundle, bundle::pem(all)),
        (config, profiles.private_config(&program, more)),
        (
            credentials,
            "# Empty: see the configuration file beside it.\n".to_owned(),
        ),
    ];
    for (path, text) in texts {
        write_private(path, &text).map_err(Failure::refused)?;
    }
    let [bundle, config, credentials] = paths;
    Ok((bundle, config, credentials))
}

/// The certificate of the authority in a state folder.
pub(super) fn authority(
    state: &StateDir,
    catalog: &Catalog,
) -> Result<CertificateDer<'static>, Failure> {
    let now = Clock::system().now();
    let authority = open_authority(state, catalog.dns_suffixes(), now);
    let authority = authority.map_err(Failure::refused)?;
    Ok(authority.certificate().clone())
}

fn program_name(program: &OsString) -> String {
    let name = Path::new(program).file_name().unwrap_or(program);
    name.to_string_lossy().into_owned()
}

/// What a command is run with.
struct Setting<'a> {
    arguments: &'a Arguments,
    config: &'a Config,
    given: &'a [(OsString, OsString)],
    profiles: &'a Profiles,
    asked: &'a Asked,
    folder: &'a Path,
    /// What the user trusts besides the system's certificates.
    trusted: &'a [CertificateDer<'static>],
}

/// The guard that a command's calls go through.
struct Post {
    guard: Which,
    guarding: Guarding,
    key: VirtualKey,
    /// Its URL.
    proxy: String,
    state: StateDir,
    journal: PathBuf,
    region: Option<String>,
}

enum Which {
    Own(Arc<Own>),
    Beside(Arc<Beside>),
}

impl Setting<'_> {
    /// Finds the guard that runs, or starts one; and looks whether it can sign.
    async fn post(&self, teller: &Arc<Teller>, notes: &mut Vec<String>) -> Result<Post, Failure> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let caller = self.arguments.caller.as_deref();
        let name = choice::caller_name(caller, self.given, &passwd)?;
        // Where a guard runs already, it and not the user's files say what signs.
        if let Some(serving) = Serving::find(self.config)? {
            return self.beside(serving, teller).await;
        }
        let main = self.asked.main(self.given, self.profiles)?;
        let mut config = choice::overlay(self.config, &name, &main, self.profiles);
        self.way_out(&mut config, notes)?;
        let keys = KeyStore::passing(&self.folder.join("keys"))?;
        let started = own::start(config, &name, &main, self.profiles, &keys, teller).await?;
        match started {
            Started::Serving(run) => {
                let state = open_state(self.config)?;
                let serving = Serving::new(run, state, self.config);
                self.beside(serving, teller).await
            }
            Started::Own(own) => {
                let own = Arc::new(*own);
                let post = self.own(Arc::clone(&own), main, name).await;
                if post.is_err() {
                    // Why nothing runs says more than what else is in the way.
                    let _ = own.stop().await;
                }
                post
            }
        }
    }

    async fn own(&self, own: Arc<Own>, main: Main, caller: String) -> Result<Post, Failure> {
        let account = own.account(&main.name).await?;
        desk::open(self.folder, Arc::clone(&own)).map_err(Failure::refused)?;
        let state = open_state(&own.config)?;
        let key = own.key()?;
        Ok(Post {
            guarding: Guarding {
                profile: main.name,
                account: Some(account),
                caller,
                policies: own.policies,
                folder: own.config.policies.clone(),
                mode: own.config.mode,
            },
            proxy: beside::proven_by(&key, &own.listen),
            key,
            journal: state.journal(),
            state,
            region: main.region,
            guard: Which::Own(own),
        })
    }

    async fn beside(&self, serving: Serving, teller: &Arc<Teller>) -> Result<Post, Failure> {
        let caller = self.arguments.caller.as_deref();
        let beside = Beside::join(serving, self.asked, caller)?;
        let found = self.look(&beside).await;
        let (account, policies, mode) = match found {
            Ok(found) => found,
            Err(failure) => {
                // The key is of no use to anybody.
                beside.leave()?;
                return Err(failure);
            }
        };
        teller.only(&beside.key.access_key_id);
        let beside = Arc::new(beside);
        let mint = BesideMint {
            beside: Arc::clone(&beside),
            teller: Arc::clone(teller),
        };
        desk::open(self.folder, Arc::new(mint)).map_err(Failure::refused)?;
        let region = self.profiles.setting(self.signing(&beside), "region");
        Ok(Post {
            guarding: Guarding {
                profile: beside.profile().to_owned(),
                account,
                caller: beside.caller.name.clone(),
                policies,
                folder: self.config.policies.clone(),
                mode,
            },
            key: beside.key.clone(),
            proxy: beside.proxy()?,
            state: beside.state().clone(),
            journal: beside.journal(),
            region: region.map(str::to_owned),
            guard: Which::Beside(beside),
        })
    }

    /// The profile that the running guard signs with, as far as it is known.
    fn signing<'s>(&'s self, beside: &'s Beside) -> &'s str {
        let profile = beside.caller.profile.as_deref();
        profile.unwrap_or(self.asked.profile())
    }

    /// What the running guard signs for, and by which rules.
    async fn look(&self, beside: &Beside) -> Result<(Option<String>, usize, Mode), Failure> {
        let ruleset = Ruleset::load(self.config).map_err(Failure::usage)?;
        let policies = ruleset.policies.rules().len();
        let authority = authority(beside.state(), &ruleset.catalog)?;
        let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let mut regions = names
            .iter()
            .filter_map(|name| environment::text(self.given, name));
        let region = regions
            .next()
            .or_else(|| self.profiles.setting(self.signing(beside), "region"));
        let account = beside
            .account(&authority, ruleset.catalog, region.unwrap_or("us-east-1"))
            .await?;
        Ok((account, policies, self.config.mode))
    }

    /// How the guard reaches the rest of the world: as the shell would. What the configuration says of a parent comes
    /// first.
    fn way_out(&self, config: &mut Config, notes: &mut Vec<String>) -> Result<(), Failure> {
        self.trust(config)?;
        if config.upstream.proxy.is_none()
            && let Some((parent, bypass)) = parent::of_shell(self.given, notes)?
        {
            config.upstream.proxy = Some(parent);
            config.upstream.no_proxy = bypass;
        }
        Ok(())
    }

    /// Whom the guard trusts: whom its configuration says, and whom the user's own tools trust.
    fn trust(&self, config: &mut Config) -> Result<(), Failure> {
        if self.trusted.is_empty() {
            return Ok(());
        }
        let own = match config.upstream.ca_file.as_deref() {
            Some(path) => std::fs::read_to_string(path).map_err(|error| {
                Failure::usage(anyhow!("`upstream.ca_file` `{}`: {error}", path.display()))
            })?,
            None => String::new(),
        };
        let path = self.folder.join("upstream.pem");
        let text = format!("{own}\n{}", bundle::pem(self.trusted));
        write_private(&path, &text).map_err(Failure::refused)?;
        config.upstream.ca_file = Some(path);
        Ok(())
    }

    /// What of the environment leads the command to the guard.
    fn changes(&self, post: &Post, notes: &mut Vec<String>) -> Result<Vec<Change>, Failure> {
        let catalog = Ruleset::catalog(self.config).map_err(Failure::usage)?;
        let authority = authority(&post.state, &catalog)?;
        let (bundle, config_file, credentials_file) =
            write_files(self.folder, &authority, self.trusted, self.profiles, "")?;
        let lead = Lead {
            proxy: post.proxy.clone(),
            bundle,
            config_file,
            credentials_file,
            access_key_id: post.key.access_key_id.clone(),
            secret_access_key: post.key.secret_access_key.clone(),
            region: post.region.clone(),
            desk: Some(self.folder.to_owned()),
        };
        let (changes, left_out) = environment::changes(self.given, &lead, &suffixes(&catalog));
        notes.extend(left_out.iter().map(|entry| {
            format!(
                "NO_PROXY has `{entry}`, which would lead around the guard: left out for the command"
            )
        }));
        Ok(changes)
    }
}

impl Post {
    /// Reads along, where another process records what the command does.
    fn follow(&self, teller: &Arc<Teller>) -> Result<Option<Following>, Failure> {
        match &self.guard {
            Which::Own(_) => Ok(None),
            Which::Beside(_) => {
                let follow = Follow::from_end(&self.journal).map_err(Failure::refused)?;
                Ok(Some(Following::begin(follow, Arc::clone(teller))))
            }
        }
    }

    /// Whether the command asked for a host of AWS's; nobody tells of a guard beside us.
    async fn reached_aws(&self) -> bool {
        match &self.guard {
            Which::Own(own) => own.reached_aws().await,
            Which::Beside(_) => false,
        }
    }

    /// Ends the guard of our own, or takes the key back from the other.
    async fn leave(self) -> anyhow::Result<()> {
        match self.guard {
            Which::Own(own) => own.stop().await,
            Which::Beside(beside) => Ok(beside.leave()?),
        }
    }
}
