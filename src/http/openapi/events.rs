//! How events look on the wire: one schema for each type, and one for any of them.

use std::borrow::Cow;

use utoipa::openapi::schema::{Discriminator, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::domain::Environment;
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, ReplayId};
use crate::domain::instant::Instant;
use crate::events::{Envelope, data, example};

/// What a type's schema is called: `OrderAcceptedEvent`.
pub fn name(kind: EventKind) -> String {
    let words = kind.as_str().split(['.', '_']);
    let mut name: String = words
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect();
    name.push_str("Event");
    name
}

impl PartialSchema for Envelope {
    fn schema() -> RefOr<Schema> {
        let mapping = EventKind::ALL.iter().map(|kind| {
            (
                kind.to_string(),
                format!("#/components/schemas/{}", name(*kind)),
            )
        });
        let each = EventKind::ALL.iter().copied().map(name);
        each.fold(OneOfBuilder::new(), |all, name| {
            all.item(Ref::from_schema_name(name))
        })
        .description(Some("An event, as it is listed and delivered."))
        .discriminator(Some(Discriminator::with_mapping("type", mapping)))
        .into()
    }
}

impl ToSchema for Envelope {
    fn name() -> Cow<'static, str> {
        "Event".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((EventId::name().into(), EventId::schema()));
        schemas.push((ReplayId::name().into(), ReplayId::schema()));
        schemas.push((Instant::name().into(), Instant::schema()));
        schemas.push((Environment::name().into(), Environment::schema()));
        for kind in EventKind::ALL.iter().copied() {
            data::schemas(kind, schemas);
            let (of_data, about) = data::schema(kind);
            schemas.push((name(kind), event(kind, &of_data)));
            schemas.push((of_data, with_mark(about)));
        }
    }
}

/// One type of event.
fn event(kind: EventKind, data: &str) -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let seq = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .description(Some(
            "Counted from 1 for the partner and environment, without gaps; a restore from a backup passes numbers over.",
        ));
    let replay = ObjectBuilder::new()
        .property("id", Ref::from_schema_name(ReplayId::name()))
        .required("id")
        .description(Some("The replay that sent it again; otherwise absent."));
    ObjectBuilder::new()
        .property("id", Ref::from_schema_name(EventId::name()))
        .property("type", text().enum_values(Some([kind.as_str()])))
        .property("seq", seq)
        .property("created_at", Ref::from_schema_name(Instant::name()))
        .property("env", Ref::from_schema_name(Environment::name()))
        .property("data", Ref::from_schema_name(data))
        .property("replay", replay)
        .required("id")
        .required("type")
        .required("seq")
        .required("created_at")
        .required("env")
        .required("data")
        .into()
}

/// Data may say that nothing caused the event.
fn with_mark(data: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = data else {
        return data;
    };
    let mark = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .enum_values(Some([true]))
        .description(Some(
            "Somebody asked for this event in the sandbox: nothing caused it. Otherwise absent.",
        ))
        .build();
    object
        .properties
        .insert(example::MARK.to_owned(), RefOr::T(mark.into()));
    RefOr::T(Schema::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_gives_its_schema_a_name() {
        assert_eq!(name(EventKind::OrderAccepted), "OrderAcceptedEvent");
        assert_eq!(
            name(EventKind::UsageThresholdReached),
            "UsageThresholdReachedEvent"
        );
    }
}
