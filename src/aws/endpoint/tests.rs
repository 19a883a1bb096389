use super::*;
use crate::aws::catalog::Catalog;
use crate::aws::sigv4::{Algorithm, Scope};

static CATALOG: std::sync::LazyLock<Catalog> =
    std::sync::LazyLock::new(|| Catalog::embedded().unwrap());

pub(super) fn endpoint(host: &str) -> Endpoint {
    match CATALOG.resolve(&Host::parse(host).unwrap()) {
        Resolved::Api(endpoint) => endpoint,
        other @ (Resolved::Unmodelled | Resolved::Foreign) => panic!("{host} is {other:?}"),
    }
}

/// `service region`, then what stands in the host.
fn check(host: &str, expected: &str, addressed: &Addressed) {
    let found = endpoint(host);
    assert_eq!(
        format!("{} {}", found.services.join("+"), found.region),
        expected,
        "{host}"
    );
    assert_eq!(found.addressed, *addressed, "{host}");
    assert_eq!(found.host.as_str(), host);
}

fn plain(host: &str, expected: &str) {
    check(host, expected, &Addressed::Service);
}

fn bucket(host: &str, region: &str, bucket: &str) {
    let addressed = Addressed::Bucket(bucket.to_owned());
    check(host, &format!("s3 {region}"), &addressed);
}

fn prefix(host: &str, expected: &str, prefix: &str) {
    check(host, expected, &Addressed::Prefix(prefix.to_owned()));
}

fn signed(host: &str, name: &str, region_set: RegionSet) {
    let found = endpoint(host);
    let service = CATALOG.service(&found.services[0]).unwrap().unwrap();
    assert_eq!(found.signing_name(&service), name, "{host}");
    assert_eq!(found.region_set, region_set, "{host}");
}

fn unmodelled(host: &str) {
    let found = CATALOG.resolve(&Host::parse(host).unwrap());
    assert_eq!(found, Resolved::Unmodelled, "{host}");
}

fn foreign(host: &str) {
    let found = CATALOG.resolve(&Host::parse(host).unwrap());
    assert_eq!(found, Resolved::Foreign, "{host}");
}

#[test]
fn regional_and_global_hosts_of_every_partition() {
    plain("ec2.us-east-1.amazonaws.com", "ec2 us-east-1");
    plain("ec2.eu-central-1.api.aws", "ec2 eu-central-1");
    plain("ec2-fips.us-east-1.amazonaws.com", "ec2 us-east-1");
    plain("ec2.cn-north-1.amazonaws.com.cn", "ec2 cn-north-1");
    plain("ec2.us-iso-east-1.c2s.ic.gov", "ec2 us-iso-east-1");
    plain("ec2.us-isob-east-1.sc2s.sgov.gov", "ec2 us-isob-east-1");
    plain("ec2.eu-isoe-west-1.cloud.adc-e.uk", "ec2 eu-isoe-west-1");
    plain("ec2.us-isof-south-1.csp.hci.ic.gov", "ec2 us-isof-south-1");
    plain("ec2.eusc-de-east-1.amazonaws.eu", "ec2 eusc-de-east-1");
    plain("ec2.us-gov-west-1.amazonaws.com", "ec2 us-gov-west-1");
    plain("ec2.ap-new-9.amazonaws.com", "ec2 ap-new-9");
    plain("iam.amazonaws.com", "iam us-east-1");
    plain("iam.us-gov.amazonaws.com", "iam us-gov-west-1");
    plain("iam.cn-north-1.amazonaws.com.cn", "iam cn-north-1");
    plain("route53.amazonaws.com", "route53 us-east-1");
    plain("cloudfront.amazonaws.com", "cloudfront us-east-1");
    plain("sts.amazonaws.com", "sts us-east-1");
    plain(
        "organizations.us-east-1.amazonaws.com",
        "organizations us-east-1",
    );
    plain("global.health.amazonaws.com", "health us-east-1");
    plain("us-east-1.signin.aws.amazon.com", "signin us-east-1");
    plain("us-east-1.oauth.signin.aws", "signin us-east-1");
}

#[test]
fn a_few_hosts_are_signed_for_another_region_than_their_own() {
    plain(
        "api.sustainability.eu-west-1.api.aws",
        "sustainability us-east-1",
    );
}

#[test]
fn awss_first_names_are_apis_too() {
    plain("ec2.amazonaws.com", "ec2 us-east-1");
    plain("us-west-2.ec2.amazonaws.com", "ec2 us-west-2");
    plain("queue.amazonaws.com", "sqs us-east-1");
    plain("eu-west-1.queue.amazonaws.com", "sqs eu-west-1");
    plain("eu-west-1.elasticmapreduce.amazonaws.com", "emr eu-west-1");
    plain("rds.amazonaws.com", "rds us-east-1");
}

#[test]
fn aliases_fold_into_the_service_that_calls_are_named_by() {
    plain("rds.eu-west-1.amazonaws.com", "rds eu-west-1");
    plain("wisdom.eu-west-1.amazonaws.com", "qconnect eu-west-1");
    plain(
        "sms-voice.pinpoint.us-east-1.amazonaws.com",
        "sms-voice us-east-1",
    );
    prefix(
        "data-signer.us-east-1.amazonaws.com",
        "signer us-east-1",
        "data-",
    );
    assert_eq!(CATALOG.alias("docdb"), Some("rds"));
    assert_eq!(CATALOG.alias("neptune"), Some("rds"));
    // Only a few of its calls are another's.
    assert_eq!(CATALOG.alias("greengrassv2"), None);
}

#[test]
fn services_that_share_a_host_are_all_candidates() {
    plain(
        "apigateway.us-east-1.amazonaws.com",
        "apigateway+apigatewayv2 us-east-1",
    );
    plain(
        "elasticloadbalancing.us-east-1.amazonaws.com",
        "elb+elbv2 us-east-1",
    );
    plain("es.us-east-1.amazonaws.com", "es+opensearch us-east-1");
    plain(
        "email.us-east-1.amazonaws.com",
        "pinpoint-email+ses+sesv2 us-east-1",
    );
    plain(
        "kinesisanalytics.us-east-1.amazonaws.com",
        "kinesisanalytics+kinesisanalyticsv2 us-east-1",
    );
    plain(
        "greengrass.us-east-1.amazonaws.com",
        "greengrass+greengrassv2 us-east-1",
    );
}

#[test]
fn host_prefixes_stand_before_the_name() {
    prefix(
        "data-servicediscovery.us-east-1.amazonaws.com",
        "servicediscovery us-east-1",
        "data-",
    );
    prefix(
        "api.iotsitewise.eu-west-1.amazonaws.com",
        "iotsitewise eu-west-1",
        "api.",
    );
    prefix(
        "sync-states.us-east-1.api.aws",
        "stepfunctions us-east-1",
        "sync-",
    );
    prefix(
        "cp.tracking.geo.us-east-1.amazonaws.com",
        "location us-east-1",
        "cp.tracking.",
    );
    prefix(
        "123456789012.s3-control.us-east-1.amazonaws.com",
        "s3control us-east-1",
        "123456789012.",
    );
    prefix(
        "123456789012.s3-control.dualstack.us-east-1.amazonaws.com",
        "s3control us-east-1",
        "123456789012.",
    );
    prefix(
        "g-0123456789.neptune-graph.us-east-1.on.aws",
        "neptune-graph us-east-1",
        "g-0123456789.",
    );
    prefix(
        "io-use1-0123.s3-object-lambda.us-east-1.amazonaws.com",
        "s3 us-east-1",
        "io-use1-0123.",
    );
}

#[test]
fn what_stands_before_a_name_and_is_no_front_of_it_is_no_operations_prefix() {
    prefix(
        "x.s3-control.us-east-1.amazonaws.com",
        "s3control us-east-1",
        "x.",
    );
    prefix(
        "a.123456789012.ddb.us-east-1.amazonaws.com",
        "dynamodb us-east-1",
        "a.123456789012.",
    );
    prefix(
        "12345678901.ddb.us-east-1.amazonaws.com",
        "dynamodb us-east-1",
        "12345678901.",
    );
    prefix(
        "my-point.s3-accesspoint.us-east-1.amazonaws.com",
        "s3 us-east-1",
        "my-point.",
    );
}

#[test]
fn every_form_of_s3() {
    plain("s3.us-east-1.amazonaws.com", "s3 us-east-1");
    plain("s3.dualstack.us-west-2.amazonaws.com", "s3 us-west-2");
    plain("s3-fips.dualstack.us-east-1.amazonaws.com", "s3 us-east-1");
    plain("s3.amazonaws.com", "s3 us-east-1");
    plain("s3-us-west-2.amazonaws.com", "s3 us-west-2");
    plain("s3-external-1.amazonaws.com", "s3 us-east-1");
    bucket("b.s3.eu-west-1.amazonaws.com", "eu-west-1", "b");
    bucket("a.b.c.s3.eu-west-1.amazonaws.com", "eu-west-1", "a.b.c");
    bucket("b.s3.amazonaws.com", "us-east-1", "b");
    bucket("b.s3.cn-north-1.amazonaws.com.cn", "cn-north-1", "b");
    bucket("b.s3-us-west-2.amazonaws.com", "us-west-2", "b");
    bucket("b.s3-external-1.amazonaws.com", "us-east-1", "b");
    bucket("b.s3.dualstack.us-west-2.amazonaws.com", "us-west-2", "b");
    bucket("b.s3-fips.us-east-1.amazonaws.com", "us-east-1", "b");
    bucket("b.s3-accelerate.amazonaws.com", "us-east-1", "b");
    bucket("b.s3-accelerate.dualstack.amazonaws.com", "us-east-1", "b");
    bucket(
        "alias-0123-s3alias.s3.us-east-1.amazonaws.com",
        "us-east-1",
        "alias-0123-s3alias",
    );
    bucket(
        "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        "us-east-1",
        "b--use1-az4--x-s3",
    );
    plain(
        "s3express-control.us-east-1.amazonaws.com",
        "s3+s3control us-east-1",
    );
    bucket(
        "my-point-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
        "eu-west-1",
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point",
    );
    bucket(
        "my-point-123456789012.s3-accesspoint-fips.dualstack.us-gov-west-1.amazonaws.com",
        "us-gov-west-1",
        "arn:aws-us-gov:s3:us-gov-west-1:123456789012:accesspoint/my-point",
    );
    bucket(
        "my-lambda-123456789012.s3-object-lambda.eu-west-1.amazonaws.com",
        "eu-west-1",
        "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/my-lambda",
    );
    bucket(
        "my-point-123456789012.op-01234567890123456.s3-outposts.us-east-1.amazonaws.com",
        "us-east-1",
        "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01234567890123456/accesspoint/my-point",
    );
    bucket(
        "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com",
        "us-east-1",
        "mfzwi23gnjvgw.mrap",
    );
}

#[test]
fn buckets_may_be_called_like_regions_services_and_hosts() {
    bucket(
        "us-west-2.s3.eu-west-1.amazonaws.com",
        "eu-west-1",
        "us-west-2",
    );
    bucket("us-west-2.s3.amazonaws.com", "us-east-1", "us-west-2");
    bucket("s3.s3.amazonaws.com", "us-east-1", "s3");
    bucket("s3-us-west-2.s3.amazonaws.com", "us-east-1", "s3-us-west-2");
    bucket(
        "ec2.us-east-1.s3.amazonaws.com",
        "us-east-1",
        "ec2.us-east-1",
    );
    bucket(
        "dualstack.s3.us-east-1.amazonaws.com",
        "us-east-1",
        "dualstack",
    );
    bucket(
        "sts.amazonaws.com.s3.us-east-1.amazonaws.com",
        "us-east-1",
        "sts.amazonaws.com",
    );
    bucket(
        "x.s3.us-west-2.s3.eu-west-1.amazonaws.com",
        "eu-west-1",
        "x.s3.us-west-2",
    );
    bucket(
        "x.s3-accesspoint.s3.eu-west-1.amazonaws.com",
        "eu-west-1",
        "x.s3-accesspoint",
    );
    bucket(
        "xn--bucket.s3.us-east-1.amazonaws.com",
        "us-east-1",
        "xn--bucket",
    );
    bucket(
        "vpce-0123456789abcdef0.s3.us-east-1.amazonaws.com",
        "us-east-1",
        "vpce-0123456789abcdef0",
    );
}

#[test]
fn hosts_that_lead_to_an_account_or_a_resource() {
    let route = |host: &str, expected: &str, route: &str| {
        plain(host, expected);
        assert_eq!(endpoint(host).route.as_deref(), Some(route), "{host}");
    };
    route(
        "123456789012.ddb.us-east-1.amazonaws.com",
        "dynamodb us-east-1",
        "123456789012",
    );
    route(
        "123456789012.ddb.us-east-1.api.aws",
        "dynamodb us-east-1",
        "123456789012",
    );
    route(
        "123456789012.streams-ddb.us-east-1.amazonaws.com",
        "dynamodbstreams us-east-1",
        "123456789012",
    );
    route(
        "123456789012.control-kinesis.us-east-1.amazonaws.com",
        "kinesis us-east-1",
        "123456789012",
    );
    route(
        "123456789012.data-kinesis.eu-west-1.amazonaws.com",
        "kinesis eu-west-1",
        "123456789012",
    );
    route(
        "abcde.veo.endpoint.events.amazonaws.com",
        "events us-east-1",
        "abcde.veo",
    );
    route(
        "123456789012.cloudfront-kvs.global.api.aws",
        "cloudfront-keyvaluestore us-east-1",
        "123456789012",
    );
}

#[test]
fn hosts_that_services_tell_their_clients() {
    plain(
        "a3qj468example-ats.iot.us-west-2.amazonaws.com",
        "iot-data us-west-2",
    );
    plain(
        "a3qj468example.iot.us-west-2.amazonaws.com",
        "iot-data us-west-2",
    );
    plain("data-ats.iot.us-west-2.amazonaws.com", "iot-data us-west-2");
    plain(
        "a3qj468example.jobs.iot.us-west-2.amazonaws.com",
        "iot-jobs-data us-west-2",
    );
    plain(
        "b-1234abcd.kinesisvideo.us-west-2.amazonaws.com",
        "kinesis-video-archived-media+kinesis-video-media+kinesis-video-signaling+kinesis-video-webrtc-storage us-west-2",
    );
    plain(
        "aaabbb.data.mediastore.us-west-2.amazonaws.com",
        "mediastore-data us-west-2",
    );
    plain(
        "abcd1234.mediaconvert.us-west-2.amazonaws.com",
        "mediaconvert us-west-2",
    );
    plain(
        "doc-movies-abc.us-east-1.cloudsearch.amazonaws.com",
        "cloudsearchdomain us-east-1",
    );
    plain(
        "search-movies-abc.us-east-1.cloudsearch.amazonaws.com",
        "cloudsearchdomain us-east-1",
    );
    plain(
        "ingest-cell1.timestream.us-east-1.amazonaws.com",
        "timestream-write us-east-1",
    );
    plain(
        "query-cell1.timestream.us-east-1.amazonaws.com",
        "timestream-query us-east-1",
    );
    plain(
        "api.tunneling.iot.us-east-1.amazonaws.com",
        "iotsecuretunneling us-east-1",
    );
}

#[test]
fn hosts_say_what_they_are_signed_for() {
    signed("b.s3.us-east-1.amazonaws.com", "s3", RegionSet::Never);
    signed(
        "s3express-control.us-east-1.amazonaws.com",
        "s3express",
        RegionSet::Never,
    );
    signed(
        "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        "s3express",
        RegionSet::Never,
    );
    signed(
        "l-123456789012.s3-object-lambda.us-east-1.amazonaws.com",
        "s3-object-lambda",
        RegionSet::Never,
    );
    signed(
        "s3-outposts.us-east-1.amazonaws.com",
        "s3-outposts",
        RegionSet::Never,
    );
    signed(
        "x.mrap.accesspoint.s3-global.amazonaws.com",
        "s3",
        RegionSet::Only,
    );
    signed(
        "abcde.veo.endpoint.events.amazonaws.com",
        "events",
        RegionSet::Only,
    );
    signed(
        "api.sustainability.us-east-1.api.aws",
        "sustainability",
        RegionSet::Also,
    );
    signed(
        "monitoring.us-east-1.amazonaws.com",
        "monitoring",
        RegionSet::Never,
    );
}

#[test]
fn a_scope_is_the_hosts_and_the_operations() {
    let check = |host: &str, service: &str, region: &str, name: &str, expected: bool| {
        let mut endpoint = endpoint(host);
        let service = CATALOG.service(service).unwrap().unwrap();
        let scope = Scope {
            algorithm: Algorithm::Hmac,
            date: "20260101".to_owned(),
            region: region.to_owned(),
            service: name.to_owned(),
        };
        let held = CATALOG.hold_scope(&mut endpoint, &service, &scope);
        assert_eq!(held.is_ok(), expected, "{host} {region} {name}");
        assert!(held.is_err() || endpoint.region == region);
    };
    check(
        "ec2.eu-west-1.amazonaws.com",
        "ec2",
        "eu-west-1",
        "ec2",
        true,
    );
    check(
        "ec2.eu-west-1.amazonaws.com",
        "ec2",
        "us-east-1",
        "ec2",
        false,
    );
    check(
        "ec2.eu-west-1.amazonaws.com",
        "ec2",
        "eu-west-1",
        "s3",
        false,
    );
    check(
        "email.eu-west-1.amazonaws.com",
        "sesv2",
        "eu-west-1",
        "ses",
        true,
    );
    check(
        "email.eu-west-1.amazonaws.com",
        "sesv2",
        "eu-west-1",
        "email",
        false,
    );
    check("iam.amazonaws.com", "iam", "us-east-1", "iam", true);
    check("iam.amazonaws.com", "iam", "eu-west-1", "iam", false);
    check("b.s3.amazonaws.com", "s3", "eu-west-1", "s3", true);
    check("b.s3.amazonaws.com", "s3", "ap-new-9", "s3", true);
    check("b.s3.amazonaws.com", "s3", "cn-north-1", "s3", false);
    check("b.s3.amazonaws.com", "s3", "aws-global", "s3", false);
    check(
        "b.s3-accelerate.amazonaws.com",
        "s3",
        "eu-west-1",
        "s3",
        true,
    );
    check(
        "b.s3.us-west-2.amazonaws.com",
        "s3",
        "eu-west-1",
        "s3",
        false,
    );
    check(
        "s3-outposts.us-east-1.amazonaws.com",
        "s3control",
        "us-east-1",
        "s3-outposts",
        true,
    );
    check(
        "s3-outposts.us-east-1.amazonaws.com",
        "s3control",
        "us-east-1",
        "s3",
        false,
    );
}

#[test]
fn awss_names_without_a_model_stay_awss() {
    for host in [
        "abc.lambda-url.us-east-1.on.aws",
        "abc.execute-api.us-east-1.amazonaws.com",
        "abc.appsync-api.us-east-1.amazonaws.com",
        "abc.appsync-realtime-api.us-east-1.amazonaws.com",
        "search-mine-abc.us-east-1.es.amazonaws.com",
        "vpc-mine-abc.us-east-1.es.amazonaws.com",
        "abc.us-east-1.aoss.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "mine-123456789012.d.codeartifact.us-east-1.amazonaws.com",
        "0123456789ABCDEF.gr7.us-east-1.eks.amazonaws.com",
        "git-codecommit.us-east-1.amazonaws.com",
        "c2sexample.credentials.iot.us-east-1.amazonaws.com",
        "db.cluster-abc.us-east-1.rds.amazonaws.com",
        "ec2-1-2-3-4.us-west-2.compute.amazonaws.com",
        "mine-123.us-east-1.elb.amazonaws.com",
        "bucket.s3-website-us-east-1.amazonaws.com",
        "bucket.s3-website.eu-west-1.amazonaws.com",
        "vpce-0123456789abcdef0-abcd1234.ec2.us-east-1.vpce.amazonaws.com",
        "vpce-svc-0123456789abcdef0.us-east-1.vpce.amazonaws.com",
        "email-smtp.us-east-1.amazonaws.com",
        "x.ec2.us-east-1.amazonaws.com",
        "ec2.us-east-1.amazonaws.com.cn",
        "ec2.cn-north-1.amazonaws.com",
        "s3.us-east-1.vpce.amazonaws.com",
    ] {
        unmodelled(host);
    }
}

#[test]
fn look_alikes_are_somebody_elses() {
    for host in [
        "evil-s3.amazonaws.com.attacker.net",
        "s3.amazonaws.com.evil",
        "b.s3.us-east-1.amazonaws.com.evil.example",
        "s3.us-east-1.amazonaws.co",
        "s3.us-east-1.xn--amazonaws.com",
        "xn--s3.amazonaws-com.example",
        "s3-amazonaws.com",
        "s3.us-east-1.evilamazonaws.com",
        "ec2.us-east-1.api.aws.example",
        "api-aws.example",
        "notsignin.aws",
    ] {
        foreign(host);
    }
}

#[test]
fn case_counts_for_nothing_and_a_trailing_dot_is_no_host() {
    let host = Host::parse("B.S3.US-East-1.AmazonAWS.com").unwrap();
    let Resolved::Api(found) = CATALOG.resolve(&host) else {
        panic!("{host}");
    };
    assert_eq!(found.addressed, Addressed::Bucket("b".to_owned()));
    assert!(Host::parse("s3.amazonaws.com.").is_err());
}

#[test]
fn a_services_host_is_found_beside_anothers() {
    let check = |near: &str, service: &str, expected: Option<&str>| {
        let found = CATALOG.beside(service, &endpoint(near));
        assert_eq!(
            found.as_ref().map(|e| e.host.as_str()),
            expected,
            "{near} {service}"
        );
    };
    let instances = "workspaces-instances.eu-central-1.api.aws";
    check(instances, "ec2", Some("ec2.eu-central-1.amazonaws.com"));
    check(
        "mgn.us-east-1.amazonaws.com",
        "ec2",
        Some("ec2.us-east-1.amazonaws.com"),
    );
    check(
        "mgn.us-east-1.amazonaws.com",
        "iam",
        Some("iam.amazonaws.com"),
    );
    check(
        "ec2.cn-north-1.amazonaws.com.cn",
        "sts",
        Some("sts.cn-north-1.amazonaws.com.cn"),
    );
    check(
        "ec2-fips.us-east-1.amazonaws.com",
        "sts",
        Some("sts-fips.us-east-1.amazonaws.com"),
    );
    check(
        "b.s3.eu-west-1.amazonaws.com",
        "s3",
        Some("s3.eu-west-1.amazonaws.com"),
    );
    check("ec2.us-east-1.amazonaws.com", "docdb", None);
    check("ec2.us-east-1.amazonaws.com", "nothing", None);
}

mod private_links {
    use super::*;

    fn catalog() -> Catalog {
        let mut catalog = Catalog::embedded().unwrap();
        let declared = [
            ("vpce-0123456789abcdef0", "ec2"),
            ("vpce-0aaaaaaaaaaaaaaa0", "s3"),
            ("vpce-0bbbbbbbbbbbbbbb0", "stepfunctions"),
        ];
        let declared = declared.map(|(id, service)| VpcEndpoint::new(id, service).unwrap());
        catalog.declare(declared.to_vec()).unwrap();
        catalog
    }

    fn check(host: &str, expected: Option<(&str, Addressed)>) {
        let found = catalog().resolve(&Host::parse(host).unwrap());
        let expected = expected.map(|(service, addressed)| (vec![service.to_owned()], addressed));
        let found = match found {
            Resolved::Api(e) => {
                assert_eq!((e.host.as_str(), e.region.as_str()), (host, "us-east-1"));
                Some((e.services, e.addressed))
            }
            Resolved::Unmodelled => None,
            Resolved::Foreign => panic!("{host} is foreign"),
        };
        assert_eq!(found, expected, "{host}");
    }

    #[test]
    fn a_declared_endpoint_is_its_services_by_all_its_names() {
        let bucket = |name: &str| Some(("s3", Addressed::Bucket(name.to_owned())));
        let prefix = |service, text: &str| Some((service, Addressed::Prefix(text.to_owned())));
        let ec2 = Some(("ec2", Addressed::Service));
        check(
            "vpce-0123456789abcdef0-abcd1234.ec2.us-east-1.vpce.amazonaws.com",
            ec2.clone(),
        );
        check(
            "vpce-0123456789abcdef0-abcd1234-us-east-1a.ec2.us-east-1.vpce.amazonaws.com",
            ec2,
        );
        let s3 = "vpce-0aaaaaaaaaaaaaaa0-abcd1234.s3.us-east-1.vpce.amazonaws.com";
        check(&format!("bucket.{s3}"), Some(("s3", Addressed::Service)));
        check(&format!("my-bucket.bucket.{s3}"), bucket("my-bucket"));
        check(&format!("my.bucket.bucket.{s3}"), bucket("my.bucket"));
        check(
            &format!("my-point-123456789012.accesspoint.{s3}"),
            bucket("arn:aws:s3:us-east-1:123456789012:accesspoint/my-point"),
        );
        check(
            &format!("123456789012.control.{s3}"),
            prefix("s3control", "123456789012."),
        );
        let states = "vpce-0bbbbbbbbbbbbbbb0-abcd1234.states.us-east-1.vpce.amazonaws.com";
        check(states, Some(("stepfunctions", Addressed::Service)));
        check(&format!("sync-{states}"), prefix("stepfunctions", "sync-"));
    }

    #[test]
    fn other_endpoints_and_other_services_names_arent_awss_api() {
        for host in [
            "vpce-0123456789abcdef1-abcd1234.ec2.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcd1234.s3.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcd1234-eu-west-1a.ec2.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0.ec2.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef00-abcd1234.ec2.us-east-1.vpce.amazonaws.com",
            "vpce-svc-0123456789abcdef0.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcd1234.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcd1234.nothing.us-east-1.vpce.amazonaws.com",
            "x.website.vpce-0aaaaaaaaaaaaaaa0-abcd1234.s3.us-east-1.vpce.amazonaws.com",
        ] {
            check(host, None);
        }
    }

    #[test]
    fn what_cant_be_declared_is_said() {
        for bad in [
            "vpce-1",
            "vpce-svc-0123456789abcdef0",
            "0123456789abcdef0",
            "vpce-0123456789ABCDEF0",
        ] {
            let error = VpcEndpoint::new(bad, "ec2").unwrap_err();
            assert_eq!(error, VpcEndpointError::Id(bad.to_owned()));
        }
        let mut catalog = Catalog::embedded().unwrap();
        let one = |service| VpcEndpoint::new("vpce-0123456789abcdef0", service).unwrap();
        let error = catalog.declare(vec![one("ecc2")]).unwrap_err().to_string();
        assert!(error.ends_with("did you mean `ec2`?"), "{error}");
        let error = catalog.declare(vec![one("ec2"), one("ec2")]).unwrap_err();
        assert_eq!(
            error,
            VpcEndpointError::Twice("vpce-0123456789abcdef0".to_owned())
        );
    }
}
