//! `palisade demo`: a guard in front of the stand-in for AWS, and real signed calls through it that show what is
//! allowed, what each starter policy refuses, and why. A call that ends in another way than it should is an error.

pub(super) mod client;
mod layout;
mod play;
mod stage;
mod steps;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::anyhow;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::journal::verify;
use crate::sandbox::seed;

use self::layout::{Row, Style};
use self::play::{Played, PlayedScene, play};
use self::stage::Stage;
use self::steps::scenes;
use super::failure::Failure;
use super::{Printed, print};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End after the calls, on a terminal too
    #[arg(long)]
    once: bool,
}

/// Ids that a row shows; how many more there are it tells.
const IDS_SHOWN: usize = 1;

pub(crate) fn run(arguments: &Arguments) -> super::Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(Failure::refused)?
        .block_on(demonstrate(arguments))
}

async fn demonstrate(arguments: &Arguments) -> super::Answer {
    let mut interrupts = Interrupts::new().map_err(Failure::refused)?;
    let style = Style::of_stdout();
    let begun = Instant::now();
    print(&style.paragraphs(
        "palisade demo: a guard with the starter policies, in front of a stand-in for AWS that runs in this process. \
         Nothing leaves this machine, and nothing is kept. Every call below is a real one: signed, sent through the \
         proxy, judged, recorded, and sent on if it is allowed.\n",
    ))?;
    let stage = Stage::set().await?;
    let shown = tokio::select! {
        shown = show(&stage, style, begun) => Some(shown),
        () = interrupts.next() => None,
    };
    let all_is_well = matches!(shown, Some(Ok(())));
    if all_is_well && !arguments.once && std::io::stdout().is_terminal() {
        // As it is: a line that is copied must stay one.
        print(&invitation(&stage))?;
        interrupts.next().await;
        print("\n")?;
    } else if all_is_well {
        print(&style.paragraphs(
            "They go now; `palisade demo` on a terminal, without --once, stays up for your own AWS CLI.",
        ))?;
    }
    let struck = stage.strike().await;
    match shown {
        Some(shown) => shown.and(struck)?,
        // What a shell reports of a program that an interrupt ended.
        None => return Ok(Printed::Done(ExitCode::from(130))),
    }
    Ok(Printed::Done(ExitCode::SUCCESS))
}

async fn show(stage: &Stage, style: Style, begun: Instant) -> Result<(), Failure> {
    let played = play(stage, scenes()).await.map_err(Failure::refused)?;
    let took = begun.elapsed();
    for scene in &played {
        let rows: Vec<Row> = scene.calls.iter().map(row).collect();
        print(&format!("\n{}", style.table(scene.title, &rows)))?;
    }
    let calls: Vec<&Played> = played.iter().flat_map(|scene| &scene.calls).collect();
    let allowed = calls.iter().filter(|call| call.is_allowed()).count();
    let journal = verify(&stage.journal()).map_err(Failure::refused)?;
    let faults = faults(&played);
    let sound = if journal.is_sound() {
        "its chain is whole"
    } else {
        "its chain is BROKEN"
    };
    let as_expected = if faults.is_empty() {
        "each as it should be"
    } else {
        "NOT all as they should be"
    };
    print(&style.paragraphs(&format!(
        "\n{} calls, {as_expected}: {allowed} allowed, {} refused, in {:.1} s.\n\
         Journal: {} records in {}, {sound}.\n\
         Metrics: http://{}/metrics",
        calls.len(),
        calls.len().saturating_sub(allowed),
        took.as_secs_f64(),
        journal.records,
        stage.journal().display(),
        stage.running.admin(),
    )))?;
    if !faults.is_empty() {
        return Err(Failure::refused(anyhow!("{}", faults.join("; ")))
            .with_help("set PALISADE_LOG=info to see the guard's log".to_owned()));
    }
    if !journal.is_sound() {
        return Err(Failure::refused(anyhow!("the journal is not sound")));
    }
    Ok(())
}

/// Everything that is not as it should be, each with its call.
fn faults(played: &[PlayedScene]) -> Vec<String> {
    let calls = played.iter().flat_map(|scene| &scene.calls);
    calls
        .flat_map(|call| {
            let action = call.step.action;
            let faults = call.faults().into_iter();
            faults.map(move |fault| format!("`{action}`: {fault}"))
        })
        .collect()
}

fn row(call: &Played) -> Row {
    let ids = call.resources();
    let mut resources = ids
        .iter()
        .take(IDS_SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if ids.len() > IDS_SHOWN {
        resources.push_str(&format!(" +{}", ids.len() - IDS_SHOWN));
    }
    let dash = |text: String| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text
        }
    };
    Row {
        call: call.step.action.to_owned(),
        resources: dash(resources),
        is_allowed: call.is_allowed(),
        policies: dash(call.policies().join(", ")),
        reason: call.reason(),
    }
}

/// How to try it with one's own tools.
fn invitation(stage: &Stage) -> String {
    let program = std::env::current_exe().map_or_else(
        |_| "palisade".to_owned(),
        |path| {
            let here = std::env::current_dir().unwrap_or_default();
            let shown = path.strip_prefix(here).unwrap_or(&path);
            shown.display().to_string()
        },
    );
    format!(
        "\nThe guard stays up until Ctrl-C. In another terminal, as `me`:\n\n\
         export HTTPS_PROXY=http://{listen}\n\
         export AWS_CA_BUNDLE={ca}\n\
         export AWS_ACCESS_KEY_ID={id}\n\
         export AWS_SECRET_ACCESS_KEY={secret}\n\
         export AWS_DEFAULT_REGION={region} AWS_REGION={region}\n\
         unset AWS_PROFILE AWS_SESSION_TOKEN https_proxy NO_PROXY no_proxy\n\n\
         One that is allowed, and one that is refused:\n\n\
         aws workspaces terminate-workspaces --terminate-workspace-requests {allowed}\n\
         aws workspaces terminate-workspaces --terminate-workspace-requests {refused}\n\n\
         What was recorded, and the policies that decide:\n\n\
         {program} --config {config} journal show\n\
         {program} --config {config} policy check\n",
        listen = stage.running.listen(),
        ca = stage.authority_file().display(),
        id = stage.me.access_key_id,
        secret = stage.me.secret_access_key.expose(),
        region = seed::REGION,
        allowed = seed::plain_workspace(20),
        refused = seed::WORKSPACE_ALWAYS_ON,
        config = stage.config_file().display(),
    )
}

/// What ends the demonstration early.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn new() -> std::io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::Effect;

    use super::*;
    use crate::aws::catalog::few::REVIEWED;
    use crate::ruleset::Ruleset;

    #[tokio::test(flavor = "multi_thread")]
    async fn each_step_ends_as_it_should_and_each_starter_policy_decides_one() {
        let stage = Stage::set().await.unwrap();
        let played = play(&stage, scenes()).await.unwrap();
        assert_eq!(faults(&played), Vec::<String>::new());
        check_readme(&played);
        let decided = |allowed: bool| -> BTreeSet<String> {
            let calls = played.iter().flat_map(|scene| &scene.calls);
            let calls = calls.filter(|call| call.is_allowed() == allowed);
            calls.flat_map(|c| c.policies().to_vec()).collect()
        };
        let (permits, forbids) = (decided(true), decided(false));
        let starter = Ruleset::load(&stage.config).unwrap();
        assert!(starter.starter);
        for rule in starter.policies.rules() {
            let by = if rule.effect == Effect::Permit {
                &permits
            } else {
                &forbids
            };
            assert!(by.contains(&rule.id), "no step shows `{}`", rule.id);
        }
        let services: BTreeSet<&str> = played
            .iter()
            .flat_map(|scene| &scene.calls)
            .filter(|call| call.is_allowed())
            .filter_map(|call| call.step.action.split(':').next())
            .collect();
        for service in REVIEWED {
            assert!(services.contains(service), "{service}");
        }
        let folder = stage.config_file().parent().unwrap().to_owned();
        assert!(verify(&stage.journal()).unwrap().is_sound());
        stage.strike().await.unwrap();
        assert!(!folder.exists());
    }

    /// What the README shows is what is printed where nobody says how wide it may be.
    fn check_readme(played: &[PlayedScene]) {
        let style = Style {
            width: 100,
            paint: layout::Paint::Plain,
        };
        let printed: Vec<String> = played
            .iter()
            .map(|scene| {
                style.table(
                    scene.title,
                    &scene.calls.iter().map(row).collect::<Vec<_>>(),
                )
            })
            .collect();
        let printed = printed.join("\n");
        let shown = crate::cli::readme::blocks("text");
        assert_eq!(shown.len(), 1);
        for line in shown[0].lines() {
            assert!(printed.lines().any(|p| p == line), "not printed: {line}");
        }
    }
}
