//! Requests to Amazon S3, Route 53 and CloudFront as clients write them, and what differs from them.

use std::sync::{Arc, LazyLock};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value as Json, json};

use crate::aws::catalog::Catalog;
use crate::aws::catalog::few::few;
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::protocol::{Malformed, WireRequest, decode, encode, identify};

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| few(&["s3", "s3control", "route53", "cloudfront", "glacier", "sso"]));

/// A request, with the host's part of it.
struct Sent {
    service: &'static str,
    addressed: Addressed,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn sent(service: &'static str, method: &str, target: &str) -> Sent {
    Sent {
        service,
        addressed: Addressed::Service,
        method: method.parse().unwrap(),
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    }
}

/// A request to a bucket's own host.
fn hosted(method: &str, target: &str) -> Sent {
    Sent {
        addressed: Addressed::Bucket("pics".to_owned()),
        ..sent("s3", method, target)
    }
}

impl Sent {
    fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn body(mut self, body: &str) -> Self {
        body.as_bytes().clone_into(&mut self.body);
        self
    }

    fn read(&self) -> Result<(String, Json, WireRequest), Malformed> {
        let services = [CATALOG.service(self.service).unwrap().unwrap()];
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let head = Head {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            addressed: &self.addressed,
        };
        let identified = identify(&services, &head, None)?;
        let input = decode(&identified, &head, &self.body)?;
        let operation = identified.operation();
        let protocol = identified.protocol();
        let wire = encode(&services[0], operation, protocol, &input, &self.addressed).unwrap();
        Ok((operation.name.clone(), input.to_json(), wire))
    }

    /// The operation alone, with an input that needn't be whole.
    fn operation(&self) -> String {
        let services: [Arc<_>; 1] = [CATALOG.service(self.service).unwrap().unwrap()];
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let head = Head {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            addressed: &self.addressed,
        };
        match identify(&services, &head, None) {
            Ok(identified) => identified.operation().name.clone(),
            Err(e) => e.to_string(),
        }
    }

    /// Read as that operation with that input, written again to that target and, read once more, the same.
    fn is(&self, operation: &str, input: Json, target: &str) -> WireRequest {
        let (name, read, wire) = self
            .read()
            .unwrap_or_else(|e| panic!("{}: {e}", self.target));
        assert_eq!((name.as_str(), &read), (operation, &input));
        assert_eq!(wire.path_and_query, target);
        let again = Sent {
            service: self.service,
            addressed: self.addressed.clone(),
            method: wire.method.clone(),
            target: wire.path_and_query.clone(),
            headers: wire.headers.clone(),
            body: wire.body.clone(),
        };
        let (name, reread, _) = again.read().unwrap();
        assert_eq!((name.as_str(), reread), (operation, input));
        wire
    }

    fn refused(&self, expected: &str) {
        match self.read() {
            Ok((name, input, _)) => panic!("{}: read as {name} {input}", self.target),
            Err(e) => assert_eq!(e.to_string(), expected, "{}", self.target),
        }
    }
}

#[test]
fn a_key_is_kept_byte_by_byte_wherever_its_bucket_stands() {
    for (path, key, again) in [
        ("/a/b.txt", "a/b.txt", "/a/b.txt"),
        ("/a%2Fb", "a/b", "/a/b"),
        ("/a//b/", "a//b/", "/a//b/"),
        ("//a", "/a", "//a"),
        ("//", "/", "//"),
        ("/./a/../b", "./a/../b", "/./a/../b"),
        ("/a;b\\c%5C", "a;b\\c\\", "/a%3Bb%5Cc%5C"),
        ("/a%252Fb", "a%2Fb", "/a%252Fb"),
        ("/%C3%BC%20%2B", "ü +", "/%C3%BC%20%2B"),
        (
            "/service/x/operation/y",
            "service/x/operation/y",
            "/service/x/operation/y",
        ),
    ] {
        let input = json!({"Bucket": "pics", "Key": key});
        hosted("DELETE", path).is("DeleteObject", input.clone(), again);
        let in_path = sent("s3", "DELETE", &format!("/pics{path}"));
        in_path.is("DeleteObject", input, &format!("/pics{again}"));
    }
}

#[test]
fn a_path_without_a_key_is_the_buckets() {
    let bucket = || json!({"Bucket": "pics"});
    hosted("DELETE", "/").is("DeleteBucket", bucket(), "/");
    sent("s3", "DELETE", "/pics").is("DeleteBucket", bucket(), "/pics");
    sent("s3", "DELETE", "/pics/").is("DeleteBucket", bucket(), "/pics");
    hosted("GET", "/").is("ListObjects", bucket(), "/");
    sent("s3", "GET", "/").is("ListBuckets", json!({}), "/");
    hosted("GET", "/?list-type=2&prefix=a%2Fb").is(
        "ListObjectsV2",
        json!({"Bucket": "pics", "Prefix": "a/b"}),
        "/?list-type=2&prefix=a%2Fb",
    );
    hosted("GET", "/?versioning").is("GetBucketVersioning", bucket(), "/?versioning");
}

#[test]
fn what_s3_could_read_otherwise_is_refused() {
    for path in [
        "//",
        "//pics/a",
        "/../a",
        "/./a",
        "/pics%2Fa/b",
        "/pi%20cs/a",
        "/pi+cs",
    ] {
        let found = sent("s3", "DELETE", path).read().unwrap_err().to_string();
        let bucket = found.ends_with("which no bucket is called");
        assert!(bucket || found.contains("a bare `+`"), "{path}: {found}");
    }
    for key in [
        "/..",
        "/../a",
        "/a/../../b",
        "/a%2F..%2F..%2Fb",
        "/%2e%2e/b",
    ] {
        hosted("DELETE", key).refused(&format!(
            "the path `{key}` has a key that `..` leads out of"
        ));
    }
    hosted("DELETE", "/a+b").refused(
        "in the path: a bare `+` can be read as a blank or as itself; write `%20` or `%2B`",
    );
    hosted("DELETE", "/%ff").refused("in the path: the escaped bytes aren't UTF-8");
    let refused = sent("s3", "POST", "/WriteGetObjectRespons%65").operation();
    assert!(
        refused.contains("can be read as") || refused.contains("has no operation"),
        "{refused}"
    );
}

#[test]
fn parameters_and_headers_tell_the_routes_of_one_path_apart() {
    let check = |request: Sent, expected: &str| {
        assert_eq!(
            request.operation(),
            expected,
            "{} {}",
            request.method,
            request.target
        );
    };
    check(hosted("PUT", "/k"), "PutObject");
    check(hosted("PUT", "/k?partNumber=1&uploadId=u"), "UploadPart");
    check(
        hosted("PUT", "/k").header("x-amz-copy-source", "/b/k"),
        "CopyObject",
    );
    check(
        hosted("PUT", "/k?partNumber=1&uploadId=u").header("x-amz-copy-source", "/b/k"),
        "UploadPartCopy",
    );
    check(hosted("PUT", "/k?x-id=PutObject"), "PutObject");
    check(hosted("GET", "/k?uploadId=u"), "ListParts");
    check(hosted("GET", "/k?partNumber=1"), "GetObject");
    check(hosted("DELETE", "/k?uploadId=u"), "AbortMultipartUpload");
    check(hosted("DELETE", "/k?versionId=v"), "DeleteObject");
    check(hosted("DELETE", "/k?tagging"), "DeleteObjectTagging");
    check(hosted("DELETE", "/?tagging"), "DeleteBucketTagging");
    check(hosted("POST", "/k?uploads"), "CreateMultipartUpload");
    check(hosted("POST", "/?delete"), "DeleteObjects");
    check(
        hosted("GET", "/?analytics&id=1"),
        "GetBucketAnalyticsConfiguration",
    );
    check(
        hosted("GET", "/?analytics"),
        "ListBucketAnalyticsConfigurations",
    );
    check(
        hosted("GET", "/?lifecycle"),
        "GetBucketLifecycleConfiguration",
    );
    check(
        hosted("PUT", "/?lifecycle"),
        "PutBucketLifecycleConfiguration",
    );
    check(
        hosted("PUT", "/?notification"),
        "PutBucketNotificationConfiguration",
    );
}

#[test]
fn more_than_one_mark_of_an_operation_is_refused() {
    let other = |name: &str, operation: &str| {
        format!(
            "`{name}` stands in the request, which isn't one of `{operation}`'s and makes it another call"
        )
    };
    let check = |request: Sent, expected: &str| assert_eq!(request.operation(), expected);
    check(
        hosted("DELETE", "/?policy&acl"),
        &other("acl", "DeleteBucketPolicy"),
    );
    check(hosted("DELETE", "/k?acl"), &other("acl", "DeleteObject"));
    check(hosted("DELETE", "/k?acl=1"), &other("acl", "DeleteObject"));
    check(
        hosted("DELETE", "/k?Tagging"),
        &other("Tagging", "DeleteObject"),
    );
    check(
        hosted("DELETE", "/k?tagging&uploadId=u"),
        &other("uploadId", "DeleteObjectTagging"),
    );
    check(
        hosted("GET", "/?list-type=1"),
        &other("list-type", "ListObjects"),
    );
    check(
        hosted("PUT", "/k?partNumber=1"),
        &other("partNumber", "PutObject"),
    );
    check(
        hosted("PUT", "/k?X-Amz-Copy-Source=%2Fb%2Fk"),
        &other("X-Amz-Copy-Source", "PutObject"),
    );
    check(
        hosted("PUT", "/k?acl").header("x-amz-copy-source", "/b/k"),
        &other("x-amz-copy-source", "PutObjectAcl"),
    );
    check(
        hosted("DELETE", "/k?uploadId="),
        "`uploadId` makes the request `AbortMultipartUpload`, and has no value",
    );
    check(
        hosted("DELETE", "/k?uploadId=a&uploadId=b"),
        "the parameter `uploadId` stands twice",
    );
    check(
        hosted("PUT", "/k?novelty"),
        "`s3` has no operation `PUT /k?novelty` in this catalog; a newer catalog may know it",
    );
    check(hosted("GET", "/k?v=1"), "GetObject");
}

const DELETE: &str = r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key></Object><Object><Key> c
</Key><VersionId>v</VersionId></Object><Quiet>true</Quiet></Delete>"#;

#[test]
fn objects_to_delete_are_read_from_xml_and_summed_up_anew() {
    let input = json!({"Bucket": "pics", "Delete": {
        "Objects": [{"Key": "a&b"}, {"Key": " c\n", "VersionId": "v"}], "Quiet": true}});
    let wire = hosted("POST", "/?delete")
        .body(&format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{DELETE}"
        ))
        .is("DeleteObjects", input.clone(), "/?delete");
    assert_eq!(std::str::from_utf8(&wire.body).unwrap(), DELETE);
    assert_eq!(wire.headers["x-amz-checksum-crc32"], "oXJN1Q==");
    let asked = hosted("POST", "/?delete=")
        .header("x-amz-sdk-checksum-algorithm", "SHA256")
        .header("content-type", "application/xml")
        .body(DELETE)
        .is(
            "DeleteObjects",
            json!({"Bucket": "pics", "ChecksumAlgorithm": "SHA256", "Delete": input["Delete"]}),
            "/?delete",
        );
    assert!(asked.headers.contains_key("x-amz-checksum-sha256"));
    assert!(!asked.headers.contains_key("x-amz-checksum-crc32"));
}

#[test]
fn a_checksum_that_is_not_the_bodys_is_refused() {
    let delete = || hosted("POST", "/?delete").body(DELETE);
    let wrong = delete().header("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==");
    wrong.refused("`content-md5` isn't the body's checksum");
    let wrong = delete().header("x-amz-checksum-crc32c", "AAAAAA==");
    wrong.refused("`x-amz-checksum-crc32c` isn't the body's checksum");
    let unknown = delete().header("x-amz-checksum-xxhash3", "AAAAAA==");
    unknown.refused("the checksum algorithm `xxhash3` isn't known here; use CRC32 or SHA256");
    // What a whole object sums up to is no checksum of the request that completes it.
    hosted("POST", "/k?uploadId=u")
        .header("x-amz-checksum-crc32", "AAAAAA==")
        .body("<CompleteMultipartUpload><Part><ETag>&quot;e&quot;</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")
        .is(
            "CompleteMultipartUpload",
            json!({"Bucket": "pics", "Key": "k", "UploadId": "u", "ChecksumCRC32": "AAAAAA==",
                   "MultipartUpload": {"Parts": [{"ETag": "\"e\"", "PartNumber": 1}]}}),
            "/k?uploadId=u",
        );
}

#[test]
fn a_bodys_checksum_that_a_client_sent_is_made_anew() {
    let tags = "<Tagging>\n <TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let request = hosted("PUT", "/?tagging").header("content-md5", "pau7hLhLTYZj1DBF+XhyUg==");
    let (name, _, wire) = request.body(tags).read().unwrap();
    assert_eq!(name, "PutBucketTagging");
    let anew = r#"<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"#;
    assert_eq!(std::str::from_utf8(&wire.body).unwrap(), anew);
    assert_eq!(wire.headers["content-md5"], "z275X9v+yCiOgdVxBKqSYQ==");
}

#[test]
fn an_attribute_stands_only_where_the_model_has_one() {
    let acl = |attributes: &str, inner: &str| {
        hosted("PUT", "/?acl").body(&format!(
            r#"<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><AccessControlList><Grant><Grantee {attributes}>{inner}</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"#
        ))
    };
    let xsi = r#"xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance""#;
    let wire = acl(&format!("{xsi} xsi:type=\"Group\""), "<URI>u</URI>").is(
        "PutBucketAcl",
        json!({"Bucket": "pics", "AccessControlPolicy": {"Grants": [
            {"Grantee": {"Type": "Group", "URI": "u"}, "Permission": "READ"}]}}),
        "/?acl",
    );
    let body = String::from_utf8(wire.body).unwrap();
    assert!(body.contains(&format!(
        "<Grantee {xsi} xsi:type=\"Group\"><URI>u</URI></Grantee>"
    )));
    let place = "AccessControlPolicy.AccessControlList[0].Grantee";
    acl("xsi:type=\"Group\"", "").refused(&format!(
        "`{place}.xsi:type` isn't the namespace that the catalog has there"
    ));
    acl(&format!("{xsi} type=\"Group\""), "").refused(&format!(
        "`{place}.type` isn't known to the catalog; a newer catalog may know it"
    ));
    acl("xmlns:xsi=\"http://x/\" xsi:type=\"Group\"", "").refused(&format!(
        "`{place}.xmlns:xsi` isn't the namespace that the catalog has there"
    ));
    acl(&format!("{xsi} {xsi} xsi:type=\"Group\""), "")
        .refused("in the body, the attribute `xmlns:xsi` stands twice at byte 167");
}

#[test]
fn xml_that_two_readers_take_differently_is_refused() {
    let check =
        |body: &str, expected: &str| hosted("POST", "/?delete").body(body).refused(expected);
    check("", "`Delete` is required and missing");
    check(
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "`Delete.Object[0].Key` stands twice",
    );
    check(
        "<Delete><Object><Key>a</Key><Novel/></Object></Delete>",
        "`Delete.Object[0].Novel` isn't known to the catalog; a newer catalog may know it",
    );
    check(
        "<Delete>text<Object><Key>a</Key></Object></Delete>",
        "`Delete` has text where only elements stand",
    );
    check("<Remove/>", "the body's element is `Remove`, not `Delete`");
    check(
        "<Delete xmlns=\"http://x/\"><Object><Key>a</Key></Object></Delete>",
        "`Delete.xmlns` isn't the namespace that the catalog has there",
    );
    check(
        "<s:Delete xmlns:s=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
        "in the body, the name `s:Delete` has a prefix at byte 9",
    );
    check(
        "<!DOCTYPE Delete><Delete/>",
        "in the body, a document type or another declaration stands at byte 0",
    );
    check(
        "<Delete><Object><Key>a<!-- b --></Key></Object></Delete>",
        "in the body, a comment stands inside an element at byte 22",
    );
    check(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Delete/>",
        "in the body, the text isn't declared as XML 1.0 in UTF-8 at byte 43",
    );
    check(
        "<Delete><Object><Key>a</Key></Object><Quiet>TRUE</Quiet></Delete>",
        "`Delete.Quiet` must be a boolean, not a string",
    );
    hosted("POST", "/?delete")
        .header("content-type", "application/xml; charset=utf-16")
        .body(DELETE)
        .refused(
            "the content type is `application/xml; charset=utf-16`; restXml uses `application/xml`",
        );
    // Every reader takes the end of a line for one character.
    let crlf = "<Delete><Object><Key>a\r\nb&#13;</Key></Object></Delete>";
    let wire = hosted("POST", "/?delete").body(crlf).is(
        "DeleteObjects",
        json!({"Bucket": "pics", "Delete": {"Objects": [{"Key": "a\nb\r"}]}}),
        "/?delete",
    );
    assert!(String::from_utf8(wire.body).unwrap().contains("a\nb&#13;"));
}

#[test]
fn a_header_that_would_be_missing_in_what_is_rebuilt_is_refused() {
    let delete = || hosted("DELETE", "/k");
    delete().header("if-match", "\"e\"").is(
        "DeleteObject",
        json!({"Bucket": "pics", "Key": "k", "IfMatch": "\"e\""}),
        "/k",
    );
    delete().header("if-modified-since", "x").refused(
        "the header `if-modified-since` isn't one of this operation's in this catalog; a newer catalog may know it",
    );
    delete().header("x-amz-novelty", "x").refused(
        "the header `x-amz-novelty` isn't one of this operation's in this catalog; a newer catalog may know it",
    );
    let usual = delete()
        .header("x-amz-date", "20260101T000000Z")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    usual.is("DeleteObject", json!({"Bucket": "pics", "Key": "k"}), "/k");
    hosted("DELETE", "/k?novel=1")
        .refused("`novel` isn't known to the catalog; a newer catalog may know it");
}

#[test]
fn record_sets_are_changed_in_route_53s_namespace() {
    let body = r#"<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change><Action>DELETE</Action><ResourceRecordSet><Name>a.example.</Name><Type>A</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#;
    let wire = sent("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/")
        .body(body)
        .is(
            "ChangeResourceRecordSets",
            json!({"HostedZoneId": "Z1", "ChangeBatch": {"Changes": [{"Action": "DELETE",
                "ResourceRecordSet": {"Name": "a.example.", "Type": "A", "TTL": 60,
                                      "ResourceRecords": [{"Value": "192.0.2.1"}]}}]}}),
            "/2013-04-01/hostedzone/Z1/rrset/",
        );
    assert_eq!(std::str::from_utf8(&wire.body).unwrap(), body);
    // Its paths aren't keys.
    sent("route53", "DELETE", "/2013-04-01/hostedzone/../Z1")
        .refused("the path `/2013-04-01/hostedzone/../Z1` has an empty segment, `.` or `..`");
}

#[test]
fn cloudfronts_tags_are_told_by_a_parameter() {
    let body = r#"<TagKeys xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Items><Key>a</Key></Items></TagKeys>"#;
    let target = "/2020-05-31/tagging?Operation=Untag&Resource=arn%3Aaws%3Acloudfront%3A%3A1%3Adistribution%2FE1";
    let wire = sent("cloudfront", "POST", target).body(body).is(
        "UntagResource",
        json!({"Resource": "arn:aws:cloudfront::1:distribution/E1", "TagKeys": {"Items": ["a"]}}),
        target,
    );
    assert_eq!(std::str::from_utf8(&wire.body).unwrap(), body);
    sent("cloudfront", "DELETE", "/2020-05-31/distribution/E1")
        .header("if-match", "E2")
        .is(
            "DeleteDistribution",
            json!({"Id": "E1", "IfMatch": "E2"}),
            "/2020-05-31/distribution/E1",
        );
}

#[test]
fn a_members_own_header_may_be_spelt_with_an_underscore() {
    let logout = sent("sso", "POST", "/logout").header("x-amz-sso_bearer_token", "t");
    assert_eq!(logout.operation(), "Logout");
    let other = sent("sso", "POST", "/logout").header("x-amz_date", "t");
    assert!(
        other
            .operation()
            .contains("can be taken for the one with hyphens")
    );
}
