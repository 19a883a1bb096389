//! How the form protocols name members and items: awsQuery and ec2Query write the same tree under other names.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>,
//! <https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html>

use std::borrow::Cow;

use crate::aws::catalog::model::{Member, Protocol, Service, Shape};

/// One of the form protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    AwsQuery,
    Ec2Query,
}

impl Dialect {
    /// The dialect of a protocol; `None` for those without forms.
    pub(super) const fn of(protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::AwsQuery => Some(Dialect::AwsQuery),
            Protocol::Ec2Query => Some(Dialect::Ec2Query),
            Protocol::AwsJson
            | Protocol::RestJson
            | Protocol::RestXml
            | Protocol::RpcV2Cbor
            | Protocol::RpcV2Json => None,
        }
    }

    /// The first of a service's own form protocols.
    pub(super) fn spoken(service: &Service) -> Option<Self> {
        service.protocols.iter().find_map(|p| Self::of(*p))
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Dialect::AwsQuery => Protocol::AwsQuery,
            Dialect::Ec2Query => Protocol::Ec2Query,
        }
    }

    /// A member's name in a form. In awsQuery a flattened list goes by the name of its items, where they have one; in
    /// ec2Query the wire name begins with a capital.
    pub(super) fn member<'m>(self, service: &'m Service, member: &'m Member) -> Cow<'m, str> {
        if let Some(name) = &member.query_name {
            return Cow::Borrowed(name);
        }
        match (self, service.shape(member.shape), &member.location_name) {
            (
                Dialect::AwsQuery,
                Some(Shape::List {
                    flattened: true,
                    location_name: Some(name),
                    ..
                }),
                _,
            ) => Cow::Borrowed(name),
            (Dialect::AwsQuery, _, _) => Cow::Borrowed(member.wire_name()),
            (Dialect::Ec2Query, _, Some(name)) => capitalised(name),
            (Dialect::Ec2Query, _, None) => Cow::Borrowed(&member.name),
        }
    }

    /// Whether a member goes by that name in a form.
    pub(super) fn names(self, service: &Service, member: &Member, name: &str) -> bool {
        // Of the hundreds of members that a form is held against, most differ already in their second letter.
        let tail = |text: &str| text.as_bytes().get(1).copied();
        let own = match (&member.query_name, &member.location_name) {
            (Some(own), _) | (None, Some(own)) => own,
            (None, None) => &member.name,
        };
        (self == Dialect::AwsQuery || tail(own) == tail(name))
            && self.member(service, member) == name
    }

    /// What stands between the name of a list or map and the number of an item; `None` where nothing does.
    pub(super) fn item(self, shape: &Shape) -> Option<&str> {
        match (self, shape) {
            (Dialect::Ec2Query, Shape::List { .. })
            | (
                _,
                Shape::List {
                    flattened: true, ..
                }
                | Shape::Map {
                    flattened: true, ..
                },
            ) => None,
            (Dialect::AwsQuery, Shape::List { location_name, .. }) => {
                Some(location_name.as_deref().unwrap_or("member"))
            }
            (_, Shape::Map { .. }) => Some("entry"),
            (
                _,
                Shape::Structure(_)
                | Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
            ) => None,
        }
    }

    /// Whether an empty list is written, as its name without a value; else a form can't carry one.
    pub(super) const fn writes_empty_lists(self) -> bool {
        match self {
            Dialect::AwsQuery => true,
            Dialect::Ec2Query => false,
        }
    }
}

fn capitalised(name: &str) -> Cow<'_, str> {
    let mut rest = name.chars();
    match rest.next() {
        Some(first) if first.is_ascii_lowercase() => {
            Cow::Owned(format!("{}{}", first.to_ascii_uppercase(), rest.as_str()))
        }
        Some(_) | None => Cow::Borrowed(name),
    }
}
