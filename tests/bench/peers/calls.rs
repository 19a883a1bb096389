//! The calls that the rig makes, and what AWS would answer to them.

/// The host of most calls.
pub const HOST: &str = "workspaces.eu-west-1.amazonaws.com";
/// Every host that is called; the origin's certificate names them.
pub const HOSTS: &[&str] = &[HOST];
pub const REGION: &str = "eu-west-1";
pub const ACCOUNT: &str = "123456789012";

/// One operation of Amazon WorkSpaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub operation: &'static str,
    pub body: String,
}

impl Call {
    /// A read, which the guard doesn't hold to be guarded.
    pub fn unguarded() -> Self {
        Self {
            operation: "DescribeWorkspaces",
            body: r#"{"WorkspaceIds":["ws-0123456789"]}"#.to_owned(),
        }
    }

    /// Destroys that many WorkSpaces.
    pub fn guarded(count: usize) -> Self {
        let each: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"WorkspaceId":"ws-{n:010x}"}}"#))
            .collect();
        Self {
            operation: "TerminateWorkspaces",
            body: format!(r#"{{"TerminateWorkspaceRequests":[{}]}}"#, each.join(",")),
        }
    }
}

/// What an operation answers, by the last part of `X-Amz-Target`.
pub fn answer(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "DescribeWorkspaces" => {
            r#"{"Workspaces":[{"WorkspaceId":"ws-0123456789","DirectoryId":"d-9067000001","UserName":"user","State":"AVAILABLE","WorkspaceProperties":{"RunningMode":"AUTO_STOP"}}]}"#
        }
        "TerminateWorkspaces" => r#"{"FailedRequests":[]}"#,
        "DescribeTags" => {
            r#"{"TagList":[{"Key":"owner","Value":"bench"},{"Key":"environment","Value":"dev"},{"Key":"team","Value":"platform"}]}"#
        }
        _ => return None,
    })
}

/// What STS answers to GetCallerIdentity.
pub fn identity() -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>arn:aws:iam::{ACCOUNT}:user/bench</Arn><UserId>AIDABENCH</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>0d1e2f30-0000-4000-8000-000000000000</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>"
    )
}
