//! Reads CloudFormation's schemas from a cfn-lint wheel.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};
use zip::ZipArchive;

use crate::aws::catalog::compile::Schema;

/// Where the schemas stand in the wheel, one file each.
const FOLDER: &str = "cfnlint/data/schemas/resources/";
/// More than any of them has.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Every type of CloudFormation's, by name.
///
/// # Errors
/// Where there is no wheel, no schema in it, or one that can't be read.
pub(super) fn schemas(path: &Path) -> anyhow::Result<Vec<Schema>> {
    let file = File::open(path).with_context(|| format!("can't open `{}`", path.display()))?;
    let mut wheel = ZipArchive::new(BufReader::new(file)).with_context(|| {
        format!(
            "`{}` is not a wheel; `pip download cfn-lint --no-deps` fetches one",
            path.display()
        )
    })?;
    let names: Vec<String> = wheel
        .file_names()
        .filter_map(Result::ok)
        .filter(|name| name.starts_with(FOLDER) && name.ends_with(".json"))
        .map(|name| name.to_string())
        .collect();
    let mut schemas = Vec::with_capacity(names.len());
    for name in names {
        let mut text = Vec::new();
        let file = wheel.by_name(&name)?;
        file.take(FILE_BYTES_MAX)
            .read_to_end(&mut text)
            .with_context(|| format!("can't read `{name}`"))?;
        let schema: Schema = serde_json::from_slice(&text)
            .with_context(|| format!("`{name}` is not a schema of a resource"))?;
        schemas.push(schema);
    }
    if schemas.is_empty() {
        bail!(
            "`{}` holds no schemas of CloudFormation; pass a cfn-lint wheel",
            path.display()
        );
    }
    schemas.sort_by(|a, b| a.type_name.cmp(&b.type_name));
    Ok(schemas)
}
