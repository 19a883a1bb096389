//! `palisade scp`: policies for an organization by which guarded operations are the guard's roles' alone.
//!
//! INVARIANT: what the policies don't cover is told, operation by operation, with the reason.

mod besides;
mod choice;
mod cover;
mod documents;
mod exempt;
mod folder;
mod template;
mod told;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::aws::catalog::Catalog;
use crate::aws::class::Class;
use crate::aws::iam::Iam;

use choice::{Choice, Wanted};
use documents::{Documents, Head};
use exempt::{Exempt, OrganizationId, RolePath, RolePattern};

const EXAMPLES: &str = "\
Examples:
  palisade scp --guard-role 'arn:aws:iam::*:role/palisade/guarded' \\
      --deployer 'arn:aws:iam::*:role/palisade/deployer'
  palisade scp --guard-role 'arn:aws:iam::*:role/palisade/guarded' \\
      --work-role 'arn:aws:iam::*:role/palisade/work' \\
      --deployer 'arn:aws:iam::*:role/palisade/deployer' --service ec2,rds --out organization";

/// `palisade scp`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The role that the guard signs guarded calls with, its `guarded_role_arn`; `*` for the account is every account; may be repeated
    #[arg(long = "guard-role", value_name = "ARN", required = true)]
    guard: Vec<RolePattern>,
    /// The role that the guard signs everything else with, its `role_arn`: it keeps actions that guarded and other operations share; may be repeated
    #[arg(long = "work-role", value_name = "ARN")]
    work: Vec<RolePattern>,
    /// A role under --path that may create and change the roles there, itself too; may be repeated
    #[arg(long = "deployer", value_name = "ARN", required = true)]
    deployers: Vec<RolePattern>,
    /// A role for emergencies, which may do everything without the guard; may be repeated
    #[arg(long = "break-glass", value_name = "ARN")]
    break_glass: Vec<RolePattern>,
    /// The path of the roles that nobody but the deployer may create, change or pass; all that are named here stand under it
    #[arg(long, value_name = "PATH", default_value = "/palisade/")]
    path: RolePath,
    /// Classes of operations to leave to the guard, separated by commas: destroy, disrupt, unprotect, indirect, credentials, grant, tag; or `all`
    #[arg(
        long = "class",
        value_name = "CLASS",
        value_delimiter = ',',
        default_value = "destroy"
    )]
    classes: Vec<String>,
    /// Only the operations of this service, as the AWS CLI names it; may be repeated [default: every service]
    #[arg(long = "service", value_name = "ID", value_delimiter = ',')]
    services: Vec<String>,
    /// An operation to leave to everyone with the actions that it needs, such as `sqs:DeleteMessage`; the report says which of them something else keeps with the guard; may be repeated
    #[arg(
        long = "except",
        value_name = "SERVICE:OPERATION",
        value_delimiter = ','
    )]
    except: Vec<String>,
    /// An action of IAM's to deny, too: one that no operation is called as, such as `es:ESHttpDelete`, which nobody but the break-glass role does then, or one that `--except` would open; or a group of those that the report names as left open: `data`, `access`, `beside`, `other`, `all`; may be repeated
    #[arg(long = "also", value_name = "ACTION|GROUP", value_delimiter = ',')]
    also: Vec<String>,
    /// Take in what is guarded for some inputs only, such as `rds:ModifyDBInstance`: only the guard makes such calls then, whatever their input
    #[arg(long)]
    by_input: bool,
    /// The organization's id, `o-…`: makes resource control policies too
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Make the policy of a VPC endpoint for this service too; may be repeated
    #[arg(long = "endpoint", value_name = "ID", value_delimiter = ',')]
    endpoints: Vec<String>,
    /// Make a policy of its own, `roles`, of what keeps the guard itself, whatever is asked for: its roles, its alarm, and its accounts in the organization; it can then be attached higher than the others
    #[arg(long)]
    roles_apart: bool,
    /// The folder to write the policies to, made where it isn't there; without it nothing is written, and the report is all
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Report as JSON, with the policies in it
    #[arg(long)]
    json: bool,
}

/// The report; the policies are written, where a folder is named.
///
/// # Errors
/// Where a service, an operation or a class isn't there, or something can't be written.
pub(crate) fn run(args: &Arguments, catalog: &Catalog) -> anyhow::Result<String> {
    let iam = Iam::embedded()?;
    let exempt = Exempt::new(args)?;
    let wanted = Wanted {
        classes: classes(&args.classes)?,
        services: &args.services,
        except: &args.except,
        also: &args.also,
        by_input: args.by_input,
    };
    let choice = Choice::make(catalog, &iam, &wanted)?;
    if choice.covered.is_empty() {
        bail!(
            "nothing that was asked for has an action that a policy can forbid; `palisade catalog show SERVICE` lists operations with their classes"
        );
    }
    let head = match args.roles_apart {
        true => Head::Apart,
        false => Head::First,
    };
    let documents = Documents::make(&choice, &iam, &exempt, &args.endpoints, head)?;
    let mut alone = Vec::new();
    // What to narrow, where that is needed.
    let classes = match documents.fits() {
        true => &[],
        false => wanted.classes.as_slice(),
    };
    for class in classes {
        let one = Wanted {
            classes: vec![*class],
            also: &[],
            ..wanted.clone()
        };
        let choice = Choice::make(catalog, &iam, &one)?;
        let documents = Documents::make(&choice, &iam, &exempt, &[], head)?;
        alone.push((*class, documents.service_control.len()));
    }
    let told = told::Told {
        choice: &choice,
        documents: &documents,
        alone: &alone,
        version: catalog.version(),
        resource_control: iam.resource_control(),
    };
    if let Some(folder) = &args.out {
        folder::write(folder, &documents, &told)?;
    }
    if args.json {
        return Ok(format!(
            "{}\n",
            serde_json::to_string_pretty(&told.json()?)?
        ));
    }
    told.text(args.out.as_deref())
}

fn classes(names: &[String]) -> anyhow::Result<Vec<Class>> {
    let guarded = || Class::ALL.into_iter().filter(|c| c.is_guarded());
    if names.iter().any(|name| name == "all") {
        return Ok(guarded().collect());
    }
    let class = |name: &String| {
        guarded().find(|c| c.as_str() == name).with_context(|| {
            let all: Vec<&str> = guarded().map(Class::as_str).collect();
            format!(
                "`{name}` is no class that is guarded; there are {}, and `all`",
                all.join(", ")
            )
        })
    };
    let mut found = names.iter().map(class).collect::<Result<Vec<_>, _>>()?;
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests;
