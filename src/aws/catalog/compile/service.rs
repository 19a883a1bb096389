//! One service's model → [`Service`].

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::json::{flag, items, members, owned, text, texts};
use super::members::Members;
use super::rules::{Kind, Rules, RulesError, Source};
use super::wire::Wire;
use super::{CompileError, Data, Notes, conditions, loose, own, resource, tag_reads};
use crate::aws::catalog::model::{
    Checksum, Location, Member, Operation, Protocol, Service, Shape, ShapeId, Signature, Structure,
    TimestampFormat, XmlNamespace, XmlRoot, XmlTraits,
};
use crate::aws::catalog::packed::Packed;
use crate::aws::catalog::routes::Routes;
use crate::aws::catalog::template::Template;
use crate::aws::class::Class;

/// A service's metadata: everything but operations and shapes.
pub(super) fn metadata(id: &str, model: &Value) -> Result<Service, CompileError> {
    let lacks = |what: &str| CompileError::Lacks {
        service: id.to_owned(),
        what: what.to_owned(),
    };
    let data = model.get("metadata").ok_or_else(|| lacks("metadata"))?;
    let need = |key: &str| owned(data, key).ok_or_else(|| lacks(&format!("metadata.{key}")));
    let listed: Vec<&str> = texts(data, "protocols").collect();
    let single: Vec<&str> = text(data, "protocol").into_iter().collect();
    let protocols = if listed.is_empty() { single } else { listed }
        .into_iter()
        .map(|p| {
            protocol(p).ok_or_else(|| CompileError::Odd {
                service: id.to_owned(),
                what: format!("the protocol `{p}` is not known"),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if protocols.is_empty() {
        return Err(lacks("a protocol"));
    }
    let wire = Wire::embedded()?;
    Ok(Service {
        id: id.to_owned(),
        full_name: owned(data, "serviceFullName").unwrap_or_else(|| id.to_owned()),
        signing_name: owned(data, "signingName").map_or_else(|| need("endpointPrefix"), Ok)?,
        signature: match text(data, "signatureVersion") {
            Some("s3" | "s3v4") => Signature::S3v4,
            Some(_) | None => Signature::V4,
        },
        protocols,
        json_version: owned(data, "jsonVersion"),
        target_prefix: owned(data, "targetPrefix"),
        api_version: need("apiVersion")?,
        xml_namespace: owned(data, "xmlNamespace").or_else(|| namespace_of_inputs(model)),
        query_compatible: data.get("awsQueryCompatible").is_some(),
        denied: None,
        bare_errors: wire.is_bare(id),
        url_member: wire.url_member(id),
        headers: wire.headers(id),
        operations: BTreeMap::new(),
        older: Vec::new(),
        shapes: Vec::new(),
        names: BTreeMap::new(),
        routes: Routes::default(),
        reads: BTreeMap::new(),
        types: BTreeMap::new(),
    })
}

/// The namespace of a service whose metadata has none: that of its inputs.
fn namespace_of_inputs(model: &Value) -> Option<String> {
    members(model, "operations").find_map(|(_, operation)| {
        let namespace = operation.get("input")?.get("xmlNamespace")?;
        owned(namespace, "uri")
    })
}

/// The whole service, of a model that isn't today's: it may lack what the rules name.
pub(super) fn compile_older(
    id: &str,
    model: &Value,
    data: &Data,
    notes: &mut Notes,
) -> Result<Service, CompileError> {
    read(id, model, data, resource::Model::Older, notes)
}

/// The whole service.
pub(super) fn compile(
    id: &str,
    model: &Value,
    data: &Data,
    notes: &mut Notes,
) -> Result<Service, CompileError> {
    let is_there = |name: &str| members(model, "operations").any(|(n, _)| n == name);
    data.rules.check_names(id, is_there)?;
    data.places.check_names(id, is_there)?;
    read(id, model, data, resource::Model::Today, notes)
}

fn read(
    id: &str,
    model: &Value,
    data: &Data,
    of: resource::Model,
    notes: &mut Notes,
) -> Result<Service, CompileError> {
    let (rules, places) = (&data.rules, &data.places);
    let mut service = metadata(id, model)?;
    service.denied = Wire::embedded()?.denied(model, &service.protocols);
    let mut shapes = Shapes {
        service: id,
        model,
        ids: HashMap::new(),
        done: Vec::new(),
    };
    let mut described: Vec<(&str, &Value)> = members(model, "operations").collect();
    described.sort_by_key(|(name, _)| *name);
    for (name, description) in described {
        let operation = operation(id, name, description, rules, &mut shapes, notes)?;
        service.operations.insert(name.to_owned(), operation);
    }
    service.shapes = shapes.finish()?;
    let mut operations = std::mem::take(&mut service.operations);
    let looked_for = Members::of(&service, |name| rules.is_looked_for(name));
    for operation in operations.values_mut() {
        conditions::fit(&service, &looked_for, operation, rules);
        if !operation.class.is_guarded() && !operation.is_conditional() {
            continue;
        }
        let mut rule = resource::find(&service, operation, rules, places, of)?;
        if let Some(rule) = &mut rule {
            rule.loose = loose::is_loose(model, &operation.name, &rule.ids);
        }
        operation.resource = rule.map(Box::new);
        let explained = || resource::is_about_account(&service, operation, rules, places);
        if operation.resource.is_none() && !explained() {
            notes.nameless.push(format!("{id}:{}", operation.name));
        }
    }
    service.operations = operations;
    data.types.apply(&mut service);
    service.names = data.names.of(&service);
    (service.reads, service.types) = tag_reads::find(&service, model, rules);
    Ok(service)
}

fn operation(
    service: &str,
    name: &str,
    description: &Value,
    rules: &Rules,
    shapes: &mut Shapes<'_>,
    notes: &mut Notes,
) -> Result<Operation, CompileError> {
    let full = format!("{service}:{name}");
    let http = description.get("http").cloned().unwrap_or(Value::Null);
    let need = |key: &str| {
        owned(&http, key).ok_or_else(|| CompileError::Lacks {
            service: service.to_owned(),
            what: format!("the HTTP {key} of `{name}`"),
        })
    };
    let input_name = description.get("input").and_then(|r| text(r, "shape"));
    let (kind, source) = rules.kind(service, name)?;
    let method = need("method")?;
    if source == Source::Unlisted {
        notes.unlisted.push(full.clone());
    }
    if method == "DELETE" && !kind.class().is_guarded() {
        return Err(RulesError::DeleteUnguarded {
            operation: full,
            kind,
        }
        .into());
    }
    let answers = own::answers(&full, description)?;
    if flag(description, "readonly") && kind != Kind::Class(Class::Read) {
        notes.readonly_but.push((full, kind));
    }
    let output_name = description.get("output").and_then(|r| text(r, "shape"));
    Ok(Operation {
        name: name.to_owned(),
        class: kind.class(),
        group: kind.group(),
        conditions: Vec::new(),
        hands: Vec::new(),
        method,
        uri: Template::parse(&need("requestUri")?),
        success_status: http
            .get("responseCode")
            .and_then(Value::as_u64)
            .and_then(|n| u16::try_from(n).ok()),
        host_prefix: description
            .get("endpoint")
            .and_then(|e| owned(e, "hostPrefix")),
        input: input_name.map(|n| shapes.id(n)).transpose()?,
        output: match kind.class() {
            _ if answers.is_some() => output_name.map(|n| shapes.id(n)).transpose()?,
            Class::Read => output_name.map(|n| shapes.id(n)).transpose()?,
            Class::Write
            | Class::Tag
            | Class::Destroy
            | Class::Disrupt
            | Class::Unprotect
            | Class::Indirect
            | Class::Credentials
            | Class::Grant => None,
        },
        unsigned: text(description, "authtype") == Some("none")
            || texts(description, "auth").any(|a| a == "smithy.api#noAuth"),
        resource: None,
        alias: None,
        errors: items(description, "errors")
            .filter_map(|e| text(e, "shape"))
            .map(|shape| shapes.error_code(shape))
            .collect(),
        deprecated: flag(description, "deprecated"),
        own_host: members(description, "staticContextParams").any(|(_, p)| flag(p, "value")),
        xml_root: description.get("input").and_then(xml_root).map(Box::new),
        checksum: checksum(description).map(Box::new),
        gone: None,
        answers,
    })
}

/// The element around an input's members, which the reference to the input names.
fn xml_root(input: &Value) -> Option<XmlRoot> {
    Some(XmlRoot {
        name: owned(input, "locationName")?,
        namespace: namespace(input),
    })
}

fn namespace(described: &Value) -> Option<XmlNamespace> {
    let namespace = described.get("xmlNamespace")?;
    Some(XmlNamespace {
        prefix: owned(namespace, "prefix"),
        uri: owned(namespace, "uri").or_else(|| namespace.as_str().map(str::to_owned))?,
    })
}

/// What the traits `httpChecksum` and `httpChecksumRequired` say of requests; nothing where they speak of answers only.
fn checksum(description: &Value) -> Option<Checksum> {
    let flexible = description.get("httpChecksum").unwrap_or(&Value::Null);
    let checksum = Checksum {
        required: flag(description, "httpChecksumRequired")
            || flag(flexible, "requestChecksumRequired"),
        algorithm: owned(flexible, "requestAlgorithmMember"),
    };
    (checksum != Checksum::default()).then_some(checksum)
}

/// How a member stands in XML, as it and its shape say; `None` where that is as an element of its name.
fn xml_traits(member: &Value, shape: &Value) -> Option<XmlTraits> {
    let traits = XmlTraits {
        attribute: flag(member, "xmlAttribute"),
        flattened: flag(member, "flattened"),
        namespace: namespace(member).or_else(|| namespace(shape)),
    };
    (traits != XmlTraits::default()).then_some(traits)
}

/// The protocols of a model's metadata that are known.
pub(super) fn protocols(metadata: &Value) -> Vec<Protocol> {
    let listed: Vec<&str> = texts(metadata, "protocols").collect();
    let single = text(metadata, "protocol").into_iter();
    let single = single.filter(|_| listed.is_empty());
    let names = listed.iter().copied().chain(single);
    names.filter_map(protocol).collect()
}

fn protocol(name: &str) -> Option<Protocol> {
    Some(match name {
        "json" => Protocol::AwsJson,
        "rest-json" => Protocol::RestJson,
        "rest-xml" => Protocol::RestXml,
        "query" => Protocol::AwsQuery,
        "ec2" => Protocol::Ec2Query,
        "smithy-rpc-v2-cbor" => Protocol::RpcV2Cbor,
        "smithy-rpc-v2-json" => Protocol::RpcV2Json,
        _ => return None,
    })
}

/// The shapes of a model that are reachable from what was asked for, numbered as they are met.
struct Shapes<'a> {
    service: &'a str,
    model: &'a Value,
    ids: HashMap<&'a str, ShapeId>,
    /// `None` while a shape's own parts are still being numbered: shapes refer to themselves.
    done: Vec<Option<Shape>>,
}

impl<'a> Shapes<'a> {
    fn described(&self, name: &str) -> Option<&'a Value> {
        self.model.get("shapes").and_then(|s| s.get(name))
    }

    fn error_code(&self, name: &str) -> String {
        self.described(name)
            .and_then(|s| s.get("error"))
            .and_then(|e| text(e, "code"))
            .unwrap_or(name)
            .to_owned()
    }

    /// Numbers a shape and all that it is made of. The stack is explicit: models nest deeply.
    fn id(&mut self, name: &str) -> Result<ShapeId, CompileError> {
        let mut waiting = Vec::new();
        let id = self.reserve(name, &mut waiting)?;
        while let Some((id, description)) = waiting.pop() {
            let shape = self.shape(description, &mut waiting)?;
            let slot = usize::try_from(id.0)
                .ok()
                .and_then(|at| self.done.get_mut(at));
            if let Some(slot) = slot {
                *slot = Some(shape);
            }
        }
        Ok(id)
    }

    fn reserve(
        &mut self,
        name: &str,
        waiting: &mut Vec<(ShapeId, &'a Value)>,
    ) -> Result<ShapeId, CompileError> {
        if let Some(id) = self.ids.get(name) {
            return Ok(*id);
        }
        let (key, description) = self
            .model
            .get("shapes")
            .and_then(Value::as_object)
            .and_then(|shapes| shapes.get_key_value(name))
            .ok_or_else(|| self.lacks(&format!("the shape `{name}`")))?;
        let id = u32::try_from(self.done.len())
            .map(ShapeId)
            .map_err(|_| self.odd("it has too many shapes"))?;
        self.ids.insert(key.as_str(), id);
        self.done.push(None);
        waiting.push((id, description));
        Ok(id)
    }

    fn shape(
        &mut self,
        description: &'a Value,
        waiting: &mut Vec<(ShapeId, &'a Value)>,
    ) -> Result<Shape, CompileError> {
        Ok(match text(description, "type").unwrap_or("") {
            "structure" if flag(description, "document") => Shape::Document,
            "structure" => Shape::Structure(self.structure(description, waiting)?),
            "list" => Shape::List {
                member: self.part(description, "member", waiting)?,
                location_name: description
                    .get("member")
                    .and_then(|m| owned(m, "locationName").or_else(|| self.element_name(m))),
                flattened: flag(description, "flattened"),
                sparse: flag(description, "sparse"),
                min: description.get("min").and_then(Value::as_u64),
                max: description.get("max").and_then(Value::as_u64),
            },
            "map" => Shape::Map {
                value: self.part(description, "value", waiting)?,
                key_name: description
                    .get("key")
                    .and_then(|m| owned(m, "locationName")),
                value_name: description
                    .get("value")
                    .and_then(|m| owned(m, "locationName")),
                flattened: flag(description, "flattened"),
                sparse: flag(description, "sparse"),
            },
            "string" | "character" => Shape::String {
                values: texts(description, "enum").map(str::to_owned).collect(),
                sensitive: flag(description, "sensitive"),
            },
            "blob" => Shape::Blob,
            "boolean" => Shape::Boolean,
            "byte" | "short" | "integer" => Shape::Integer,
            "long" => Shape::Long,
            "float" | "double" => Shape::Float,
            "timestamp" => Shape::Timestamp {
                format: self.timestamp(description)?,
            },
            other => return Err(self.odd(&format!("the type `{other}` is not known"))),
        })
    }

    fn part(
        &mut self,
        description: &'a Value,
        key: &str,
        waiting: &mut Vec<(ShapeId, &'a Value)>,
    ) -> Result<ShapeId, CompileError> {
        let name = description
            .get(key)
            .and_then(|r| text(r, "shape"))
            .ok_or_else(|| self.lacks(&format!("the {key} of a shape")))?;
        self.reserve(name, waiting)
    }

    fn structure(
        &mut self,
        description: &'a Value,
        waiting: &mut Vec<(ShapeId, &'a Value)>,
    ) -> Result<Structure, CompileError> {
        let required: Vec<&str> = texts(description, "required").collect();
        let listed = members(description, "members")
            .map(|(name, member)| {
                let shape = text(member, "shape")
                    .ok_or_else(|| self.lacks(&format!("the shape of `{name}`")))?;
                let of_shape = self.described(shape).cloned().unwrap_or(Value::Null);
                Ok(Member {
                    name: name.to_owned(),
                    location_name: owned(member, "locationName")
                        .or_else(|| owned(&of_shape, "locationName"))
                        .filter(|n| n != name),
                    location: self.location(member)?,
                    shape: self.reserve(shape, waiting)?,
                    required: required.contains(&name),
                    sensitive: flag(member, "sensitive") || flag(&of_shape, "sensitive"),
                    idempotency_token: flag(member, "idempotencyToken"),
                    query_name: owned(member, "queryName"),
                    host_label: flag(member, "hostLabel"),
                    timestamp: self.timestamp(member)?,
                    json_value: flag(member, "jsonvalue"),
                    xml: xml_traits(member, &of_shape).map(Box::new),
                })
            })
            .collect::<Result<_, CompileError>>()?;
        Ok(Structure {
            members: listed,
            union: flag(description, "union"),
            payload: owned(description, "payload"),
            sensitive: flag(description, "sensitive"),
            event_stream: flag(description, "eventstream"),
        })
    }

    /// The name that the shape of an item gives its elements.
    fn element_name(&self, item: &Value) -> Option<String> {
        owned(self.described(text(item, "shape")?)?, "locationName")
    }

    fn location(&self, member: &Value) -> Result<Location, CompileError> {
        Ok(match text(member, "location") {
            None => Location::Body,
            Some("uri") => Location::Label,
            Some("querystring") => Location::Query,
            Some("header") => Location::Header,
            Some("headers") => Location::Headers,
            Some("statusCode") => Location::Status,
            Some(other) => return Err(self.odd(&format!("the location `{other}` is not known"))),
        })
    }

    fn timestamp(&self, described: &Value) -> Result<Option<TimestampFormat>, CompileError> {
        Ok(match text(described, "timestampFormat") {
            None => None,
            Some("iso8601") => Some(TimestampFormat::DateTime),
            Some("unixTimestamp") => Some(TimestampFormat::EpochSeconds),
            Some("rfc822") => Some(TimestampFormat::HttpDate),
            Some(other) => {
                return Err(self.odd(&format!("the timestamp format `{other}` is not known")));
            }
        })
    }

    fn finish(self) -> Result<Vec<Packed<Shape>>, CompileError> {
        let lacks = self.lacks("a shape that was referred to");
        self.done
            .into_iter()
            .map(|shape| shape.map(Packed::from))
            .collect::<Option<Vec<_>>>()
            .ok_or(lacks)
    }

    fn lacks(&self, what: &str) -> CompileError {
        CompileError::Lacks {
            service: self.service.to_owned(),
            what: what.to_owned(),
        }
    }

    fn odd(&self, what: &str) -> CompileError {
        CompileError::Odd {
            service: self.service.to_owned(),
            what: what.to_owned(),
        }
    }
}
