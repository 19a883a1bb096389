//! The policies that the guard judges by: ten that apply to the guarded call, and any number for other actions.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

const NINE: &str = include_str!("nine.cedar");

/// The tenth policy, which decides what has to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tenth {
    /// The caller's name: nothing.
    Caller,
    /// A tag: one DescribeTags for each WorkSpace.
    Tag,
}

impl Tenth {
    const fn text(self) -> &'static str {
        match self {
            Self::Caller => {
                "@id(\"robots\") @reason(\"Robots of other teams don't delete.\")\n\
                 forbid (principal, action in Action::\"destroy\", resource)\n\
                 when { principal.name like \"robot-*\" };\n\n"
            }
            Self::Tag => {
                "@id(\"owner\") @reason(\"It has another owner.\")\n\
                 forbid (principal, action in Action::\"destroy\", resource)\n\
                 when { resource.hasTag(\"owner\") && resource.getTag(\"owner\") != principal.name };\n\n"
            }
        }
    }
}

/// What the policies for other actions are about.
const OTHERS: [&str; 30] = [
    "ec2:TerminateInstances",
    "ec2:StopInstances",
    "ec2:DeleteVolume",
    "ec2:DeleteSnapshot",
    "ec2:DeleteVpc",
    "ec2:DeleteSubnet",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteNatGateway",
    "rds:DeleteDBInstance",
    "rds:DeleteDBCluster",
    "rds:StopDBInstance",
    "rds:DeleteDBSnapshot",
    "s3:DeleteBucket",
    "s3:DeleteObject",
    "s3:DeleteObjects",
    "dynamodb:DeleteTable",
    "dynamodb:DeleteBackup",
    "lambda:DeleteFunction",
    "eks:DeleteCluster",
    "eks:DeleteNodegroup",
    "ecs:DeleteCluster",
    "ecs:DeleteService",
    "kms:ScheduleKeyDeletion",
    "kms:DisableKey",
    "iam:DeleteRole",
    "iam:DeleteUser",
    "logs:DeleteLogGroup",
    "sqs:DeleteQueue",
    "sns:DeleteTopic",
    "cloudformation:DeleteStack",
];

/// A folder of ten policies that apply and `others` that don't.
pub fn write(folder: &Path, tenth: Tenth, others: usize) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut text = format!("{NINE}\n{}", tenth.text());
    for (n, action) in OTHERS.iter().cycle().take(others).enumerate() {
        write!(
            text,
            "@id(\"other-{n}\") @reason(\"too many\")\n\
             forbid (principal, action == Action::\"{action}\", resource) when {{ context.batchSize > {n} }};\n\n"
        )?;
    }
    Ok(fs::write(folder.join("bench.cedar"), text)?)
}
