//! How they are read, and who follows them.

use std::collections::BTreeSet;

use serde_json::json;

use super::{age_client, apply, list, recorded, set_credential};
use crate::support::assert_snapshot;
use crate::support::world::{Operator, claims, days_away, worlds, worlds_with};

#[actix_web::test]
async fn recommendations_are_paged_and_filtered() {
    for world in worlds().await {
        let operator = world.operator().await;
        let held = ["orders:create", "orders:read", "usage:read"];
        let first = world.sandbox_client(&held).await;
        let second = world.sandbox_client(&held).await;
        let live = world.live_client(&["orders:read"]).await;
        for who in [&first, &second, &live] {
            age_client(&world, &who.client_id, 100);
            let values = format!(
                "created_at = '{}', expires_at = '{}'",
                days_away(-100),
                days_away(9)
            );
            set_credential(&world, &who.credential_id, &values);
        }
        let of_partners = list(&operator, "realm=sandbox&limit=100").await;
        // Each: three scopes, a credential that is unused, and near its end, three grants.
        assert_eq!(of_partners.len(), 2 * (3 + 1 + 1 + 3));
        let kinds: BTreeSet<&str> = of_partners
            .iter()
            .map(|one| one["kind"].as_str().unwrap())
            .collect();
        assert_eq!(kinds.len(), 4);

        for limit in [1, 2, 3, 7, 100] {
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/recommendations?realm=sandbox&limit={limit}{cursor}");
                let page = operator.get(&path).await.expect(200);
                let rows = page["data"].as_array().unwrap();
                assert!(rows.len() <= limit);
                walked.extend(rows.iter().cloned());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(walked, of_partners, "by {limit}");
        }
        let of_first = list(
            &operator,
            &format!("partner_id={}&limit=100", first.partner_id),
        )
        .await;
        assert_eq!(of_first.len(), 8);
        assert!(
            of_first
                .iter()
                .all(|one| one["partner_id"] == first.partner_id)
        );
        let of_live = list(&operator, "realm=live&kind=unused_scope").await;
        assert_eq!(of_live.len(), 1);
        assert_eq!(of_live[0]["client_id"], live.client_id);

        let mut told = String::new();
        for bad in [
            "kind=x",
            "realm=mars",
            "partner_id=x",
            "cursor=eA",
            "days=1",
        ] {
            told += &format!(
                "{bad} {}\n",
                operator
                    .get(&format!("/recommendations?{bad}"))
                    .await
                    .problem()
            );
        }
        assert_snapshot!(told, @r"
        kind=x 400 invalid_parameter: kind must be one of unused_scope, unused_credential, secret_near_end, grant_near_end
        realm=mars 400 invalid_parameter: realm must be one of sandbox, live, admin
        partner_id=x 400 invalid_parameter: partner_id must be an id of the form ptn_<ULID>
        cursor=eA 400 invalid_parameter: cursor must be a next_cursor of an earlier page
        days=1 400 invalid_parameter: days is not a parameter of this list
        ");
    }
}

#[actix_web::test]
async fn a_cursor_of_one_kind_begins_no_page_of_another() {
    const TOLD: &str = "400 invalid_parameter: cursor must be a next_cursor of an earlier page";
    const KINDS: [&str; 4] = [
        "unused_scope",
        "unused_credential",
        "secret_near_end",
        "grant_near_end",
    ];
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read", "usage:read"]).await;
        age_client(&world, &who.client_id, 100);
        for own in ["unused_scope", "grant_near_end"] {
            let path = format!("/recommendations?realm=sandbox&kind={own}&limit=1");
            let first = operator.get(&path).await.expect(200);
            let next = first["next_cursor"].as_str().unwrap();
            let of = async |kind: &str| {
                let path = format!("/recommendations?realm=sandbox{kind}&cursor={next}");
                operator.get(&path).await
            };
            for kind in KINDS.iter().filter(|kind| **kind != own) {
                let refused = of(&format!("&kind={kind}")).await;
                assert_eq!(refused.problem(), TOLD, "{own} for {kind}");
            }
            // Of its own kind it begins a page, and so it does of all kinds.
            let second = of(&format!("&kind={own}")).await.expect(200);
            assert_eq!(second["data"].as_array().unwrap().len(), 1);
            assert_eq!(of("").await.expect(200)["data"][0], second["data"][0]);
        }
    }
}

#[actix_web::test]
async fn a_search_among_many_clients_that_need_everything_goes_on_from_page_to_page() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        age_client(&world, &who.client_id, 100);
        // Two thousand others before it, by their ids, that hold nothing.
        let old = days_away(-100);
        let rows: Vec<String> = (0..2000)
            .map(|nth| {
                format!(
                    "('cl_sbx_0000000000000000000000{nth:04}', 'sandbox', 'partner', '{}', 'x', 'active', '', \
                     'host', '{old}', '{old}')",
                    who.partner_id
                )
            })
            .collect();
        for some in rows.chunks(400) {
            world.execute(&format!(
                "INSERT INTO clients (id, realm, kind, partner_id, name, state, scopes, created_by, created_at, \
                 updated_at) VALUES {}",
                some.join(", ")
            ));
        }
        let mut path = "/recommendations?kind=unused_scope&realm=sandbox".to_owned();
        let (mut pages, mut found) = (0, Vec::new());
        loop {
            let page = operator.get(&path).await.expect(200);
            pages += 1;
            found.extend(page["data"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/recommendations?kind=unused_scope&realm=sandbox&cursor={next}");
        }
        assert_eq!(pages, 3);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["client_id"], who.client_id);
    }
}

#[actix_web::test]
async fn who_decides_about_partners_does_not_decide_about_operators() {
    for world in worlds_with(&[("ONYX_UNUSED_DAYS", "7")]).await {
        let operator = world.operator().await;
        let who = world.operator_credential();
        world.execute(&format!(
            "UPDATE clients SET created_at = '{}'",
            days_away(-8)
        ));
        let found = list(&operator, "kind=unused_scope&realm=admin&limit=100").await;
        let catalogue = found
            .iter()
            .find(|one| one["scope"] == "catalogue:write")
            .unwrap();
        assert_eq!(catalogue["client_id"], who.client_id);
        let decider = world
            .token("admin", &who, &[("scope", "grants:decide")])
            .await;
        let decider = Operator {
            world: &world,
            token: decider,
        };
        let refused = apply(&decider, catalogue).await;
        assert_snapshot!(refused.problem(), @"403 insufficient_scope: the token lacks the scope operators:write");
        apply(&operator, catalogue).await.expect(200);
        let token = world.token("admin", &who, &[]).await;
        assert!(
            !claims(&token)["scope"]
                .as_str()
                .unwrap()
                .contains("catalogue:write")
        );

        // The operator's own tokens from before died with the scope.
        let operator = world.operator().await;
        for unknown in [
            "rec_unused_scope_cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV_b3JkZXJzOnJlYWQ",
            "rec_unused_credential_crd_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_secret_near_end_crd_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_grant_near_end_grt_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "rec_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            let path = format!("/recommendations/{unknown}/apply");
            operator.post(&path, json!({})).await.expect(404);
        }
    }
}

#[actix_web::test]
async fn of_many_who_apply_at_once_one_does() {
    for world in worlds().await {
        let other = world.neighbour().await;
        let operator = world.operator().await;
        let elsewhere = Operator {
            world: &other,
            token: operator.token.clone(),
        };
        let who = world
            .sandbox_client(&["orders:create", "orders:read"])
            .await;
        age_client(&world, &who.client_id, 100);
        let found = list(&operator, "kind=unused_scope&realm=sandbox").await;
        assert_eq!(found.len(), 2);
        for one in &found {
            let (a, b, c, d) = tokio::join!(
                apply(&operator, one),
                apply(&elsewhere, one),
                apply(&operator, one),
                apply(&elsewhere, one)
            );
            let mut statuses = [a.status, b.status, c.status, d.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 409, 409, 409]);
            assert_eq!(recorded(&world, "recommendation.applied", &one["id"]), 1);
        }
        let client = operator
            .get(&format!("/clients/{}", who.client_id))
            .await
            .expect(200);
        assert_eq!(client["scopes"], json!([]));
    }
}

#[actix_web::test]
async fn the_command_line_lists_and_applies() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        age_client(&world, &who.client_id, 100);
        let ids = world.cli(&[
            "recommendation",
            "list",
            "--kind",
            "unused_scope",
            "--partner",
            &who.partner_id,
            "--field",
            "id",
        ]);
        assert_eq!(ids.lines().count(), 1);
        let unasked = world.run(&["recommendation", "apply", &ids]);
        assert_eq!(unasked.status.code(), Some(2));
        let scope = world.cli(&["recommendation", "apply", &ids, "--yes", "--field", "scope"]);
        assert_eq!(scope, "orders:read");
        let again = world.run(&["recommendation", "apply", &ids, "--yes"]);
        assert_eq!(again.status.code(), Some(1));
        let said = String::from_utf8(again.stderr).unwrap();
        assert!(said.contains("409 no_longer_applies"), "{said}");
        let table = world.cli(&["recommendation", "list", "--realm", "sandbox"]);
        assert!(table.contains("grant_near_end"), "{table}");
    }
}
