//! Answers as AWS writes them, of the operations that lookups use.

use http::HeaderMap;

use super::super::{decode_output, json, preferred};
use crate::aws::catalog::Catalog;

/// What an answer's body and headers are read as. `expected` is JSON, or the error.
fn check(
    service: &str,
    operation: &str,
    headers: &[(&'static str, &str)],
    body: &str,
    expected: Result<&str, &str>,
) {
    let catalog = Catalog::embedded().unwrap();
    let service = catalog.service(service).unwrap().unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let operation = &service.operations[operation];
    let protocol = preferred(&service).unwrap();
    let found = decode_output(&service, operation, protocol, &map, body.as_bytes());
    let found = found.map(|o| o.to_json()).map_err(|e| e.to_string());
    let expected = expected
        .map(|text| json::parse(text.as_bytes()).unwrap().to_json())
        .map_err(str::to_owned);
    assert_eq!(found, expected, "{body}");
}

#[test]
fn ec2_answers_are_read_from_their_response_element() {
    check(
        "ec2",
        "DescribeInstances",
        &[],
        r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>8f7724cf</requestId>
    <reservationSet>
        <item>
            <reservationId>r-1</reservationId>
            <groupSet/>
            <instancesSet>
                <item>
                    <instanceId>i-1</instanceId>
                    <instanceState><code>16</code><name>running</name></instanceState>
                    <keyName/>
                    <launchTime>2026-01-31T12:00:00.000Z</launchTime>
                    <ebsOptimized>false</ebsOptimized>
                    <somethingNew><item>1</item></somethingNew>
                    <tagSet>
                        <item><key>protected</key><value/></item>
                        <item><key>a &amp; b</key><value>x</value></item>
                    </tagSet>
                </item>
            </instancesSet>
        </item>
    </reservationSet>
    <nextToken>abc</nextToken>
</DescribeInstancesResponse>"#,
        Ok(
            r#"{"NextToken":"abc","Reservations":[{"ReservationId":"r-1","Groups":[],"Instances":[{"InstanceId":"i-1","State":{"Code":16,"Name":"running"},
              "KeyName":"","LaunchTime":"2026-01-31T12:00:00.000Z","EbsOptimized":false,
              "Tags":[{"Key":"protected","Value":""},{"Key":"a & b","Value":"x"}]}]}]}"#,
        ),
    );
    check(
        "ec2",
        "DescribeVolumes",
        &[],
        "<DescribeVolumesResponse><volumeSet><item><volumeId>vol-1</volumeId><size>8</size><attachmentSet><item><deleteOnTermination>true</deleteOnTermination></item></attachmentSet><createTime/></item></volumeSet></DescribeVolumesResponse>",
        Ok(
            r#"{"Volumes":[{"VolumeId":"vol-1","Size":8,"Attachments":[{"DeleteOnTermination":true}]}]}"#,
        ),
    );
}

#[test]
fn answers_of_other_names_and_types_are_errors() {
    let volumes = |body: &str, expected| check("ec2", "DescribeVolumes", &[], body, Err(expected));
    volumes(
        "<Response><Errors/></Response>",
        "the answer lacks the element `DescribeVolumesResponse`",
    );
    volumes(
        "<DescribeVolumesResponse><volumeSet><member/></volumeSet></DescribeVolumesResponse>",
        "in the answer, `volumeSet.member` isn't known to the catalog; a newer catalog may know it",
    );
    volumes(
        "<DescribeVolumesResponse><volumeSet><item><size>x</size></item></volumeSet></DescribeVolumesResponse>",
        "in the answer, `volumeSet.size` must be a whole number, not a string",
    );
    volumes(
        "<DescribeVolumesResponse><volumeSet/><volumeSet/></DescribeVolumesResponse>",
        "in the answer, `volumeSet` stands twice",
    );
    volumes(
        "<DescribeVolumesResponse><nextToken><a/></nextToken></DescribeVolumesResponse>",
        "in the answer, `nextToken` must be a plain value, not elements",
    );
}

#[test]
fn query_answers_are_read_from_their_result_element() {
    check(
        "rds",
        "DescribeDBInstances",
        &[],
        "<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>db</DBInstanceIdentifier><DeletionProtection>true</DeletionProtection><InstanceCreateTime>2026-01-31T12:00:00.123Z</InstanceCreateTime><TagList><Tag><Key>k</Key><Value>v</Value></Tag></TagList></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>",
        Ok(
            r#"{"DBInstances":[{"DBInstanceIdentifier":"db","DeletionProtection":true,"InstanceCreateTime":"2026-01-31T12:00:00.123Z","TagList":[{"Key":"k","Value":"v"}]}]}"#,
        ),
    );
    check(
        "elbv2",
        "DescribeTags",
        &[],
        "<DescribeTagsResponse><DescribeTagsResult><TagDescriptions><member><ResourceArn>arn</ResourceArn><Tags><member><Key>k</Key></member></Tags></member></TagDescriptions></DescribeTagsResult></DescribeTagsResponse>",
        Ok(r#"{"TagDescriptions":[{"ResourceArn":"arn","Tags":[{"Key":"k"}]}]}"#),
    );
    check(
        "iam",
        "GetRole",
        &[],
        "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>r</RoleName><MaxSessionDuration>3600</MaxSessionDuration><Tags><member><Key>k</Key><Value>v</Value></member></Tags></Role></GetRoleResult></GetRoleResponse>",
        Ok(
            r#"{"Role":{"Path":"/","RoleName":"r","MaxSessionDuration":3600,"Tags":[{"Key":"k","Value":"v"}]}}"#,
        ),
    );
}

#[test]
fn answers_of_s3_and_route_53_are_read_from_their_root_and_headers() {
    check(
        "s3",
        "GetBucketTagging",
        &[],
        r#"<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"#,
        Ok(r#"{"TagSet":[{"Key":"k","Value":"v"}]}"#),
    );
    check(
        "s3",
        "GetBucketVersioning",
        &[],
        "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Disabled</MfaDelete></VersioningConfiguration>",
        Ok(r#"{"Status":"Enabled","MFADelete":"Disabled"}"#),
    );
    check(
        "s3",
        "GetBucketVersioning",
        &[],
        "<VersioningConfiguration/>",
        Ok("{}"),
    );
    check(
        "s3",
        "ListObjectVersions",
        &[("x-amz-request-charged", "requester")],
        "<ListVersionsResult><Name>b</Name><IsTruncated>false</IsTruncated><Version><Key>a</Key><Size>1</Size><IsLatest>true</IsLatest></Version><Version><Key>b</Key></Version><DeleteMarker><Key>c</Key></DeleteMarker></ListVersionsResult>",
        Ok(
            r#"{"RequestCharged":"requester","Name":"b","IsTruncated":false,"Versions":[{"Key":"a","Size":1,"IsLatest":true},{"Key":"b"}],"DeleteMarkers":[{"Key":"c"}]}"#,
        ),
    );
    check(
        "s3",
        "GetBucketLocation",
        &[],
        r#"<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">eu-west-1</LocationConstraint>"#,
        Ok(r#"{"LocationConstraint":"eu-west-1"}"#),
    );
    check(
        "s3",
        "GetBucketLifecycleConfiguration",
        &[],
        "<LifecycleConfiguration><Rule><ID>r</ID><Filter><And><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag></And></Filter></Rule></LifecycleConfiguration>",
        Ok(
            r#"{"Rules":[{"ID":"r","Filter":{"And":{"Tags":[{"Key":"a","Value":"1"},{"Key":"b","Value":"2"}]}}}]}"#,
        ),
    );
    check(
        "s3",
        "GetBucketAcl",
        &[],
        r#"<AccessControlPolicy><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>1</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"#,
        Ok(r#"{"Grants":[{"Grantee":{"Type":"CanonicalUser","ID":"1"},"Permission":"READ"}]}"#),
    );
    check(
        "s3",
        "GetBucketPolicy",
        &[],
        r#"{"Version":"1"}"#,
        Ok(r#"{"Policy":"{\"Version\":\"1\"}"}"#),
    );
    check(
        "s3",
        "HeadObject",
        &[
            ("content-length", "7"),
            ("last-modified", "Sat, 31 Jan 2026 12:00:00 GMT"),
            ("x-amz-meta-colour", "blue"),
        ],
        "",
        Ok(
            r#"{"ContentLength":7,"LastModified":"Sat, 31 Jan 2026 12:00:00 GMT","Metadata":{"colour":"blue"}}"#,
        ),
    );
    check(
        "route53",
        "GetHostedZone",
        &[],
        "<GetHostedZoneResponse><HostedZone><Id>/hostedzone/Z1</Id><Name>example.com.</Name><CallerReference>c</CallerReference><Config><PrivateZone>false</PrivateZone></Config></HostedZone><DelegationSet><NameServers><NameServer>ns-1</NameServer></NameServers></DelegationSet></GetHostedZoneResponse>",
        Ok(
            r#"{"HostedZone":{"Id":"/hostedzone/Z1","Name":"example.com.","CallerReference":"c","Config":{"PrivateZone":false}},"DelegationSet":{"NameServers":["ns-1"]}}"#,
        ),
    );
}

#[test]
fn a_time_may_be_spelt_otherwise_than_modelled() {
    let role = |time: &str, read: &str| {
        let body = format!(
            "<GetRoleResponse><GetRoleResult><Role><CreateDate>{time}</CreateDate></Role></GetRoleResult></GetRoleResponse>"
        );
        let expected = format!("{{\"Role\":{{\"CreateDate\":{read}}}}}");
        check("iam", "GetRole", &[], &body, Ok(&expected));
    };
    role("2026-01-31T12:00:00Z", "\"2026-01-31T12:00:00Z\"");
    role("2026-01-31T12:00:00+00:00", "\"2026-01-31T12:00:00+00:00\"");
    role("1770000000.5", "1770000000.5");
    let body = "<GetRoleResponse><GetRoleResult><Role><CreateDate>soon</CreateDate></Role></GetRoleResult></GetRoleResponse>";
    check(
        "iam",
        "GetRole",
        &[],
        body,
        Err(
            "in the answer, `Role.CreateDate` must be a timestamp written as `2026-01-31T12:00:00Z`",
        ),
    );
}
