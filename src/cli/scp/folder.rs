//! The folder that the policies are written to.
//!
//! INVARIANT: no file is replaced or removed but those that an earlier run wrote, as its report tells; and none that would
//! be attached beside this run's policies, or taken for one, stays there unsaid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::documents::Documents;
use super::template;
use super::told::Told;

const REPORT: &str = "report.json";
/// What a report of this command's says under `madeBy`.
pub(super) const MADE_BY: &str = "palisade scp";
/// Larger than any report.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// # Errors
/// Where a file of somebody else's stands in the way, or something can't be read or written; nothing is changed then but
/// for what couldn't be written to the end.
pub(super) fn write(folder: &Path, documents: &Documents, told: &Told<'_>) -> anyhow::Result<()> {
    let files = files(documents, told)?;
    let shown = folder.display();
    std::fs::create_dir_all(folder).with_context(|| format!("`{shown}` can't be made"))?;
    let older = written(&folder.join(REPORT))?;
    let mut stale = Vec::new();
    let entries = folder.read_dir();
    for entry in entries.with_context(|| format!("`{shown}` can't be read"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = older.contains(name.as_ref());
        let is_new = files.contains_key(name.as_ref());
        match (is_ours, is_new || is_policy(&name)) {
            (true, true) if !is_new => stale.push(path.clone()),
            (false, true) => bail!(
                "`{}` is none of the files that `palisade scp` wrote there before, and would be {}: move it away, or name another folder by `--out`",
                path.display(),
                match is_new {
                    true => "replaced",
                    false => "taken for one of its policies",
                }
            ),
            _ => {}
        }
    }
    // What an earlier run wrote and this one doesn't would be deployed beside this one's.
    for path in stale {
        std::fs::remove_file(&path)
            .with_context(|| format!("`{}` can't be removed", path.display()))?;
    }
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("`{}` can't be written", path.display()))?;
    }
    Ok(())
}

/// Every file, by its name.
fn files(documents: &Documents, told: &Told<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files: BTreeMap<String, String> = documents.files().into_iter().collect();
    let template = serde_json::to_string_pretty(&template::organization(documents))?;
    files.insert("organization.template.json".to_owned(), template);
    files.insert("CUT-OFF.txt".to_owned(), told.cut_off()?);
    let mut names: Vec<&str> = files.keys().map(String::as_str).collect();
    names.push(REPORT);
    let names = json!(names);
    let mut report = told.json()?;
    if let Some(report) = report.as_object_mut() {
        report.insert("files".to_owned(), names);
    }
    let report = serde_json::to_string_pretty(&report)?;
    files.insert(REPORT.to_owned(), report);
    Ok(files)
}

/// The files that an earlier run wrote; none where there is no report.
fn written(report: &Path) -> anyhow::Result<BTreeSet<String>> {
    let shown = report.display();
    let length = match report.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("`{shown}` can't be read")),
    };
    let foreign = || {
        format!(
            "`{shown}` is no report of `{MADE_BY}`, and would be replaced: move it away, or name another folder by `--out`"
        )
    };
    ensure!(length <= REPORT_BYTES_MAX, foreign());
    let bytes = std::fs::read(report).with_context(|| format!("`{shown}` can't be read"))?;
    let value: Value = serde_json::from_slice(&bytes).with_context(foreign)?;
    ensure!(
        value.get("madeBy").and_then(Value::as_str) == Some(MADE_BY),
        foreign()
    );
    let files = value.get("files").and_then(Value::as_array);
    let names = files.into_iter().flatten().filter_map(Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

/// Whether it is called as a policy of this command's, and would be attached as one: deploy/aws takes each of these.
fn is_policy(name: &str) -> bool {
    let begins = ["scp-", "rcp-", "endpoint-"];
    name == "roles.json"
        || name.ends_with(".json") && begins.iter().any(|begin| name.starts_with(begin))
}
