mod resources;

use super::*;
use crate::aws::catalog::index::RegionSet;
use crate::aws::catalog::model::Answers;
use crate::aws::endpoint::{Addressed, Endpoint};

fn catalog() -> &'static Catalog {
    static CATALOG: std::sync::LazyLock<Catalog> =
        std::sync::LazyLock::new(|| Catalog::embedded().unwrap());
    &CATALOG
}

fn endpoint(host: &str) -> Endpoint {
    match catalog().resolve(&Host::parse(host).unwrap()) {
        Resolved::Api(endpoint) => endpoint,
        other @ (Resolved::Unmodelled | Resolved::Foreign) => panic!("{host}: {other:?}"),
    }
}

#[test]
fn the_embedded_catalog_holds_all_of_aws() {
    let catalog = catalog();
    assert!(catalog.service_ids().count() > 400);
    assert!(catalog.service_ids().eq(catalog.known_ids()));
    let operations: usize = catalog.outlines().map(|(_, o)| o.names().count()).sum();
    assert!(operations > 19_000, "{operations}");
}

#[test]
fn the_outlines_say_what_the_services_do() {
    let catalog = few::few(&few::REVIEWED);
    for (id, outline) in catalog.outlines() {
        let service = catalog.service(id).unwrap().unwrap();
        assert!(outline.names().eq(service.operations.keys()));
        for operation in service.operations.values() {
            let brief = outline.operation(&operation.name).unwrap();
            assert_eq!(
                (brief.class, brief.group),
                (operation.class, operation.group)
            );
            let input = service
                .input(operation)
                .filter(|_| operation.may_be_guarded());
            let members = input.iter().flat_map(|input| &input.members);
            assert!(
                brief
                    .members()
                    .map(|(name, _)| name)
                    .eq(members.map(|m| m.name.as_str()))
            );
            let first = outline.firsts().find(|f| f.kind == brief.kind);
            assert!(first.is_some_and(|first| first.name <= brief.name));
        }
    }
}

#[test]
fn members_of_one_name_are_told_apart_by_their_types() {
    let word = |action: &str, member: &str| {
        let (service, operation) = action.split_once(':').unwrap();
        let brief = catalog()
            .outline(service)
            .unwrap()
            .operation(operation)
            .unwrap();
        brief.members().find(|(name, _)| *name == member).unwrap().1
    };
    let volume = word("ec2:DeleteVolume", "DryRun");
    assert_eq!(volume, word("ec2:TerminateInstances", "DryRun"));
    assert_eq!(
        volume,
        word("kms:ScheduleKeyDeletion", "KeyId").replace("KeyId", "DryRun")
    );
    let one = word("workspaces:CreateTags", "Tags");
    assert_ne!(one, word("ec2:CreateTags", "Resources"));
    assert_ne!(one, word("lambda:TagResource", "Tags"));
}

#[test]
fn asking_what_an_operation_is_decodes_nothing() {
    let catalog = Catalog::embedded().unwrap();
    for id in catalog.service_ids() {
        let outline = catalog.outline(id).unwrap();
        assert!(outline.firsts().count() > 0, "{id}");
    }
    assert_eq!(catalog.decoded(), 0);
    assert!(catalog.outline("ec3").is_none());
    catalog.service("ec2").unwrap();
    assert_eq!(catalog.decoded(), 1);
}

#[test]
fn a_service_without_operations_is_known_with_its_protocols() {
    let catalog = few::few(&["sts"]);
    let ec2 = catalog.service("ec2").unwrap().unwrap();
    assert!(ec2.operations.is_empty() && catalog.outline("ec2").is_none());
    assert_eq!(ec2.protocols, [Protocol::Ec2Query]);
    let found = catalog.resolve(&Host::parse("ec2.us-east-1.amazonaws.com").unwrap());
    assert!(matches!(found, Resolved::Api(endpoint) if endpoint.services == ["ec2"]));
    assert!(catalog.service("ec3").unwrap().is_none());
    assert!(!catalog.is_embedded() && Catalog::embedded().unwrap().is_embedded());
}

#[test]
fn a_service_is_decoded_once() {
    let catalog = catalog();
    let first = catalog.service("mgn").unwrap().unwrap();
    let second = catalog.service("mgn").unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &second));
}

#[test]
fn damage_anywhere_is_an_error() {
    let whole = EMBEDDED.to_vec();
    assert_eq!(
        Catalog::from_bytes(b"palisade".to_vec()).unwrap_err(),
        CatalogError::NotACatalog
    );
    let mut newer = whole.clone();
    newer[9] = 99;
    assert_eq!(
        Catalog::from_bytes(newer).unwrap_err(),
        CatalogError::Format { found: 99 }
    );
    for cut in [10, 60, whole.len() - 1] {
        assert!(Catalog::from_bytes(whole[..cut].to_vec()).is_err(), "{cut}");
    }
    for flipped in [20, 60, 5000] {
        let mut bytes = whole.clone();
        bytes[flipped] ^= 1;
        assert!(Catalog::from_bytes(bytes).is_err(), "{flipped}");
    }
}

#[test]
fn a_damaged_service_is_an_error_when_asked_for() {
    let mut bytes = EMBEDDED.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let catalog = Catalog::from_bytes(bytes).unwrap();
    let damaged = |id: &str| catalog.service(id).is_err();
    assert!(damaged("xray"));
    assert!(!damaged("evs"));
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_unpacked() {
    let mut bytes = EMBEDDED.to_vec();
    bytes[14..18].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(
        Catalog::from_bytes(bytes),
        Err(CatalogError::Damaged { .. })
    ));
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let bytes = few::bytes(&few::REVIEWED);
    assert_eq!(few::bytes(&few::REVIEWED), bytes);
    let (index, at) = file::read_index(&bytes).unwrap();
    let services: Vec<Service> = index
        .services
        .iter()
        .filter_map(|e| Some((e.blob.as_ref()?, &e.id)))
        .map(|(blob, id)| file::read_service(&bytes, at, blob, id).unwrap())
        .collect();
    assert_eq!(file::write(index, &services).unwrap(), bytes);
}

#[test]
fn every_host_of_the_embedded_services_resolves_to_where_it_came_from() {
    let catalog = catalog();
    let cases = include_str!("../../../tests/cases/hosts/modelled.tsv");
    let mut checked = 0;
    for line in cases.lines().filter(|l| !l.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [host, service, partition, region, variant] = fields[..] else {
            panic!("{line}");
        };
        let Resolved::Api(found) = catalog.resolve(&Host::parse(host).unwrap()) else {
            panic!("{host} is not resolved");
        };
        let is = |flag: &str| variant.split('+').any(|v| v == flag);
        let expected = Endpoint {
            host: Host::parse(host).unwrap(),
            services: vec![service.to_owned()],
            partition: partition.to_owned(),
            region: region.to_owned(),
            fips: is("fips"),
            dualstack: is("dualstack"),
            any_region: false,
            signing_name: None,
            region_set: RegionSet::Never,
            addressed: Addressed::Service,
            route: None,
        };
        assert_eq!(found, expected);
        checked += 1;
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn hosts_with_more_than_a_service_and_a_region_resolve() {
    for (host, service, region) in [
        ("sts.amazonaws.com", "sts", "us-east-1"),
        ("sts.ap-new-7.amazonaws.com", "sts", "ap-new-7"),
        ("bucket.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("us-west-2.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1"),
        ("a.b.c.s3.amazonaws.com", "s3", "us-east-1"),
        ("us-west-2.s3.amazonaws.com", "s3", "us-east-1"),
        ("bucket.s3-external-1.amazonaws.com", "s3", "us-east-1"),
        (
            "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
            "s3",
            "us-east-1",
        ),
        (
            "123456789012.s3-control.us-east-1.amazonaws.com",
            "s3control",
            "us-east-1",
        ),
        (
            "123456789012.ddb.us-east-1.amazonaws.com",
            "dynamodb",
            "us-east-1",
        ),
        (
            "sync-states.us-east-1.amazonaws.com",
            "stepfunctions",
            "us-east-1",
        ),
        (
            "g-0123456789.neptune-graph.us-east-1.on.aws",
            "neptune-graph",
            "us-east-1",
        ),
        ("us-east-1.signin.aws.amazon.com", "signin", "us-east-1"),
        ("iam.amazonaws.com", "iam", "us-east-1"),
    ] {
        let found = endpoint(host);
        assert!(
            found.services.iter().any(|s| s == service) && found.region == region,
            "{found:?}"
        );
    }
}

#[test]
fn a_shared_host_names_all_its_services() {
    let found = endpoint("elasticloadbalancing.eu-west-1.amazonaws.com");
    assert_eq!(found.services, ["elb", "elbv2"]);
}

#[test]
fn names_of_awss_without_a_model_stay_awss() {
    for host in [
        "amazonaws.com",
        "api.aws",
        "notaws.on.aws",
        "on.aws",
        "abc.lambda-url.us-east-1.on.aws",
        "abc.execute-api.us-east-1.amazonaws.com",
        "ec2-1-2-3-4.compute-1.amazonaws.com",
        "x.ec2.us-east-1.amazonaws.com",
        "vpce-0a-b.ec2.us-east-1.vpce.amazonaws.com",
        "bucket.vpce-0a-b.s3.us-east-1.vpce.amazonaws.com",
        "ec2.cn-north-1.amazonaws.com",
        "ec2.us-east-1.amazonaws.com.cn",
        "ec2.nowhere.amazonaws.com",
        "nosuchservice.us-east-1.amazonaws.com",
        "0123.gr7.us-east-1.eks.amazonaws.com",
        "us-east-1.amazonaws.com",
        "anything.c2s.ic.gov",
        "signin.aws.amazon.com.eu-west-1.api.aws",
    ] {
        let found = catalog().resolve(&Host::parse(host).unwrap());
        assert_eq!(found, Resolved::Unmodelled, "{host}");
    }
}

#[test]
fn what_only_looks_like_awss_is_somebody_elses() {
    for host in [
        "amazonaws.com.evil.example",
        "sts.amazonaws.com.evil.example",
        "evilamazonaws.com",
        "sts.us-east-1.evilamazonaws.com",
        "sts-amazonaws.com",
        "amazonaws.co",
        "amazonaws.org",
        "aws",
        "api.aws.example",
        "evilon.aws",
        "aws.amazon.com",
        "console.aws.amazon.com.example",
        "sts.us-east-1.amazonaws.com.cn.example",
        "ic.gov",
        "localhost",
        "127.0.0.1",
        "169.254.169.254",
        "::1",
    ] {
        let found = catalog().resolve(&Host::parse(host).unwrap());
        assert_eq!(found, Resolved::Foreign, "{host}");
    }
}

#[test]
fn suffixes_are_those_of_the_partitions_and_awss_others() {
    let catalog = catalog();
    let suffixes: Vec<&str> = catalog.dns_suffixes().collect();
    for suffix in [
        "amazonaws.com",
        "api.aws",
        "amazonaws.com.cn",
        "amazonaws.eu",
        "sc2s.sgov.gov",
        "on.aws",
        "signin.aws.amazon.com",
    ] {
        assert_eq!(suffixes.iter().filter(|s| **s == suffix).count(), 1);
    }
    assert_eq!(suffixes.len(), 17);
}

/// Holds the embedded classes against a reviewed list, operation by operation.
fn check_classes(service: &str, reviewed: &str) {
    let reviewed: std::collections::BTreeMap<String, Vec<String>> =
        toml::from_str(reviewed).unwrap();
    let mut expected: Vec<(String, String)> = reviewed
        .into_iter()
        .flat_map(|(kind, names)| names.into_iter().map(move |n| (n, kind.clone())))
        .collect();
    expected.sort();
    let service = catalog().service(service).unwrap().unwrap();
    let found: Vec<(String, String)> = service
        .operations
        .values()
        .map(|o| {
            let kind = o
                .group
                .map_or_else(|| o.class.to_string(), |g| g.to_string());
            (o.name.clone(), kind)
        })
        .collect();
    assert_eq!(found, expected, "{}", service.id);
}

#[test]
fn classes_are_the_reviewed_ones() {
    for (service, reviewed) in [
        (
            "workspaces",
            include_str!("../../../tests/cases/classes/workspaces.toml"),
        ),
        (
            "workspaces-instances",
            include_str!("../../../tests/cases/classes/workspaces-instances.toml"),
        ),
        (
            "servicecatalog",
            include_str!("../../../tests/cases/classes/servicecatalog.toml"),
        ),
        ("mgn", include_str!("../../../tests/cases/classes/mgn.toml")),
        ("evs", include_str!("../../../tests/cases/classes/evs.toml")),
        ("sts", include_str!("../../../tests/cases/classes/sts.toml")),
    ] {
        check_classes(service, reviewed);
    }
}

#[test]
fn resources_are_found_where_they_were_reviewed() {
    let cases = include_str!("../../../tests/cases/resources/embedded.tsv");
    let expected: Vec<&str> = cases.lines().filter(|l| !l.starts_with('#')).collect();
    let catalog = catalog();
    let mut found = Vec::new();
    for id in few::REVIEWED {
        for operation in catalog.service(id).unwrap().unwrap().operations.values() {
            if !operation.class.is_guarded() {
                assert_eq!(operation.resource, None, "{id}:{}", operation.name);
                continue;
            }
            let path = operation.resource.as_ref().map_or_else(
                || "none".to_owned(),
                |rule| {
                    let mut ids = vec![rule.ids.clone()];
                    ids.extend(rule.or.clone());
                    let parents = rule.parents.iter().map(|parent| parent.id.clone());
                    let mut path: Vec<String> = parents.collect();
                    path.push(ids.join(" or "));
                    path.join(" / ")
                },
            );
            found.push(format!("{id}:{}\t{path}", operation.name));
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn outputs_are_kept_for_reads_and_for_what_the_guard_answers() {
    let catalog = catalog();
    for id in few::REVIEWED {
        for operation in catalog.service(id).unwrap().unwrap().operations.values() {
            let read = operation.class == crate::aws::class::Class::Read;
            let kept = read || operation.answers.is_some();
            assert_eq!(operation.output.is_some(), kept, "{}", operation.name);
        }
    }
}

#[test]
fn the_guard_answers_these_and_no_others() {
    let catalog = Catalog::embedded().unwrap();
    let mut found = Vec::new();
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        let answered = service.operations.values().filter(|o| o.answers.is_some());
        found.extend(answered.map(|o| (format!("{id}:{}", o.name), o.answers.unwrap())));
        for form in &service.older {
            let name = &form.operation.name;
            assert_eq!(form.operation.answers, service.operations[name].answers);
        }
    }
    let expected = [
        ("eks:GetToken", Answers::EksToken),
        ("palisade:PresignUrl", Answers::PresignedUrl),
        ("rds:GenerateDBAuthToken", Answers::RdsToken),
        ("sts:AssumeRole", Answers::Session),
    ];
    assert_eq!(
        found,
        expected.map(|(name, answers)| (name.to_owned(), answers))
    );
}
