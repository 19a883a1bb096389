//! VPC endpoints: names that lead to an API only because the configuration says whose they are.
//!
//! `vpce-0123-abcd.ec2.us-east-1.vpce.amazonaws.com` is read as `ec2.us-east-1.amazonaws.com`, for an id that was declared. What stands
//! before the id is what would stand before the host, and for S3 says which of its hosts it is.

use std::collections::BTreeMap;

use crate::aws::host::Host;

/// A VPC endpoint that the configuration declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcEndpoint {
    /// `vpce-0123456789abcdef0`.
    pub id: String,
    /// The service behind it, as botocore names it.
    pub service: String,
}

/// Why a VPC endpoint can't be declared so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VpcEndpointError {
    #[error(
        "`{0}` is not the id of a VPC endpoint: one is `vpce-` and 8 to 17 hexadecimal digits, as `aws ec2 describe-vpc-endpoints` lists it"
    )]
    Id(String),
    #[error("the VPC endpoint `{0}` is declared twice")]
    Twice(String),
    #[error("the VPC endpoint `{id}` is of `{service}`, which AWS doesn't have{}", near(.nearest.as_deref()))]
    Service {
        id: String,
        service: String,
        nearest: Option<String>,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!("; did you mean `{n}`?"))
}

impl VpcEndpoint {
    /// Checks the id's form.
    ///
    /// # Errors
    /// [`VpcEndpointError::Id`].
    pub fn new(id: &str, service: &str) -> Result<Self, VpcEndpointError> {
        let digits = id.strip_prefix("vpce-").filter(|d| {
            (8..=17).contains(&d.len()) && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if digits.is_none() {
            return Err(VpcEndpointError::Id(id.to_owned()));
        }
        Ok(Self {
            id: id.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// A name of a VPC endpoint, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) declared: &'a VpcEndpoint,
    /// The public name of the service behind it: `s3.us-east-1.amazonaws.com`.
    pub(super) base: Host,
    /// The public name that the request would have gone to: `bucket.s3.us-east-1.amazonaws.com`.
    pub(super) public: Host,
}

/// Reads a host whose partition's `suffix` is known. `None` for what isn't a declared endpoint's name.
pub(super) fn read<'a>(
    host: &Host,
    suffix: &str,
    declared: &'a [VpcEndpoint],
    labels: &BTreeMap<String, BTreeMap<String, String>>,
) -> Option<Named<'a>> {
    let stem = host.as_str().strip_suffix(suffix)?.strip_suffix(".vpce.")?;
    let all: Vec<&str> = stem.split('.').collect();
    let at = all.iter().rposition(|l| l.contains("vpce-"))?;
    let (before, name) = (all.get(..at)?, all.get(at + 1..)?);
    let [.., region] = name else {
        return None;
    };
    let (glued, id) = all.get(at)?.split_once("vpce-")?;
    let declared = declared.iter().find(|d| {
        let digits = d.id.strip_prefix("vpce-").unwrap_or(&d.id);
        id.strip_prefix(digits)
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| is_tail(rest, region))
    })?;
    let name = name.join(".");
    let base = Host::parse(&format!("{name}.{suffix}")).ok()?;
    let sub = labels.get(&declared.service);
    let public = match (before, sub) {
        ([front @ .., last], Some(labels)) if glued.is_empty() => {
            let label = labels.get(*last)?;
            let (_, rest) = name.split_once('.')?;
            let front: String = front.iter().map(|l| format!("{l}.")).collect();
            format!("{front}{label}.{rest}.{suffix}")
        }
        (before, _) => {
            let before: String = before.iter().map(|l| format!("{l}.")).collect();
            format!("{before}{glued}{name}.{suffix}")
        }
    };
    Some(Named {
        declared,
        base,
        public: Host::parse(&public).ok()?,
    })
}

/// What follows an endpoint's id: eight letters and digits, and for one zone's name that zone, `abcd1234-us-east-1a`.
fn is_tail(rest: &str, region: &str) -> bool {
    let (own, zone) = rest
        .split_once('-')
        .map_or((rest, None), |(o, z)| (o, Some(z)));
    let in_region = |zone: &str| {
        let place = zone.strip_prefix(region);
        place.is_some_and(|p| {
            !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    };
    !own.is_empty() && own.bytes().all(|b| b.is_ascii_alphanumeric()) && zone.is_none_or(in_region)
}
