//! The database keeps tenants apart by itself, behind the server's own queries.

use crate::support::world::{Engine, PARTNER_SCOPES, worlds};

/// Tables that hold tenants' rows and that tenants' transactions may read.
const OF_TENANTS: [&str; 17] = [
    "orders",
    "order_events",
    "usage_records",
    "ledger_entries",
    "invoices",
    "events",
    "idempotency_keys",
    "package_partners",
    "clients",
    "credentials",
    "scope_grants",
    "audit_events",
    "usage_counters",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_replays",
    "webhook_secrets",
];

#[actix_web::test]
async fn a_query_that_forgets_its_tenant_finds_nothing_of_others() {
    for world in worlds()
        .await
        .iter()
        .filter(|w| w.engine == Engine::Postgres)
    {
        let one = world.sandbox_client(&PARTNER_SCOPES).await;
        let other = world.sandbox_client(&PARTNER_SCOPES).await;
        let behind = |partner: &str, realm: &str, query: &str| {
            let statements = format!(
                "BEGIN; SET LOCAL ROLE onyx_tenant; SET LOCAL onyx.partner_id = '{partner}'; \
                 SET LOCAL onyx.realm = '{realm}'"
            );
            world.lines_behind(&statements, query)
        };
        let clients = "SELECT id AS line FROM clients";
        assert_eq!(
            behind(&one.partner_id, "sandbox", clients),
            [one.client_id.as_str()]
        );
        assert_eq!(
            behind(&other.partner_id, "sandbox", clients),
            [other.client_id.as_str()]
        );
        assert_eq!(
            behind(&one.partner_id, "live", clients),
            Vec::<String>::new()
        );
        for table in OF_TENANTS {
            let foreign = if table == "credentials" {
                format!(
                    "SELECT id AS line FROM credentials WHERE client_id <> '{}'",
                    one.client_id
                )
            } else {
                format!(
                    "SELECT partner_id AS line FROM {table} WHERE partner_id <> '{}'",
                    one.partner_id
                )
            };
            assert_eq!(
                behind(&one.partner_id, "sandbox", &foreign),
                Vec::<String>::new(),
                "{table}"
            );
        }
        // Who has named no tenant sees none.
        let none = world.lines_behind("BEGIN; SET LOCAL ROLE onyx_tenant", clients);
        assert_eq!(none, Vec::<String>::new());
    }
}

#[actix_web::test]
async fn partners_calls_take_the_tenants_role() {
    for world in worlds()
        .await
        .iter()
        .filter(|w| w.engine == Engine::Postgres)
    {
        let client = world.sandbox_client(&PARTNER_SCOPES).await;
        let token = world.token("sandbox", &client, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        // Were the query the server's own user's, it would not notice.
        world.execute("REVOKE SELECT ON clients FROM onyx_tenant");
        world.get("/sandbox/v1/me", Some(&token)).await.expect(503);
        world.execute("GRANT SELECT ON clients TO onyx_tenant");
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
    }
}
