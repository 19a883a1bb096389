//! What each embedded service file reads from an answer of AWS's: a sample for every lookup.

use std::collections::BTreeSet;

use super::*;
use crate::aws::catalog::model::Service;
use crate::aws::value::Object;
use crate::guard::knowledge::Knowledge;
use crate::guard::target::{ParentId, Spelling, Target};

/// A type as a call names it, and what AWS answers about it.
struct Sample {
    service: &'static str,
    kind: &'static str,
    spelt: &'static str,
    parents: &'static [&'static str],
    /// Pages by operation, as decoded: member names of the model.
    answers: &'static [(&'static str, &'static str)],
    id: &'static str,
    tagged: bool,
    attributes: &'static [(Attribute, &'static str)],
}

const TIME: &str = "2026-01-01T00:00:00.000Z";

const SAMPLES: &[Sample] = &[
    Sample {
        service: "ec2",
        kind: "AWS::EC2::Instance",
        spelt: "i-1",
        parents: &[],
        answers: &[
            (
                "DescribeInstances",
                r#"{"Reservations":[{"Instances":[{"InstanceId":"i-0"}]},{"Instances":[{"InstanceId":"i-1","State":{"Name":"running"},"LaunchTime":1767225600,"Tags":[{"Key":"a","Value":"b"}]}]}]}"#,
            ),
            (
                "DescribeInstanceAttribute",
                r#"{"InstanceId":"i-1","DisableApiTermination":{"Value":true}}"#,
            ),
        ],
        id: "i-1",
        tagged: true,
        attributes: &[
            (Attribute::State, "running"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "ec2",
        kind: "AWS::EC2::Volume",
        spelt: "vol-1",
        parents: &[],
        answers: &[(
            "DescribeVolumes",
            r#"{"Volumes":[{"VolumeId":"vol-1","State":"in-use","CreateTime":1767225600,"Tags":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "vol-1",
        tagged: true,
        attributes: &[(Attribute::State, "in-use"), (Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "ec2",
        kind: "AWS::EC2::Snapshot",
        spelt: "snap-1",
        parents: &[],
        answers: &[(
            "DescribeSnapshots",
            r#"{"Snapshots":[{"SnapshotId":"snap-1","State":"completed","StartTime":1767225600,"Tags":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "snap-1",
        tagged: true,
        attributes: &[
            (Attribute::State, "completed"),
            (Attribute::CreatedAt, TIME),
        ],
    },
    Sample {
        service: "ec2",
        kind: "AWS::EC2::Image",
        spelt: "ami-1",
        parents: &[],
        answers: &[(
            "DescribeImages",
            r#"{"Images":[{"ImageId":"ami-1","State":"available","CreationDate":"2026-01-01T00:00:00.000Z","DeregistrationProtection":"enabled-with-cooldown","Tags":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "ami-1",
        tagged: true,
        attributes: &[
            (Attribute::State, "available"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "ec2",
        kind: "ec2:Resource",
        spelt: "vpc-1",
        parents: &[],
        answers: &[(
            "DescribeTags",
            r#"{"Tags":[{"ResourceId":"vpc-1","Key":"a","Value":"b"}]}"#,
        )],
        id: "vpc-1",
        tagged: true,
        attributes: &[],
    },
    Sample {
        service: "rds",
        kind: "AWS::RDS::DBInstance",
        spelt: "Orders",
        parents: &[],
        answers: &[(
            "DescribeDBInstances",
            r#"{"DBInstances":[{"DBInstanceIdentifier":"orders","DBInstanceArn":"arn:aws:rds:eu-west-1:123456789012:db:orders","DbiResourceId":"db-X","DBInstanceStatus":"available","InstanceCreateTime":1767225600,"DeletionProtection":true,"TagList":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "orders",
        tagged: true,
        attributes: &[
            (Attribute::State, "available"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "rds",
        kind: "AWS::RDS::DBCluster",
        spelt: "orders",
        parents: &[],
        answers: &[(
            "DescribeDBClusters",
            r#"{"DBClusters":[{"DBClusterIdentifier":"orders","Status":"available","ClusterCreateTime":1767225600,"TagList":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "orders",
        tagged: true,
        attributes: &[
            (Attribute::State, "available"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "false"),
        ],
    },
    Sample {
        service: "s3",
        kind: "AWS::S3::Bucket",
        spelt: "logs",
        parents: &[],
        answers: &[
            ("GetBucketTagging", "!NoSuchTagSet"),
            ("GetBucketVersioning", r#"{"Status":"Enabled"}"#),
            ("ListObjectVersions", r#"{"DeleteMarkers":[{"Key":"x"}]}"#),
            (
                "ListBuckets",
                r#"{"Buckets":[{"Name":"logs","CreationDate":1767225600},{"Name":"logs-2"}]}"#,
            ),
        ],
        id: "logs",
        tagged: false,
        attributes: &[
            (Attribute::Versioning, "Enabled"),
            (Attribute::Empty, "false"),
            (Attribute::CreatedAt, TIME),
        ],
    },
    Sample {
        service: "s3control",
        kind: "AWS::S3::Bucket",
        spelt: "logs",
        parents: &["123456789012"],
        answers: &[("GetBucketTagging", "!NoSuchTagSet")],
        id: "logs",
        tagged: false,
        attributes: &[],
    },
    Sample {
        service: "s3control",
        kind: "s3control:Job",
        spelt: "j-1",
        parents: &["123456789012"],
        answers: &[("GetJobTagging", r#"{"Tags":[{"Key":"a","Value":"b"}]}"#)],
        id: "j-1",
        tagged: true,
        attributes: &[],
    },
    Sample {
        service: "s3control",
        kind: "s3control:Config",
        spelt: "lens",
        parents: &["123456789012"],
        answers: &[(
            "GetStorageLensConfigurationTagging",
            r#"{"Tags":[{"Key":"a","Value":"b"}]}"#,
        )],
        id: "lens",
        tagged: true,
        attributes: &[],
    },
    Sample {
        service: "dynamodb",
        kind: "AWS::DynamoDB::Table",
        spelt: "orders",
        parents: &[],
        answers: &[
            (
                "DescribeTable",
                r#"{"Table":{"TableName":"orders","TableArn":"arn:aws:dynamodb:eu-west-1:123456789012:table/orders","TableStatus":"ACTIVE","CreationDateTime":1767225600,"DeletionProtectionEnabled":true}}"#,
            ),
            (
                "ListTagsOfResource",
                r#"{"Tags":[{"Key":"a","Value":"b"}]}"#,
            ),
        ],
        id: "orders",
        tagged: true,
        attributes: &[
            (Attribute::State, "ACTIVE"),
            (Attribute::BillingMode, "PROVISIONED"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "lambda",
        kind: "AWS::Lambda::Function",
        spelt: "123456789012:function:f",
        parents: &[],
        answers: &[
            (
                "GetFunctionConfiguration",
                r#"{"FunctionName":"f","FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f","State":"Active"}"#,
            ),
            ("ListTags", r#"{"Tags":{"a":"b"}}"#),
        ],
        id: "f",
        tagged: true,
        attributes: &[(Attribute::State, "Active")],
    },
    Sample {
        service: "ecs",
        kind: "AWS::ECS::Service",
        spelt: "web",
        parents: &["prod"],
        answers: &[(
            "DescribeServices",
            r#"{"services":[{"serviceName":"web","serviceArn":"arn:aws:ecs:eu-west-1:123456789012:service/prod/web","status":"ACTIVE","createdAt":1767225600,"tags":[{"key":"a","value":"b"}]}],"failures":[]}"#,
        )],
        id: "web",
        tagged: true,
        attributes: &[(Attribute::State, "ACTIVE"), (Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "ecs",
        kind: "AWS::ECS::Cluster",
        spelt: "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
        parents: &[],
        answers: &[(
            "DescribeClusters",
            r#"{"clusters":[{"clusterName":"prod","clusterArn":"arn:aws:ecs:eu-west-1:123456789012:cluster/prod","status":"ACTIVE","tags":[{"key":"a","value":"b"}]}]}"#,
        )],
        id: "prod",
        tagged: true,
        attributes: &[(Attribute::State, "ACTIVE")],
    },
    Sample {
        service: "eks",
        kind: "AWS::EKS::Cluster",
        spelt: "prod",
        parents: &[],
        answers: &[(
            "DescribeCluster",
            r#"{"cluster":{"name":"prod","arn":"arn:aws:eks:eu-west-1:123456789012:cluster/prod","status":"ACTIVE","createdAt":1767225600,"deletionProtection":true,"tags":{"a":"b"}}}"#,
        )],
        id: "prod",
        tagged: true,
        attributes: &[
            (Attribute::State, "ACTIVE"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "cloudformation",
        kind: "AWS::CloudFormation::Stack",
        spelt: "shop",
        parents: &[],
        answers: &[
            (
                "DescribeStacks",
                r#"{"Stacks":[{"StackId":"arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/1","StackName":"shop","StackStatus":"CREATE_COMPLETE","CreationTime":1767225600,"EnableTerminationProtection":true,"Tags":[{"Key":"a","Value":"b"}]}]}"#,
            ),
            (
                "ListStackResources",
                "{\"StackResourceSummaries\":[{},{}]}\n{\"StackResourceSummaries\":[{}]}",
            ),
        ],
        id: "arn:aws:cloudformation:eu-west-1:123456789012:stack/shop/1",
        tagged: true,
        attributes: &[
            (Attribute::State, "CREATE_COMPLETE"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
            (Attribute::ResourceCount, "3"),
        ],
    },
    Sample {
        service: "kms",
        kind: "AWS::KMS::Key",
        spelt: "arn:aws:kms:eu-west-1:123456789012:key/k-1",
        parents: &[],
        answers: &[
            (
                "DescribeKey",
                r#"{"KeyMetadata":{"KeyId":"k-1","Arn":"arn:aws:kms:eu-west-1:123456789012:key/k-1","KeyState":"Enabled","CreationDate":1767225600}}"#,
            ),
            (
                "ListResourceTags",
                "{\"Tags\":[]}\n{\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"b\"}]}",
            ),
        ],
        id: "k-1",
        tagged: true,
        attributes: &[(Attribute::State, "Enabled"), (Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "secretsmanager",
        kind: "AWS::SecretsManager::Secret",
        spelt: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db",
        parents: &[],
        answers: &[(
            "DescribeSecret",
            r#"{"ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf","Name":"db","CreatedDate":1767225600,"Tags":[{"Key":"a","Value":"b"}]}"#,
        )],
        id: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf",
        tagged: true,
        attributes: &[(Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "elbv2",
        kind: "AWS::ElasticLoadBalancingV2::LoadBalancer",
        spelt: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/1",
        parents: &[],
        answers: &[
            (
                "DescribeTags",
                r#"{"TagDescriptions":[{"ResourceArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/1","Tags":[{"Key":"a","Value":"b"}]}]}"#,
            ),
            (
                "DescribeLoadBalancers",
                r#"{"LoadBalancers":[{"LoadBalancerArn":"arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/1","LoadBalancerName":"web","CreatedTime":1767225600,"State":{"Code":"active"}}]}"#,
            ),
            (
                "DescribeLoadBalancerAttributes",
                r#"{"Attributes":[{"Key":"x","Value":"false"},{"Key":"deletion_protection.enabled","Value":"true"}]}"#,
            ),
        ],
        id: "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/1",
        tagged: true,
        attributes: &[
            (Attribute::State, "active"),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "efs",
        kind: "AWS::EFS::FileSystem",
        spelt: "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-1",
        parents: &[],
        answers: &[(
            "DescribeFileSystems",
            r#"{"FileSystems":[{"FileSystemId":"fs-1","FileSystemArn":"arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-1","LifeCycleState":"available","CreationTime":1767225600,"Tags":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "fs-1",
        tagged: true,
        attributes: &[
            (Attribute::State, "available"),
            (Attribute::CreatedAt, TIME),
        ],
    },
    Sample {
        service: "iam",
        kind: "AWS::IAM::Role",
        spelt: "deploy",
        parents: &[],
        answers: &[
            (
                "GetRole",
                r#"{"Role":{"RoleName":"deploy","RoleId":"AROA1","Arn":"arn:aws:iam::123456789012:role/deploy","CreateDate":1767225600}}"#,
            ),
            (
                "ListRoleTags",
                "{\"Tags\":[{\"Key\":\"x\",\"Value\":\"y\"}],\"IsTruncated\":true,\"Marker\":\"m\"}\n{\"Tags\":[{\"Key\":\"a\",\"Value\":\"b\"}]}",
            ),
        ],
        id: "deploy",
        tagged: true,
        attributes: &[(Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "iam",
        kind: "AWS::IAM::User",
        spelt: "ann",
        parents: &[],
        answers: &[
            (
                "GetUser",
                r#"{"User":{"UserName":"ann","UserId":"AIDA1","Arn":"arn:aws:iam::123456789012:user/ann","CreateDate":1767225600}}"#,
            ),
            ("ListUserTags", r#"{"Tags":[{"Key":"a","Value":"b"}]}"#),
        ],
        id: "ann",
        tagged: true,
        attributes: &[(Attribute::CreatedAt, TIME)],
    },
    Sample {
        service: "logs",
        kind: "AWS::Logs::LogGroup",
        spelt: "/x/web",
        parents: &[],
        answers: &[
            (
                "DescribeLogGroups",
                r#"{"logGroups":[{"logGroupName":"/x/web-2"},{"logGroupName":"/x/web","arn":"arn:aws:logs:eu-west-1:123456789012:log-group:/x/web:*","creationTime":1767225600000,"deletionProtectionEnabled":true}]}"#,
            ),
            ("ListTagsForResource", r#"{"tags":{"a":"b"}}"#),
        ],
        id: "/x/web",
        tagged: true,
        attributes: &[
            (
                Attribute::Arn,
                "arn:aws:logs:eu-west-1:123456789012:log-group:/x/web",
            ),
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "route53",
        kind: "AWS::Route53::HostedZone",
        spelt: "Z1",
        parents: &[],
        answers: &[
            (
                "GetHostedZone",
                r#"{"HostedZone":{"Id":"/hostedzone/Z1","Name":"example.com."}}"#,
            ),
            (
                "ListTagsForResource",
                r#"{"ResourceTagSet":{"ResourceId":"Z1","Tags":[{"Key":"a","Value":"b"}]}}"#,
            ),
        ],
        id: "Z1",
        tagged: true,
        attributes: &[],
    },
    Sample {
        service: "route53",
        kind: "AWS::Route53::HealthCheck",
        spelt: "h-1",
        parents: &[],
        answers: &[(
            "ListTagsForResource",
            r#"{"ResourceTagSet":{"ResourceId":"h-1","Tags":[{"Key":"a","Value":"b"}]}}"#,
        )],
        id: "h-1",
        tagged: true,
        attributes: &[],
    },
    Sample {
        service: "autoscaling",
        kind: "AWS::AutoScaling::AutoScalingGroup",
        spelt: "web",
        parents: &[],
        answers: &[(
            "DescribeAutoScalingGroups",
            r#"{"AutoScalingGroups":[{"AutoScalingGroupName":"web","AutoScalingGroupARN":"arn:aws:autoscaling:eu-west-1:123456789012:x","CreatedTime":1767225600,"DeletionProtection":"prevent-all-deletion","Tags":[{"ResourceId":"web","Key":"a","Value":"b","PropagateAtLaunch":true}]}]}"#,
        )],
        id: "web",
        tagged: true,
        attributes: &[
            (Attribute::CreatedAt, TIME),
            (Attribute::DeletionProtection, "true"),
        ],
    },
    Sample {
        service: "workspaces-instances",
        kind: "AWS::WorkspacesInstances::Volume",
        spelt: "vol-1",
        parents: &[],
        answers: &[(
            "DescribeVolumes",
            r#"{"Volumes":[{"VolumeId":"vol-1","State":"available","CreateTime":1767225600,"Tags":[{"Key":"a","Value":"b"}]}]}"#,
        )],
        id: "vol-1",
        tagged: true,
        attributes: &[
            (Attribute::State, "available"),
            (Attribute::CreatedAt, TIME),
        ],
    },
];

fn service(id: &str) -> Service {
    serde_json::from_value(serde_json::json!({
        "id": id, "full_name": id, "signing_name": id, "signature": "v4", "protocols": ["json"],
        "api_version": "2026-01-01", "operations": {}, "shapes": [],
    }))
    .unwrap()
}

fn object(json: &str) -> Object {
    let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
    value.as_object().unwrap().clone()
}

fn place() -> Place {
    Place {
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        account_named: false,
    }
}

impl Sample {
    fn learn(&self, attributes: &[Attribute]) -> Result<Facts, EnquiryError> {
        let knowledge = Knowledge::embedded().unwrap();
        let service = service(self.service);
        let parents = self.parents.iter().map(|id| ParentId {
            id: (*id).to_owned(),
            kind: "x:Parent".to_owned(),
        });
        let spelling = Spelling::Id(self.spelt.to_owned());
        let target = Target::new(spelling, self.kind, parents.collect());
        let needs = Needs {
            tags: Some("p".to_owned()),
            attributes: attributes.iter().map(|a| (*a, "p".to_owned())).collect(),
            names: Some("p".to_owned()),
            tag_keys: None,
        };
        let mut enquiry = Enquiry::new(&knowledge, &service, &[target], needs, place())?;
        loop {
            let calls = enquiry.next_round()?;
            if calls.is_empty() {
                return enquiry.finish().map(|facts| facts[0].clone());
            }
            for call in calls {
                let told = self.answers.iter().find(|(of, _)| *of == call.operation);
                let (_, told) = told.unwrap_or_else(|| panic!("asked for {}", call.operation));
                let answer = match told.strip_prefix('!') {
                    Some(code) => LookupAnswer::Error {
                        status: 404,
                        code: code.to_owned(),
                        message: String::new(),
                    },
                    None => LookupAnswer::Pages(told.lines().map(object).collect()),
                };
                enquiry.absorb(&call, answer)?;
            }
        }
    }
}

#[test]
fn a_sample_answer_of_each_service_gives_its_facts() {
    for sample in SAMPLES {
        let wanted: Vec<Attribute> = sample.attributes.iter().map(|(a, _)| *a).collect();
        let facts = sample
            .learn(&wanted)
            .unwrap_or_else(|e| panic!("{}: {e}", sample.kind));
        assert_eq!(facts.id.as_deref(), Some(sample.id), "{}", sample.kind);
        for (attribute, value) in sample.attributes {
            let found = facts.attributes.get(attribute).map(String::as_str);
            assert_eq!(found, Some(*value), "{} {attribute}", sample.kind);
        }
        let tags = facts.tags.unwrap();
        let found = tags.get("a").map(String::as_str);
        assert_eq!(found, sample.tagged.then_some("b"), "{}", sample.kind);
    }
}

/// A key of one bucket is another's too, and each version has tags of its own.
#[test]
fn the_tags_of_an_object_are_asked_for_where_it_stands() {
    let knowledge = Knowledge::embedded().unwrap();
    for (kind, parents, expected) in [
        (
            "s3:Object",
            vec![("photos", "s3:Bucket")],
            r#"{"Bucket":"photos","Key":"it"}"#,
        ),
        (
            "s3:ObjectVersion",
            vec![("photos", "s3:Bucket"), ("a/b.png", "s3:Object")],
            r#"{"Bucket":"photos","Key":"a/b.png","VersionId":"it"}"#,
        ),
    ] {
        let parents = parents.into_iter().map(|(id, kind)| ParentId {
            id: id.to_owned(),
            kind: kind.to_owned(),
        });
        let target = Target::new(Spelling::Id("it".to_owned()), kind, parents.collect());
        let needs = Needs {
            tag_keys: Some("p".to_owned()),
            ..Needs::default()
        };
        let service = service("s3");
        let mut enquiry = Enquiry::new(&knowledge, &service, &[target], needs, place()).unwrap();
        let calls = enquiry.next_round().unwrap();
        let [call] = calls.as_slice() else {
            panic!("{calls:?}")
        };
        assert_eq!(call.operation, "GetObjectTagging");
        assert_eq!(call.input, object(expected), "{kind}");
        assert!(!call.cacheable, "{kind}");
    }
}

/// A file that says an attribute can be looked up and has no sample for it isn't known to read it.
#[test]
fn every_type_that_is_looked_up_has_a_sample_of_all_that_it_tells() {
    let knowledge = Knowledge::embedded().unwrap();
    let reviewed = [
        "evs",
        "mgn",
        "servicecatalog",
        "sts",
        "workspaces",
        "workspaces-instances",
    ];
    for rules in knowledge.services() {
        if reviewed.contains(&rules.service.as_str()) {
            continue;
        }
        for (kind, rule) in rules.types.iter().filter(|(kind, _)| *kind != "*") {
            if rule.lookups.is_empty() {
                continue;
            }
            let lookups = rule.lookups.iter().map(|name| &rules.lookups[name]);
            let told: BTreeSet<Attribute> = lookups
                .flat_map(|lookup| lookup.attributes.keys().copied())
                .collect();
            let mut of_kind = SAMPLES.iter().filter(|s| s.kind == kind);
            let sample = of_kind
                .next()
                .unwrap_or_else(|| panic!("{kind} has no sample"));
            let shown: BTreeSet<Attribute> = sample.attributes.iter().map(|(a, _)| *a).collect();
            let missing: Vec<_> = told
                .difference(&shown)
                .filter(|a| **a != Attribute::State)
                .collect();
            assert!(missing.is_empty(), "{kind}: {missing:?}");
        }
    }
}

/// Whatever an attribute isn't read for a type must be said never to be there, or refuse.
#[test]
fn a_type_says_of_each_attribute_whether_it_has_one() {
    let knowledge = Knowledge::embedded().unwrap();
    for rules in knowledge.services() {
        for (kind, rule) in &rules.types {
            let lookups = rule.lookups.iter().map(|name| &rules.lookups[name]);
            let told: BTreeSet<Attribute> = lookups
                .flat_map(|lookup| lookup.attributes.keys().copied())
                .collect();
            let both: Vec<_> = rule.never.iter().filter(|a| told.contains(a)).collect();
            assert!(both.is_empty(), "{kind} never has and looks up {both:?}");
        }
    }
}
