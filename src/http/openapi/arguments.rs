//! What a handler's arguments mean for callers, told once for all handlers that take them.

use actix_web::{HttpRequest, web};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Required, Schema, SecurityRequirement};

use super::refusals::{self, refuse, refuse_rather};
use crate::http::extract::{Follower, Granted, Operator, RevocationsRead, Right};
use crate::http::idempotency::{IdempotencyKey, OptionalKey};
use crate::http::list::{DEFAULT_LIMIT, ListQuery, MAX_LIMIT, Parameters};

/// The tag of operations that refuse in OAuth's words (RFC 6749 §5.2).
pub const OAUTH: &str = "oauth";

/// One argument of a handler.
pub trait Argument {
    /// Adds what it demands and refuses.
    fn describe(operation: &mut Operation);
}

/// All arguments of a handler.
pub trait Arguments {
    /// Adds what each of them demands and refuses.
    fn describe(operation: &mut Operation);
}

macro_rules! arguments {
    ($($name:ident),*) => {
        impl<$($name: Argument),*> Arguments for ($($name,)*) {
            fn describe(_operation: &mut Operation) {
                $($name::describe(_operation);)*
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A, B);
arguments!(A, B, C);
arguments!(A, B, C, D);
arguments!(A, B, C, D, E);
arguments!(A, B, C, D, E, F);
arguments!(A, B, C, D, E, F, G);
arguments!(A, B, C, D, E, F, G, H);

/// Arguments of which callers see nothing.
macro_rules! unseen {
    ($($name:ty),+) => { $(
        impl Argument for $name {
            fn describe(_: &mut Operation) {}
        }
    )+ };
}

unseen!(HttpRequest, web::ThinData<crate::domain::realm::Realm>);

impl<T> Argument for web::Data<T> {
    fn describe(_: &mut Operation) {}
}

impl<R: Right> Argument for Operator<R> {
    fn describe(operation: &mut Operation) {
        bearer::<R>(operation, &[super::security::OPERATOR]);
    }
}

impl<R: Right> Argument for Granted<R> {
    fn describe(operation: &mut Operation) {
        let environments = super::domain::ENVIRONMENTS;
        let schemes: Vec<_> = environments.iter().map(|realm| realm.as_str()).collect();
        bearer::<R>(operation, &schemes);
        version(operation);
    }
}

/// The header that names a version of the partner API.
fn version(operation: &mut Operation) {
    let parameter = ParameterBuilder::new()
        .name("Onyx-Version")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The version to answer in; otherwise the one that the partner is pinned to, which is the \
             first that it used. Answers name theirs, and older ones say until when they are given.",
        ))
        .schema(Some(Ref::from_schema_name("ApiVersion")))
        .build();
    let all = operation.parameters.get_or_insert_default();
    all.push(RefOr::T(parameter));
}

impl Argument for Follower {
    fn describe(operation: &mut Operation) {
        let environments = super::domain::ENVIRONMENTS;
        let schemes: Vec<_> = environments.iter().map(|realm| realm.as_str()).collect();
        bearer::<RevocationsRead>(operation, &schemes);
    }
}

impl Argument for Parameters {
    fn describe(operation: &mut Operation) {
        refuse(operation, &refusals::BAD_REQUEST);
    }
}

/// A token of one of these schemes, with the right's scope. What a handler says itself stands.
fn bearer<R: Right>(operation: &mut Operation, schemes: &[&str]) {
    let scopes: Vec<_> = R::SCOPE.into_iter().collect();
    operation.security.get_or_insert_with(|| {
        let with = |scheme: &&str| SecurityRequirement::new(*scheme, scopes.clone());
        schemes.iter().map(with).collect()
    });
    refuse(operation, &refusals::BAD_REQUEST);
    refuse(operation, &refusals::UNAUTHORIZED);
    let any_token = operation
        .security
        .iter()
        .flatten()
        .all(|demand| *demand == SecurityRequirement::default() || names_no_scope(demand));
    let forbidden = if any_token {
        refusals::ADDRESS_NOT_ALLOWED
    } else {
        refusals::INSUFFICIENT_SCOPE
    };
    refuse(operation, &forbidden);
    refuse(operation, &refusals::INTERNAL);
    refuse(operation, &refusals::UNAVAILABLE);
}

fn names_no_scope(demand: &SecurityRequirement) -> bool {
    let value = serde_json::to_value(demand).unwrap_or_default();
    let schemes = value.as_object().into_iter().flatten();
    schemes
        .flat_map(|(_, scopes)| scopes.as_array())
        .all(Vec::is_empty)
}

impl<T> Argument for web::Path<T> {
    fn describe(operation: &mut Operation) {
        refuse(operation, &refusals::NOT_FOUND);
    }
}

impl Argument for web::Payload {
    fn describe(operation: &mut Operation) {
        let is_oauth = operation.tags.iter().flatten().any(|tag| tag == OAUTH);
        let all = if is_oauth {
            refusals::OF_OAUTH_BODIES
        } else {
            refusals::OF_JSON_BODIES
        };
        for refusal in all {
            refuse(operation, refusal);
        }
    }
}

impl Argument for IdempotencyKey {
    fn describe(operation: &mut Operation) {
        idempotency_key(
            operation,
            Required::True,
            "Of the caller's own making, new for each order and the same when it is asked for again: a \
             text of 1 to 255 characters in double quotes (RFC 8941 §3.3.3), or one word without them.",
        );
        refuse_rather(operation, &refusals::BAD_KEY);
        refuse(operation, &refusals::IDEMPOTENCY_CONFLICT);
        refuse(operation, &refusals::KEY_REUSED);
    }
}

impl Argument for OptionalKey {
    fn describe(operation: &mut Operation) {
        idempotency_key(
            operation,
            Required::False,
            "Of the caller's own making: the same again gets the first answer again, with \
             `Idempotent-Replayed: true`, for 24 hours. Refusals are not kept. A text of 1 to 255 characters in \
             double quotes (RFC 8941 §3.3.3), or one word without them.",
        );
        refuse_rather(operation, &refusals::BAD_OPTIONAL_KEY);
        refuse(operation, &refusals::KEY_REUSED);
    }
}

fn idempotency_key(operation: &mut Operation, required: Required, sentence: &str) {
    let key = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(257))
        .examples(["\"8e03978e-40d5-43dd-bc93-6894a57f9324\""]);
    let parameter = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(sentence))
        .schema(Some(RefOr::T(key.build().into())))
        .build();
    let all = operation.parameters.get_or_insert_default();
    all.push(RefOr::T(parameter));
}

impl Argument for ListQuery {
    fn describe(operation: &mut Operation) {
        let limit = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(MAX_LIMIT))
            .default(Some(DEFAULT_LIMIT.into()))
            .build();
        let cursor = ObjectBuilder::new().schema_type(Type::String).build();
        query(operation, "limit", "At most so many rows.", limit);
        let sentence = "Rows after this place: a `next_cursor` of an earlier page.";
        query(operation, "cursor", sentence, cursor);
        refuse(operation, &refusals::BAD_REQUEST);
    }
}

fn query(operation: &mut Operation, name: &str, sentence: &str, schema: impl Into<Schema>) {
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(sentence))
        .schema(Some(RefOr::T(schema.into())))
        .build();
    let all = operation.parameters.get_or_insert_default();
    all.push(RefOr::T(parameter));
}

/// The realm, where the path has one.
pub fn realm(operation: &mut Operation, path: &str) {
    let (name, schema, sentence) = if path.contains("{realm}") {
        let sentence = "The realm. `admin` is served where the admin API is.";
        ("realm", "Realm", sentence)
    } else if path.contains("{env}") {
        ("env", "Environment", "The environment.")
    } else {
        return;
    };
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(sentence))
        .schema(Some(Ref::from_schema_name(schema)))
        .build();
    let all = operation.parameters.get_or_insert_default();
    all.insert(0, RefOr::T(parameter));
}
