//! Operators are clients whom others need a right to touch.

use serde_json::json;

use super::{edit, revocations, step};
use crate::support::assert_snapshot;
use crate::support::world::{at_once, worlds};

#[actix_web::test]
async fn what_is_done_to_operators_needs_the_right_over_operators() {
    for world in worlds().await {
        let operator = world.operator().await;
        let victim = operator.puppet(&["partners:read"]).await;
        let rest = operator
            .puppet(&["clients:write", "credentials:revoke", "clients:read"])
            .await;
        for verb in ["suspend", "resume", "revoke"] {
            let answer = step(&rest, &victim.id(), verb).await;
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (403, &json!("insufficient_scope"))
            );
        }
        assert_eq!(
            edit(&rest, &victim.id(), json!({ "name": "x" }))
                .await
                .status,
            403
        );

        let edited = edit(
            &operator,
            &victim.id(),
            json!({ "scopes": ["audit:read"], "token_ttl": 60 }),
        )
        .await;
        assert_eq!(edited.expect(200)["scopes"], json!(["audit:read"]));
        let mut told = String::new();
        for bad in [
            json!({ "scopes": ["orders:read"] }),
            json!({ "scopes": [] }),
            json!({ "self_rotation": true }),
        ] {
            let answer = edit(&operator, &victim.id(), bad).await.problem();
            told += &answer.lines().skip(1).collect::<Vec<_>>().join("\n");
            told += "\n";
        }
        assert_snapshot!(told, @"
        /scopes invalid: must be one or more of audit:read, billing:write, catalogue:write, clients:read, clients:write, credentials:issue, credentials:revoke, credentials:rotate, governance:write, grants:decide, keys:manage, limits:write, operators:write, orders:fulfil, partners:read, partners:write, requests:read, resource-servers:write, security:read, security:write, usage:write
        /scopes invalid: must be one or more of audit:read, billing:write, catalogue:write, clients:read, clients:write, credentials:issue, credentials:revoke, credentials:rotate, governance:write, grants:decide, keys:manage, limits:write, operators:write, orders:fulfil, partners:read, partners:write, requests:read, resource-servers:write, security:read, security:write, usage:write
        /self_rotation invalid: is for partners' clients only
        ");
        step(&operator, &victim.id(), "suspend").await.expect(200);
        step(&operator, &victim.id(), "revoke").await.expect(200);
        let id = victim.id();
        assert_eq!(
            revocations(&world, "admin"),
            [
                format!("client {id} scopes_narrowed"),
                format!("client {id} suspended"),
                format!("client {id} revoked")
            ]
        );
    }
}

#[actix_web::test]
async fn the_last_operator_who_can_make_operators_stays() {
    for world in worlds().await {
        let operator = world.operator().await;
        let own = operator.id();
        // Others are there, but none that could: without the right, without a credential, over.
        operator.puppet(&["partners:read", "clients:write"]).await;
        let body = json!({ "name": "unarmed", "scopes": ["operators:write"] });
        operator.post("/operators", body).await.expect(201);
        let over = operator.puppet(&["operators:write"]).await;
        world.execute(&format!(
            "UPDATE clients SET expires_at = created_at WHERE id = '{}'",
            over.id()
        ));
        for verb in ["suspend", "revoke"] {
            let told = step(&operator, &own, verb).await;
            assert_snapshot!(told.problem(), @"409 last_operator: it is the last operator who can make operators; make another with operators:write first, and give it a credential");
        }
        let narrowed = edit(&operator, &own, json!({ "scopes": ["partners:read"] })).await;
        assert_eq!(
            (narrowed.status, &narrowed.json()["code"]),
            (409, &json!("last_operator"))
        );
        // Nor its only secret, unless that is in wrong hands.
        let held = operator.get(&format!("/clients/{own}/credentials")).await;
        let held = held.expect(200)["data"][0]["id"].clone();
        let path = format!("/credentials/{}/revoke", held.as_str().unwrap());
        let kept = operator.post(&path, json!({ "reason": "other" })).await;
        assert_eq!(kept.expect(409)["code"], "last_operator");
        assert!(revocations(&world, "admin").is_empty());
        // Neither does the end of a rotation whose successor is gone.
        let held = format!("/credentials/{}", held.as_str().unwrap());
        let rotated = operator.post(&format!("{held}/rotate"), json!({})).await;
        let successor = rotated.expect(201)["id"].clone();
        let gone = format!("/credentials/{}/revoke", successor.as_str().unwrap());
        let body = json!({ "reason": "unused" });
        operator.post(&gone, body).await.expect(200);
        let finish = format!("{held}/finish-rotation");
        let kept = operator.post(&finish, json!({})).await;
        assert_eq!(kept.expect(409)["code"], "last_operator");
        let undo = format!("{held}/undo-rotation");
        operator.post(&undo, json!({})).await.expect(200);
        let locked = edit(&operator, &own, json!({ "ip_allowlist": ["192.0.2.0/24"] })).await;
        assert_snapshot!(locked.problem(), @"
        422 invalid_body: the request body has members that must be mended; see errors
          /ip_allowlist invalid: must contain the address that this request comes from, or it would lock you out
        ");
        edit(&operator, &own, json!({ "ip_allowlist": ["127.0.0.1"] }))
            .await
            .expect(200);

        // With another, one may go; of two who do away with each other, one stays.
        let other = world.second_operator().await;
        let answers = at_once([
            operator.posting(
                &format!("/clients/{}/suspend", other.id()),
                &json!({ "reason": "a drill" }),
            ),
            other.posting(
                &format!("/clients/{own}/suspend"),
                &json!({ "reason": "a drill" }),
            ),
        ]);
        let won = answers.await.iter().filter(|a| a.status == 200).count();
        assert_eq!(won, 1);
    }
}
