//! Who sees grants, and how.

use std::collections::BTreeMap;

use super::{act, requested};
use crate::support::assert_snapshot;
use crate::support::world::worlds;

#[actix_web::test]
async fn a_list_shows_what_is_asked_for_and_who_decides_may_look() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        operator.sandbox_grant(&partner, "usage:read", None).await;
        let grant = requested(&operator, &partner, "live").await;
        let mut seen = BTreeMap::new();
        for query in [
            "",
            "?realm=live",
            "?state=approved",
            "?scope=orders:read",
            "?realm=live&state=denied",
        ] {
            let list = operator
                .get(&format!("/partners/{partner}/scope-grants{query}"))
                .await
                .expect(200);
            seen.insert(query, list["data"].as_array().unwrap().len());
        }
        let expected = [
            ("", 3),
            ("?realm=live", 1),
            ("?realm=live&state=denied", 0),
            ("?scope=orders:read", 2),
            ("?state=approved", 2),
        ];
        assert_eq!(seen, BTreeMap::from(expected));
        for query in ["?state=gone", "?realm=moon", "?scope=%22"] {
            let path = format!("/partners/{partner}/scope-grants{query}");
            let list = operator.get(&path);
            assert_eq!(list.await.status, 400, "{query}");
        }
        for (scope, status) in [
            ("grants:decide", 200),
            ("governance:write", 200),
            ("partners:read", 403),
        ] {
            let reader = operator.puppet(&[scope]).await;
            let shown = reader.get(&format!("/scope-grants/{grant}")).await;
            assert_eq!(shown.status, status, "{scope}");
        }
        let reader = operator.puppet(&["governance:write"]).await;
        assert_eq!(act(&reader, &grant, "revoke").await.status, 403);
    }
}

#[actix_web::test]
async fn the_command_line_shows_and_revokes_grants() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let listed = [
            "grant",
            "list",
            "--partner",
            &partner,
            "--state",
            "approved",
            "--field",
            "id",
        ];
        let grant = world.cli(&listed);
        assert_eq!(
            world.cli(&["grant", "show", &grant, "--field", "scope"]),
            "orders:read"
        );
        let revoke = ["grant", "revoke", &grant, "--reason", "unused"];
        let unasked = world.run(&revoke);
        assert_eq!(unasked.status.code(), Some(2));
        assert!(unasked.stdout.is_empty());
        let yes: Vec<&str> = revoke
            .iter()
            .chain(&["--yes", "--field", "state"])
            .copied()
            .collect();
        assert_eq!(world.cli(&yes), "revoked");
        let again = world.run(&yes);
        assert_eq!(again.status.code(), Some(1));
        assert_snapshot!(String::from_utf8_lossy(&again.stderr), @"onyx-auth: 409 illegal_transition: the grant is revoked; from there: nothing");
        assert_eq!(world.cli(&listed), "");
    }
}
