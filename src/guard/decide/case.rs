//! A question in Cedar's terms: who asks for what, in which context, and every entity that a policy can look at.
//!
//! INVARIANT: an entity is given with all of its ancestors. None of the ancestors (groups, parents, service, account) is
//! itself among the entities, so that there is nothing beyond them that Cedar would have to find.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::{Context, Entity, EntityUID, EntityUIDEntry, Request, Value};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;

use super::constants::Constants;
use super::context::context;
use super::{Denial, Question, Resource, is_of, values};
use crate::guard::entity::{ACCOUNT, CALLER, GROUP, RESOURCE, SERVICE, uid};
use crate::guard::facts::{Attribute, AttributeType};
use crate::guard::policies::Slice;

/// The part of a question that is the same for each of its resources, in Cedar's terms.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) principal: Arc<EntityUID>,
    pub(super) action: Arc<EntityUID>,
    pub(super) context: Context,
    /// Action, caller and the string maps that the context refers to.
    pub(super) entities: Entities,
}

/// A question whose resources are yet to be put in Cedar's terms, one after the other.
pub(super) struct Case<'q> {
    slice: &'q Slice,
    question: &'q Question,
    ground: &'q Ground,
    service: EntityUID,
}

/// What Cedar is asked about one resource. The entities are all there.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) entities: Entities,
}

impl Ground {
    /// `constants`: those of the conditions that will be asked.
    pub(super) fn of(
        slice: &Slice,
        question: &Question,
        constants: &Constants,
    ) -> Result<Self, Denial> {
        let call = &question.call;
        is_of(slice, call)?;
        let principal = uid(&CALLER, &call.caller.name);
        let groups = call.caller.groups.iter().map(|g| uid(&GROUP, g)).collect();
        let name = [("name", Value::from(call.caller.name.as_str()))];
        let caller = values::entity(principal.clone(), name, groups, []);
        let mut entities = vec![Arc::clone(&slice.entity), Arc::new(caller)];
        let context = context(slice, question, constants, &mut entities)?;
        Ok(Self {
            principal: Arc::new(principal),
            action: Arc::clone(&slice.uid),
            context,
            entities: with(Entities::new(), entities).map_err(unjudgeable)?,
        })
    }
}

impl<'q> Case<'q> {
    /// `ground`: of that very question to that slice.
    pub(super) fn on_ground(slice: &'q Slice, question: &'q Question, ground: &'q Ground) -> Self {
        Self {
            slice,
            question,
            ground,
            service: uid(&SERVICE, &question.call.action.service),
        }
    }

    /// What is asked about an entity of [`Self::of_service`] or [`Self::resource`].
    pub(super) fn on(&self, entity: Entity) -> Result<Asked, Denial> {
        let known = |uid: &Arc<EntityUID>| EntityUIDEntry::Known {
            euid: Arc::clone(uid),
            loc: None,
        };
        let resource = Arc::new(entity.uid().clone());
        let request = Request::new_unchecked(
            known(&self.ground.principal),
            known(&self.ground.action),
            known(&resource),
            Some(self.ground.context.clone()),
        );
        let entities = self.ground.entities.clone();
        let entities = with(entities, [Arc::new(entity)]).map_err(unjudgeable)?;
        Ok(Asked { request, entities })
    }

    /// The service's entity, for what is judged on that.
    pub(super) fn of_service(&self) -> Entity {
        Entity::with_uid(self.service.clone())
    }

    /// The entity of a resource: the attributes and tags that some policy of the slice reads, its ancestors.
    pub(super) fn resource(&self, resource: &Resource) -> Result<Entity, String> {
        let reads = &self.slice.reads;
        let call = &self.question.call;
        let mut attributes = Vec::new();
        let mut put = |name: &'static str, value: &dyn Fn() -> Value| {
            if reads.resource.contains(name) {
                attributes.push((name, value()));
            }
        };
        put("id", &|| resource.id().into());
        put("type", &|| resource.target.kind.as_str().into());
        put("service", &|| call.action.service.as_str().into());
        put("region", &|| call.region.as_str().into());
        put("account", &|| resource.account.as_str().into());
        put("protected", &|| resource.protected.into());
        for (attribute, value) in &resource.facts.attributes {
            if reads.resource.contains(attribute.as_str()) {
                attributes.push((attribute.as_str(), typed(*attribute, value)?));
            }
        }
        let uid_of = |id: &str| uid(&RESOURCE, id);
        let parents = resource.parent_ids();
        let parents = parents.iter().map(|id| uid_of(id));
        let above = [self.service.clone(), uid(&ACCOUNT, &resource.account)];
        let ancestors: HashSet<EntityUID> = parents.chain(above).collect();
        let own = uid_of(&resource.entity_id());
        if ancestors.contains(&own) {
            return Err(format!("`{own}` can't be its own parent"));
        }
        let tags = resource.facts.tags.iter().flatten();
        let tags = tags.filter(|(key, _)| reads.tags.contains(key));
        let tags = tags.map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(values::entity(own, attributes, ancestors, tags))
    }
}

/// Adds entities, none of which differs from one of its name.
fn with(
    entities: Entities,
    more: impl IntoIterator<Item = Arc<Entity>>,
) -> Result<Entities, String> {
    let closed = TCComputation::AssumeAlreadyComputed;
    let extensions = Extensions::all_available();
    let all = entities.add_entities(more, None::<&NoEntitiesSchema>, closed, extensions);
    all.map_err(|e| e.to_string())
}

/// An attribute as the schema types it: what has another type compares unequal without an error.
fn typed(attribute: Attribute, value: &str) -> Result<Value, String> {
    let ill_typed = || format!("`{attribute}` can't be `{value}`");
    Ok(match attribute.kind() {
        AttributeType::Text => value.into(),
        AttributeType::Time => values::datetime(value)?,
        AttributeType::Flag => Value::from(value.parse::<bool>().map_err(|_| ill_typed())?),
        AttributeType::Count => Value::from(value.parse::<i64>().map_err(|_| ill_typed())?),
    })
}

fn unjudgeable(message: String) -> Denial {
    Denial::Unjudgeable { message }
}
