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
        leaked_secret_grace -> Bool,
        pinned_version -> Nullable<Text>,
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
        ip_allowlist -> Nullable<Text>,
        self_rotation -> Nullable<Bool>,
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
        replaced_by -> Nullable<Text>,
        first_used_at -> Nullable<Timestamp>,
        last_used_at -> Nullable<Timestamp>,
        use_count -> BigInt,
        last_used_ip -> Nullable<Text>,
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
        ended_by -> Nullable<Text>,
        ended_at -> Nullable<Timestamp>,
        ended_reason -> Nullable<Text>,
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
        revoked_at -> Nullable<Timestamp>,
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
        rsn -> Nullable<BigInt>,
        status_list -> Nullable<BigInt>,
        status_index -> Nullable<BigInt>,
    }
}

diesel::table! {
    status_lists (number) {
        number -> BigInt,
        id -> Text,
        realm -> Text,
        size -> BigInt,
        leased -> BigInt,
        created_at -> Timestamp,
        closed_at -> Nullable<Timestamp>,
        retired_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    status_index_leases (list, first_index) {
        list -> BigInt,
        first_index -> BigInt,
        length -> BigInt,
        taken_at -> Timestamp,
        ends_at -> Timestamp,
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

diesel::table! {
    agreements (id) {
        id -> Text,
        partner_id -> Text,
        kind -> Text,
        reference -> Text,
        document_sha256 -> Text,
        lawful_basis -> Nullable<Text>,
        state -> Text,
        in_force_from -> Timestamp,
        expires_at -> Timestamp,
        created_by -> Text,
        created_at -> Timestamp,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamp>,
        ended_by -> Nullable<Text>,
        ended_at -> Nullable<Timestamp>,
        ended_reason -> Nullable<Text>,
    }
}

diesel::table! {
    privacy_notices (id) {
        id -> Text,
        partner_id -> Text,
        requests -> Text,
        purpose -> Text,
        retention -> Text,
        how_to_revoke -> Text,
        support_contact -> Text,
        url -> Nullable<Text>,
        recorded_by -> Text,
        recorded_at -> Timestamp,
        superseded_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    launch_reviews (id) {
        id -> Text,
        partner_id -> Text,
        state -> Text,
        requested_by -> Text,
        requested_at -> Timestamp,
        submitted_at -> Nullable<Timestamp>,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamp>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    launch_checks (review_id, name) {
        review_id -> Text,
        name -> Text,
        state -> Text,
        requested_by -> Text,
        settled_by -> Nullable<Text>,
        settled_at -> Nullable<Timestamp>,
        evidence -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    revocations (seq) {
        seq -> BigInt,
        realm -> Text,
        kind -> Text,
        id -> Text,
        scope -> Nullable<Text>,
        revoked_at -> Timestamp,
        expires_at -> Timestamp,
        reason -> Text,
        actor -> Text,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Text,
        at -> Timestamp,
        actor -> Text,
        credential_id -> Nullable<Text>,
        action -> Text,
        target -> Text,
        partner_id -> Nullable<Text>,
        realm -> Nullable<Text>,
        outcome -> Text,
        request_id -> Nullable<Text>,
        source_ip -> Nullable<Text>,
        details -> Text,
        mac -> Nullable<Text>,
        source_ip_salt -> Nullable<Text>,
        source_ip_commitment -> Nullable<Text>,
        leaf_index -> Nullable<BigInt>,
        leaf_mac -> Nullable<Text>,
        set_aside -> Nullable<Text>,
    }
}

diesel::table! {
    audit_hashes (chunk) {
        chunk -> BigInt,
        hashes -> Binary,
    }
}

diesel::table! {
    audit_checkpoints (size) {
        size -> BigInt,
        note -> Text,
        signed_at -> Timestamp,
    }
}

diesel::table! {
    leases (name) {
        name -> Text,
        holder -> Text,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    events (partner_id, realm, seq) {
        partner_id -> Text,
        realm -> Text,
        seq -> BigInt,
        id -> Text,
        kind -> Text,
        created_at -> Timestamp,
        data -> Text,
    }
}

diesel::table! {
    event_counters (partner_id, realm) {
        partner_id -> Text,
        realm -> Text,
        value -> BigInt,
        purged -> BigInt,
    }
}

diesel::table! {
    expiry_warnings (subject, days) {
        subject -> Text,
        days -> Integer,
        at -> Timestamp,
    }
}

diesel::table! {
    secret_deliveries (id) {
        id -> Text,
        credential_id -> Text,
        state -> Text,
        proof_hash -> Text,
        ciphertext -> Nullable<Text>,
        lookups -> BigInt,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        opened_at -> Nullable<Timestamp>,
        opened_ip -> Nullable<Text>,
    }
}

diesel::table! {
    reviews (id) {
        id -> Text,
        partner_id -> Nullable<Text>,
        kind -> Text,
        pointer -> Text,
        state -> Text,
        opened_at -> Timestamp,
        closed_by -> Nullable<Text>,
        closed_at -> Nullable<Timestamp>,
        closed_reason -> Nullable<Text>,
    }
}

diesel::table! {
    leak_reports (id) {
        id -> Text,
        state -> Text,
        received_at -> Timestamp,
        done_at -> Nullable<Timestamp>,
        candidates -> Integer,
        matches -> Integer,
        source_ip -> Nullable<Text>,
    }
}

diesel::table! {
    leak_candidates (report_id, hash) {
        report_id -> Text,
        hash -> Text,
        credential_id -> Nullable<Text>,
        action -> Nullable<Text>,
    }
}

diesel::table! {
    scope_usage (client_id, day, scope) {
        client_id -> Text,
        day -> Text,
        scope -> Text,
        asked -> BigInt,
        used -> BigInt,
    }
}

diesel::table! {
    request_log (request_id) {
        request_id -> Text,
        at -> Timestamp,
        partner_id -> Text,
        realm -> Text,
        client_id -> Text,
        credential_id -> Text,
        method -> Text,
        route -> Text,
        status -> Integer,
        code -> Nullable<Text>,
        micros -> BigInt,
        idempotency -> Text,
        order_id -> Nullable<Text>,
        subject -> Nullable<Text>,
        version -> Nullable<Text>,
    }
}

diesel::table! {
    trespasses (partner_id, day) {
        partner_id -> Text,
        day -> Text,
        review_id -> Text,
    }
}

diesel::table! {
    packages (id) {
        id -> Text,
        name -> Text,
        description -> Text,
        price_amount -> BigInt,
        price_currency -> Text,
        validity_days -> Integer,
        region -> Text,
        features -> Text,
        state -> Text,
        version -> BigInt,
        restricted -> Bool,
        created_by -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        included_quantity -> Nullable<BigInt>,
        included_unit -> Nullable<Text>,
    }
}

diesel::table! {
    allowances (order_id, partner_id, realm) {
        partner_id -> Text,
        realm -> Text,
        order_id -> Text,
        package_id -> Text,
        unit -> Text,
        included -> BigInt,
        used -> BigInt,
    }
}

diesel::table! {
    version_notices (partner_id, realm, version) {
        partner_id -> Text,
        realm -> Text,
        version -> Text,
        given_at -> Timestamp,
    }
}

diesel::table! {
    package_partners (partner_id, realm, package_id) {
        partner_id -> Text,
        realm -> Text,
        package_id -> Text,
    }
}

diesel::table! {
    orders (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        client_id -> Text,
        credential_id -> Text,
        package_id -> Text,
        package_version -> BigInt,
        quantity -> BigInt,
        unit_amount -> BigInt,
        total_amount -> BigInt,
        currency -> Text,
        partner_order_ref -> Text,
        metadata -> Nullable<Text>,
        state -> Text,
        reason -> Nullable<Text>,
        simulate_at -> Nullable<Timestamp>,
        retried_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    order_events (order_id, partner_id, realm, state) {
        partner_id -> Text,
        realm -> Text,
        order_id -> Text,
        state -> Text,
        at -> Timestamp,
        actor -> Text,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    usage_records (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        order_id -> Text,
        quantity -> BigInt,
        unit -> Text,
        recorded_at -> Timestamp,
        created_by -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ledger_entries (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        kind -> Text,
        debit_account -> Text,
        credit_account -> Text,
        amount -> BigInt,
        currency -> Text,
        order_id -> Nullable<Text>,
        invoice_id -> Nullable<Text>,
        corrects -> Nullable<Text>,
        reference -> Text,
        actor -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    invoices (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        number -> Nullable<BigInt>,
        period -> Text,
        currency -> Text,
        total_amount -> BigInt,
        state -> Text,
        reason -> Nullable<Text>,
        created_at -> Timestamp,
        opened_at -> Nullable<Timestamp>,
        due_at -> Nullable<Timestamp>,
        ended_at -> Nullable<Timestamp>,
        ended_by -> Nullable<Text>,
    }
}

diesel::table! {
    invoice_lines (partner_id, realm, invoice_id, entry_id) {
        partner_id -> Text,
        realm -> Text,
        invoice_id -> Text,
        entry_id -> Text,
        voided -> Bool,
    }
}

diesel::table! {
    invoice_counters (partner_id, realm) {
        partner_id -> Text,
        realm -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    idempotency_keys (partner_id, realm, operation, key_hash) {
        partner_id -> Text,
        realm -> Text,
        operation -> Text,
        key_hash -> Text,
        fingerprint -> Text,
        status -> Integer,
        headers -> Text,
        body -> Text,
        resource -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    operator_keys (client_id, operation, key_hash) {
        client_id -> Text,
        operation -> Text,
        key_hash -> Text,
        fingerprint -> Text,
        status -> Integer,
        headers -> Text,
        body -> Text,
        resource -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    version_uses (id) {
        id -> Text,
        partner_id -> Text,
        realm -> Text,
        client_id -> Text,
        version -> Text,
        route -> Text,
        calls -> BigInt,
        first_at -> Timestamp,
        last_at -> Timestamp,
    }
}

diesel::table! {
    prohibited_findings (partner_id, realm, material) {
        partner_id -> Text,
        realm -> Text,
        material -> Text,
        count -> BigInt,
        first_at -> Timestamp,
        last_at -> Timestamp,
    }
}

diesel::table! {
    webhook_endpoints (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        url -> Text,
        event_types -> Text,
        signature -> Text,
        state -> Text,
        disabled_reason -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        verified_at -> Nullable<Timestamp>,
        activated_at -> Nullable<Timestamp>,
        failing_since -> Nullable<Timestamp>,
        warned -> Integer,
        cursor -> BigInt,
        next_at -> Nullable<Timestamp>,
        lease_owner -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    webhook_secrets (partner_id, realm, endpoint_id, version) {
        partner_id -> Text,
        realm -> Text,
        endpoint_id -> Text,
        version -> BigInt,
        sealed -> Text,
        public_key -> Nullable<Text>,
        created_at -> Timestamp,
        usable_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    webhook_workers (node) {
        node -> Text,
        alive_until -> Timestamp,
    }
}

diesel::table! {
    webhook_deliveries (endpoint_id, seq, replay_id) {
        endpoint_id -> Text,
        seq -> BigInt,
        replay_id -> Text,
        partner_id -> Text,
        realm -> Text,
        event_id -> Text,
        kind -> Text,
        state -> Text,
        attempts -> Integer,
        next_attempt_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    webhook_attempts (endpoint_id, seq, replay_id, number) {
        endpoint_id -> Text,
        seq -> BigInt,
        replay_id -> Text,
        number -> Integer,
        at -> Timestamp,
        class -> Nullable<Text>,
        status -> Nullable<Integer>,
        millis -> BigInt,
        address -> Nullable<Text>,
    }
}

diesel::table! {
    webhook_replays (partner_id, realm, id) {
        partner_id -> Text,
        realm -> Text,
        id -> Text,
        endpoint_id -> Text,
        selection -> Text,
        from_at -> Nullable<Timestamp>,
        to_at -> Nullable<Timestamp>,
        event_types -> Nullable<Text>,
        upto -> BigInt,
        done_upto -> BigInt,
        state -> Text,
        count -> BigInt,
        created_by -> Text,
        created_at -> Timestamp,
        started_at -> Nullable<Timestamp>,
        ended_at -> Nullable<Timestamp>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(status_index_leases, status_lists);
diesel::allow_tables_to_appear_in_same_query!(invoice_lines, ledger_entries);
diesel::table! {
    usage_counters (partner_id, realm, quota, period, currency) {
        partner_id -> Text,
        realm -> Text,
        quota -> Text,
        period -> Text,
        currency -> Text,
        used -> BigInt,
        warned -> Integer,
    }
}

diesel::table! {
    plans (id) {
        id -> Text,
        name -> Text,
        requests_per_minute -> Integer,
        burst -> Integer,
        tokens_per_minute -> Integer,
        client_share -> Integer,
        reads_share -> Integer,
        writes_share -> Integer,
        requests_per_day -> Nullable<BigInt>,
        requests_per_month -> Nullable<BigInt>,
        tokens_per_day -> Nullable<BigInt>,
        tokens_per_month -> Nullable<BigInt>,
        orders_per_day -> Nullable<BigInt>,
        orders_per_month -> Nullable<BigInt>,
        spend_per_month -> Nullable<BigInt>,
        spend_currency -> Nullable<Text>,
        version -> BigInt,
        created_by -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    partner_limits (partner_id, realm) {
        partner_id -> Text,
        realm -> Text,
        mode -> Text,
        plan_id -> Nullable<Text>,
        updated_by -> Text,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    nodes (id) {
        id -> Text,
        version -> Text,
        serves -> Bool,
        started_at -> Timestamp,
        heartbeat_at -> Timestamp,
    }
}

diesel::table! {
    limit_overrides (partner_id, realm) {
        partner_id -> Text,
        realm -> Text,
        requests_per_minute -> Integer,
        burst -> Integer,
        tokens_per_minute -> Integer,
        client_share -> Integer,
        reads_share -> Integer,
        writes_share -> Integer,
        requests_per_day -> Nullable<BigInt>,
        requests_per_month -> Nullable<BigInt>,
        tokens_per_day -> Nullable<BigInt>,
        tokens_per_month -> Nullable<BigInt>,
        orders_per_day -> Nullable<BigInt>,
        orders_per_month -> Nullable<BigInt>,
        spend_per_month -> Nullable<BigInt>,
        spend_currency -> Nullable<Text>,
        ends_at -> Nullable<Timestamp>,
    }
}

diesel::joinable!(credentials -> clients (client_id));
diesel::allow_tables_to_appear_in_same_query!(clients, scope_usage);
diesel::allow_tables_to_appear_in_same_query!(
    clients,
    credentials,
    expiry_warnings,
    secret_deliveries
);
diesel::allow_tables_to_appear_in_same_query!(clients, partners);
diesel::allow_tables_to_appear_in_same_query!(orders, partners);
diesel::allow_tables_to_appear_in_same_query!(partners, version_uses);
diesel::allow_tables_to_appear_in_same_query!(clients, version_notices);
diesel::allow_tables_to_appear_in_same_query!(partners, version_notices);
diesel::allow_tables_to_appear_in_same_query!(version_notices, version_uses);
diesel::allow_tables_to_appear_in_same_query!(credentials, partners);
diesel::allow_tables_to_appear_in_same_query!(expiry_warnings, scope_grants);
diesel::allow_tables_to_appear_in_same_query!(credentials, leak_candidates);
diesel::allow_tables_to_appear_in_same_query!(leak_candidates, leak_reports);
diesel::allow_tables_to_appear_in_same_query!(launch_reviews, launch_checks);
diesel::joinable!(secret_deliveries -> credentials (credential_id));
diesel::allow_tables_to_appear_in_same_query!(packages, package_partners);
diesel::allow_tables_to_appear_in_same_query!(
    webhook_endpoints,
    webhook_deliveries,
    webhook_replays,
    event_counters,
    events,
    partners
);
diesel::allow_tables_to_appear_in_same_query!(partner_limits, plans, limit_overrides);
