//! The tables as diesel sees them; one schema for both engines.

diesel::table! {
    instance (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    partners (id) {
        id -> Text,
        name -> Text,
        legal_name -> Text,
        security_contact -> Text,
        state -> Text,
        created_by -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    resource_servers (id) {
        id -> Text,
        realm -> Text,
        identifier -> Text,
        name -> Text,
        scopes -> Text,
        signing_alg -> Text,
        created_by -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    clients (id) {
        id -> Text,
        realm -> Text,
        kind -> Text,
        partner_id -> Nullable<Text>,
        resource_server_id -> Nullable<Text>,
        name -> Text,
        state -> Text,
        scopes -> Text,
        default_scopes -> Nullable<Text>,
        token_ttl -> Nullable<Integer>,
        expires_at -> Nullable<Timestamp>,
        created_by -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    credentials (id) {
        id -> Text,
        client_id -> Text,
        kind -> Text,
        secret_hash -> Text,
        pepper_version -> Integer,
        hint -> Text,
        state -> Text,
        expires_at -> Nullable<Timestamp>,
        accepts_until -> Nullable<Timestamp>,
        created_by -> Text,
        created_at -> Timestamp,
        revoked_at -> Nullable<Timestamp>,
        revoked_by -> Nullable<Text>,
        revoked_reason -> Nullable<Text>,
        revoked_note -> Nullable<Text>,
    }
}

diesel::table! {
    scope_grants (id) {
        id -> Text,
        partner_id -> Text,
        realm -> Text,
        scope -> Text,
        resource_server_id -> Nullable<Text>,
        purpose -> Text,
        lawful_basis -> Nullable<Text>,
        data_classes -> Text,
        retention_days -> Integer,
        state -> Text,
        requested_by -> Text,
        requested_at -> Timestamp,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamp>,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    signing_keys (kid) {
        kid -> Text,
        realm -> Text,
        alg -> Text,
        sealed_key -> Text,
        public_jwk -> Text,
        origin -> Text,
        published_at -> Timestamp,
        signs_from -> Timestamp,
        signs_until -> Nullable<Timestamp>,
        published_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    issued_tokens (issued_at, jti) {
        issued_at -> Timestamp,
        jti -> Text,
        realm -> Text,
        client_id -> Text,
        partner_id -> Nullable<Text>,
        credential_id -> Text,
        scope -> Text,
        aud -> Text,
        kid -> Text,
        expires_at -> Timestamp,
        source_ip -> Nullable<Text>,
    }
}

diesel::table! {
    sequences (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    changes (seq, entity, id) {
        seq -> BigInt,
        entity -> Text,
        id -> Text,
        at -> Timestamp,
    }
}

diesel::joinable!(credentials -> clients (client_id));
diesel::allow_tables_to_appear_in_same_query!(clients, credentials);
