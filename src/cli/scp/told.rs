//! What is told of the policies: how many there are, what they cover, and what they don't.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::choice::Choice;
use super::documents::{ATTACHED_MAX, Document, Documents, POLICY_CHARS_MAX};
use super::folder::MADE_BY;
use crate::aws::class::Class;
use crate::aws::iam::ResourceControl;
use crate::cli::table;

/// Where the quotas stand.
const QUOTAS: &str =
    "https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html";
const CUT_OFF: &str = include_str!("cut-off.txt");
/// How many of a list are shown to people; `--json` has them all.
const SHOWN_MAX: usize = 10;

/// Everything that there is to tell.
pub(super) struct Told<'a> {
    pub(super) choice: &'a Choice,
    pub(super) documents: &'a Documents,
    /// How many service control policies each class takes by itself, where they don't all fit.
    pub(super) alone: &'a [(Class, usize)],
    /// What the catalog was made from.
    pub(super) version: &'a str,
    pub(super) resource_control: &'a ResourceControl,
}

impl Told<'_> {
    /// For programs, with the policies.
    ///
    /// # Errors
    /// Where a document isn't JSON.
    pub(super) fn json(&self) -> anyhow::Result<Value> {
        let document = |d: &Document| -> anyhow::Result<Value> {
            Ok(json!({
                "name": d.name,
                "characters": d.text.chars().count(),
                "document": serde_json::from_str::<Value>(&d.text)?,
            }))
        };
        let all = |documents: &[Document]| -> anyhow::Result<Vec<Value>> {
            documents.iter().map(document).collect()
        };
        let alone = self.alone.iter();
        let alone = alone.map(|(class, n)| (class.as_str().to_owned(), json!(n)));
        let prefixes = self.documents.by_prefix.iter();
        let prefixes = prefixes.map(|(prefix, n)| json!({ "prefix": prefix, "characters": n }));
        Ok(json!({
            "madeBy": MADE_BY,
            "catalog": self.version,
            "roles": self.documents.roles.as_ref().map(document).transpose()?,
            "serviceControl": all(&self.documents.service_control)?,
            "resourceControl": all(&self.documents.resource_control)?,
            "endpoints": all(&self.documents.endpoints)?,
            "charactersMax": POLICY_CHARS_MAX,
            "attachedMax": ATTACHED_MAX,
            "fits": self.documents.fits(),
            "policiesByClassAlone": alone.collect::<Map<String, Value>>(),
            "charactersByPrefix": prefixes.collect::<Vec<_>>(),
            "covered": self.choice.covered,
            "uncovered": self.choice.uncovered,
            "leftOpen": self.choice.left_open,
            "excepted": self.choice.excepted,
            "also": self.choice.also,
            "guardedByInputOnly": self.choice.by_input,
            "coveredByPart": self.choice.by_part,
            "resourceControlTakes": self.resource_control,
            "takenAlong": self.choice.taken_along,
        }))
    }

    /// For people.
    ///
    /// # Errors
    /// Never; writing to text doesn't fail.
    pub(super) fn text(&self, folder: Option<&Path>) -> anyhow::Result<String> {
        let mut out = String::new();
        let row = |d: &Document| {
            let chars = d.text.chars().count().to_string();
            [d.name.clone(), chars, d.patterns.to_string()]
        };
        let rows: Vec<[String; 3]> = self.documents.all().map(row).collect();
        let head = ["POLICY", "CHARACTERS", "ACTIONS"];
        writeln!(out, "{}", table::text(&head, &rows))?;
        writeln!(
            out,
            "{} guarded operations are the guard's roles' alone; {} aren't covered; from {}",
            self.choice.covered.len(),
            self.choice.uncovered.len(),
            self.version
        )?;
        self.resource_control(&mut out)?;
        self.quota(&mut out)?;
        self.lists(&mut out)?;
        match folder {
            Some(folder) => writeln!(
                out,
                "\nwritten to `{}`: each policy, organization.template.json for CloudFormation, CUT-OFF.txt, which says whom this cuts off, and report.json",
                folder.display()
            )?,
            None => writeln!(
                out,
                "\nnothing is written: `--out FOLDER` does, with a text that says whom this cuts off"
            )?,
        }
        Ok(out)
    }

    /// Who is cut off, and what isn't covered, to stand beside the policies.
    ///
    /// # Errors
    /// Never; writing to text doesn't fail.
    pub(super) fn cut_off(&self) -> anyhow::Result<String> {
        let mut out = CUT_OFF.to_owned();
        let head = "Not covered: guarded operations that no policy here forbids";
        section(&mut out, head, &self.uncovered())?;
        let head =
            "Left open: actions that destroy by ways of their own, unless `--also` denies them";
        section(&mut out, head, &self.left_open())?;
        let head = "Denied by `--also`";
        section(&mut out, head, &self.also())?;
        let head = "Excepted by `--except`";
        section(&mut out, head, &self.excepted())?;
        let head = "Guarded for some inputs only, and left to everyone without `--by-input`";
        section(&mut out, head, &self.choice.by_input)?;
        let head =
            "Guarded for some inputs only, and covered where IAM asks for an action of theirs";
        section(&mut out, head, &self.by_part())?;
        let head = "Taken along: what needs the same action, and is the guard's now, too";
        section(&mut out, head, &self.taken_along())?;
        Ok(out)
    }

    fn quota(&self, out: &mut String) -> anyhow::Result<()> {
        if self.documents.fits() {
            return Ok(());
        }
        let needed = self.documents.most();
        writeln!(
            out,
            "\nTOO MANY for one target: {needed} policies, where a root, a unit or an account takes {ATTACHED_MAX} of a kind, the one that allows everything among them ({QUOTAS}). Narrow them, or attach some to the root, some to units: they add up."
        )?;
        let alone = self.alone.iter();
        let alone: Vec<String> = alone.map(|(class, n)| format!("{class} {n}")).collect();
        writeln!(out, "by --class, each alone: {}", alone.join(", "))?;
        let most = self.documents.by_prefix.iter().take(SHOWN_MAX);
        let most: Vec<String> = most.map(|(prefix, n)| format!("{prefix} {n}")).collect();
        writeln!(
            out,
            "by --service, the longest, in characters: {}",
            most.join(", ")
        )?;
        Ok(())
    }

    fn lists(&self, out: &mut String) -> anyhow::Result<()> {
        list(out, "not covered", &self.uncovered())?;
        let head = "left open: actions that destroy by ways of their own (--also denies an action or a group; --json has each)";
        list(out, head, &self.left_open())?;
        list(out, "denied by --also", &self.also())?;
        let head = "excepted (--also ACTION keeps one of the actions)";
        list(out, head, &self.excepted())?;
        let head = "guarded for some inputs only, left to everyone (--by-input takes them in)";
        list(out, head, &self.choice.by_input)?;
        let head =
            "guarded for some inputs only, and covered where IAM asks for an action of theirs";
        list(out, head, &self.by_part())?;
        let head = "not asked for, but the guard's alone too, since they need the same action";
        list(out, head, &self.taken_along())
    }

    fn uncovered(&self) -> Vec<String> {
        let all = self.choice.uncovered.iter();
        all.map(|u| format!("{} ({}): {}", u.operation, u.class, u.why))
            .collect()
    }

    /// A line for what goes the same way.
    fn left_open(&self) -> Vec<String> {
        let mut lines: Vec<(&str, &str, Vec<&str>)> = Vec::new();
        for open in &self.choice.left_open {
            match lines.last_mut() {
                Some((group, calls, actions)) if *group == open.group && *calls == open.calls => {
                    actions.push(&open.action);
                }
                Some(_) | None => lines.push((&open.group, &open.calls, vec![&open.action])),
            }
        }
        let lines = lines.into_iter();
        lines
            .map(|(group, calls, actions)| {
                let named: Vec<&str> = actions.iter().take(SHOWN_MAX).copied().collect();
                let more = match actions.len().saturating_sub(named.len()) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{group}: {}{more}: {calls}", named.join(", "))
            })
            .collect()
    }

    fn also(&self) -> Vec<String> {
        let all = self.choice.also.iter();
        all.map(|denied| match denied.operations.as_slice() {
            [] => format!(
                "{}: to the guard too, in effect, which makes no such call; a break-glass role alone does",
                denied.action
            ),
            operations => format!("{}: the guard's, for {}", denied.action, operations.join(", ")),
        })
        .collect()
    }

    fn excepted(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for excepted in &self.choice.excepted {
            let name = &excepted.operation;
            if excepted.left.is_empty() && excepted.kept.is_empty() {
                lines.push(format!("{name}: no action that a policy could forbid"));
            }
            if !excepted.left.is_empty() {
                lines.push(format!(
                    "{name}: open to everyone: {}",
                    excepted.left.join(", ")
                ));
            }
            for kept in &excepted.kept {
                lines.push(format!(
                    "{name}: still the guard's: {}, for {}",
                    kept.action,
                    kept.by.join(", ")
                ));
            }
        }
        lines
    }

    fn by_part(&self) -> Vec<String> {
        let all = self.choice.by_part.iter();
        all.map(|part| {
            let what = match part.all {
                true => "every such input needs",
                false => "some such inputs need",
            };
            format!(
                "{} ({}): {what} {}",
                part.operation,
                part.class,
                part.actions.join(" or ")
            )
        })
        .collect()
    }

    fn resource_control(&self, out: &mut String) -> anyhow::Result<()> {
        if self.documents.resource_control.is_empty() {
            return Ok(());
        }
        let takes = self.resource_control;
        writeln!(
            out,
            "resource control policies take {} prefixes, by AWS's list of {} ({}): whatever has another prefix is denied to your own principals alone",
            takes.prefixes.len(),
            takes.date,
            takes.source
        )?;
        Ok(())
    }

    fn taken_along(&self) -> Vec<String> {
        let all = self.choice.taken_along.iter();
        all.map(|t| format!("{} needs {}", t.operation, t.action))
            .collect()
    }
}

fn section(out: &mut String, head: &str, items: &[String]) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{head}\n{}", "=".repeat(head.len()))?;
    for item in items {
        writeln!(out, "- {item}")?;
    }
    Ok(())
}

fn list(out: &mut String, head: &str, items: &[String]) -> anyhow::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{head}: {}", items.len())?;
    for item in items.iter().take(SHOWN_MAX) {
        writeln!(out, "  {item}")?;
    }
    if items.len() > SHOWN_MAX {
        let more = items.len().saturating_sub(SHOWN_MAX);
        writeln!(
            out,
            "  … {more} more: --json, or the files of --out, have all"
        )?;
    }
    Ok(())
}
