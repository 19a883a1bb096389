//! The calls that the rig makes, and what AWS would answer to them.

use http::Method;

/// The host of most calls.
pub const HOST: &str = "workspaces.eu-west-1.amazonaws.com";
pub const ACCOUNT: &str = "123456789012";

/// One call of AWS's API, not yet signed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    pub host: String,
    /// As it's signed.
    pub service: &'static str,
    pub region: &'static str,
    pub method: Method,
    /// With the query.
    pub path: &'static str,
    /// `X-Amz-Target`.
    pub target: Option<String>,
    pub content_type: &'static str,
    pub body: String,
}

impl Call {
    /// A read, which the guard doesn't hold to be guarded.
    pub fn unguarded() -> Self {
        Self::workspaces(
            "DescribeWorkspaces",
            r#"{"WorkspaceIds":["ws-0123456789"]}"#.to_owned(),
        )
    }

    /// Destroys that many WorkSpaces; the first is one that AWS knows.
    pub fn guarded(count: usize) -> Self {
        let each: Vec<String> = (0..count)
            .map(|n| format!(r#"{{"WorkspaceId":"ws-{:010}"}}"#, 123_456_789 + n))
            .collect();
        Self::workspaces(
            "TerminateWorkspaces",
            format!(r#"{{"TerminateWorkspaceRequests":[{}]}}"#, each.join(",")),
        )
    }

    fn workspaces(operation: &str, body: String) -> Self {
        Self {
            host: HOST.to_owned(),
            service: "workspaces",
            region: "eu-west-1",
            method: Method::POST,
            path: "/",
            target: Some(format!("WorkspacesService.{operation}")),
            content_type: "application/x-amz-json-1.1",
            body,
        }
    }

    /// A read of each of thirty services, as a busy account would make in an hour.
    pub fn services() -> Vec<Self> {
        let json = JSON.iter().map(|(service, target)| Self {
            host: format!("{service}.eu-west-1.amazonaws.com"),
            service,
            region: "eu-west-1",
            method: Method::POST,
            path: "/",
            target: Some((*target).to_owned()),
            content_type: "application/x-amz-json-1.1",
            body: "{}".to_owned(),
        });
        let query = QUERY.iter().map(|(service, body)| Self {
            host: format!("{service}.eu-west-1.amazonaws.com"),
            service,
            region: "eu-west-1",
            method: Method::POST,
            path: "/",
            target: None,
            content_type: "application/x-www-form-urlencoded; charset=utf-8",
            body: (*body).to_owned(),
        });
        let rest = REST.iter().map(|(service, path)| Self {
            host: format!("{service}.eu-west-1.amazonaws.com"),
            service,
            region: "eu-west-1",
            method: Method::GET,
            path,
            target: None,
            content_type: "application/json",
            body: String::new(),
        });
        json.chain(query).chain(rest).collect()
    }
}

const JSON: [(&str, &str); 18] = [
    ("dynamodb", "DynamoDB_20120810.ListTables"),
    ("kms", "TrentService.ListKeys"),
    ("logs", "Logs_20140328.DescribeLogGroups"),
    ("ssm", "AmazonSSM.DescribeParameters"),
    ("secretsmanager", "secretsmanager.ListSecrets"),
    ("ecs", "AmazonEC2ContainerServiceV20141113.ListClusters"),
    ("states", "AWSStepFunctions.ListStateMachines"),
    ("events", "AWSEvents.ListRules"),
    ("kinesis", "Kinesis_20131202.ListStreams"),
    ("firehose", "Firehose_20150804.ListDeliveryStreams"),
    ("glue", "AWSGlue.GetDatabases"),
    ("athena", "AmazonAthena.ListWorkGroups"),
    ("codebuild", "CodeBuild_20161006.ListProjects"),
    ("codepipeline", "CodePipeline_20150709.ListPipelines"),
    ("codedeploy", "CodeDeploy_20141006.ListApplications"),
    ("config", "StarlingDoveService.DescribeConfigRules"),
    ("dms", "AmazonDMSv20160101.DescribeEndpoints"),
    ("ds", "DirectoryService_20150416.DescribeDirectories"),
];

const QUERY: [(&str, &str); 8] = [
    ("ec2", "Action=DescribeInstances&Version=2016-11-15"),
    ("rds", "Action=DescribeDBInstances&Version=2014-10-31"),
    ("sns", "Action=ListTopics&Version=2010-03-31"),
    (
        "autoscaling",
        "Action=DescribeAutoScalingGroups&Version=2011-01-01",
    ),
    (
        "elasticloadbalancing",
        "Action=DescribeLoadBalancers&Version=2015-12-01",
    ),
    ("cloudformation", "Action=DescribeStacks&Version=2010-05-15"),
    (
        "elasticache",
        "Action=DescribeCacheClusters&Version=2015-02-02",
    ),
    ("redshift", "Action=DescribeClusters&Version=2012-12-01"),
];

const REST: [(&str, &str); 4] = [
    ("lambda", "/2015-03-31/functions"),
    ("eks", "/clusters"),
    (
        "batch",
        "/v1/tags/arn%3Aaws%3Abatch%3Aeu-west-1%3A123456789012%3Ajob%2Fx",
    ),
    ("kafka", "/v1/clusters"),
];

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
