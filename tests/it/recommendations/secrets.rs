//! Credentials that nobody uses, and what is near its end.

use std::time::Duration;

use serde_json::Value;

use super::{apply, list, recorded, scopes, set_credential};
use crate::support::assert_snapshot;
use crate::support::world::{days_away, worlds};

#[actix_web::test]
async fn an_unused_credential_is_recommended_for_revocation_and_revoked() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let other = operator.issue(&who.client_id).await;
        let query = format!("kind=unused_credential&partner_id={}", who.partner_id);
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);

        let (long_ago, used) = (days_away(-100), days_away(-91));
        set_credential(
            &world,
            &who.credential_id,
            &format!("created_at = '{long_ago}'"),
        );
        set_credential(
            &world,
            &other.credential_id,
            &format!(
                "created_at = '{long_ago}', first_used_at = '{long_ago}', last_used_at = '{used}'"
            ),
        );
        let found = list(&operator, &query).await;
        let of = |id: &str| {
            let found = found.iter().find(|one| one["credential_id"] == id);
            found.unwrap_or_else(|| panic!("{id} is not in {found:#?}"))
        };
        assert_eq!(found.len(), 2);
        let never = of(&who.credential_id);
        assert_eq!(never["apply"], "revoke_credential");
        assert_eq!(never["client_id"], who.client_id);
        assert!(
            never["reason"]
                .as_str()
                .unwrap()
                .ends_with("and has never been used")
        );
        let quiet = of(&other.credential_id);
        assert!(quiet["since"].as_str().unwrap().starts_with(&used[..10]));
        assert!(
            quiet["reason"]
                .as_str()
                .unwrap()
                .starts_with("the credential has not been used since")
        );

        let applied = apply(&operator, never).await.expect(200);
        assert_eq!(applied["credential_id"], who.credential_id);
        let refused = world.token_answer("sandbox", &who, &[]).await;
        assert_eq!(refused.expect(401)["error"], "invalid_client");
        let path = format!("/clients/{}/credentials", who.client_id);
        let credentials = operator.get(&path).await.expect(200);
        let revoked = credentials["data"].as_array().unwrap().iter();
        let revoked = revoked
            .filter(|one| one["state"] == "revoked")
            .collect::<Vec<_>>();
        assert_eq!(revoked.len(), 1);
        assert_eq!(revoked[0]["revoked_reason"], "unused");
        assert_eq!(
            recorded(&world, "credential.revoked", &never["credential_id"]),
            1
        );
        assert_eq!(recorded(&world, "recommendation.applied", &never["id"]), 1);
        assert_eq!(
            apply(&operator, never).await.expect(409)["code"],
            "no_longer_applies"
        );

        // Used again, the other stays.
        set_credential(
            &world,
            &other.credential_id,
            &format!("last_used_at = '{}'", days_away(0)),
        );
        assert_eq!(
            apply(&operator, quiet).await.expect(409)["code"],
            "no_longer_applies"
        );
        world.token("sandbox", &other, &[]).await;
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn secrets_near_or_past_their_age_are_shown_and_there_is_nothing_to_apply() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let live = world.live_client(&["orders:read"]).await;
        let far = format!(
            "created_at = '{}', expires_at = '{}'",
            days_away(-1),
            days_away(80)
        );
        let in_sandbox = format!("kind=secret_near_end&partner_id={}", who.partner_id);
        let in_live = format!("kind=secret_near_end&partner_id={}", live.partner_id);
        for (values, expected) in [
            (far.clone(), None),
            (format!("expires_at = '{}'", days_away(31)), None),
            (
                format!("expires_at = '{}'", days_away(29)),
                Some("in 29 days: rotate it before"),
            ),
            (format!("expires_at = '{}'", days_away(-1)), None),
            // A sandbox secret may be 365 days old.
            (
                format!("expires_at = NULL, created_at = '{}'", days_away(-334)),
                None,
            ),
            (
                format!("created_at = '{}'", days_away(-336)),
                Some("the secret reaches its longest age"),
            ),
            (
                format!("created_at = '{}'", days_away(-366)),
                Some("the secret has been past its longest age since"),
            ),
        ] {
            set_credential(&world, &who.credential_id, &values);
            let found = list(&operator, &in_sandbox).await;
            match expected {
                None => assert_eq!(found, [] as [Value; 0], "{values}"),
                Some(reason) => {
                    assert_eq!(found.len(), 1, "{values}");
                    let told = found[0]["reason"].as_str().unwrap();
                    assert!(told.contains(reason), "{values}: {told}");
                    assert_eq!(found[0]["apply"], Value::Null);
                    assert!(found[0]["ends_at"].is_string());
                    let refused = apply(&operator, &found[0]).await;
                    assert_snapshot!(refused.problem(), @"409 nothing_to_apply: there is nothing that the server could do by itself: the secret must be rotated by who uses it");
                }
            }
        }
        // A live one 90.
        set_credential(&world, &live.credential_id, &far);
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
        let aged = format!("expires_at = NULL, created_at = '{}'", days_away(-61));
        set_credential(&world, &live.credential_id, &aged);
        let found = list(&operator, &in_live).await;
        assert_eq!(found[0]["credential_id"], live.credential_id);
        assert_eq!(found[0]["realm"], "live");
        // Rotated away or revoked, it is no longer anybody's care.
        set_credential(
            &world,
            &live.credential_id,
            &format!("state = 'rotated', accepts_until = '{}'", days_away(1)),
        );
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
        operator.revoke(&live.credential_id).await.expect(200);
        assert_eq!(list(&operator, &in_live).await, [] as [Value; 0]);
    }
}

#[actix_web::test]
async fn grants_near_their_end_are_shown_until_another_follows() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let lasts = |days: u64| Duration::from_secs(days * 24 * 3600);
        for (scope, days) in [("orders:read", 10), ("invoices:read", 31)] {
            let grant = operator.request_grant_until(&partner, "sandbox", scope, None, lasts(days));
            grant.await.expect(201);
        }
        let query = format!("kind=grant_near_end&partner_id={partner}");
        let found = list(&operator, &query).await;
        assert_eq!(scopes(&found), ["orders:read"]);
        assert_eq!(found[0]["apply"], Value::Null);
        assert!(found[0]["grant_id"].as_str().unwrap().starts_with("grt_"));
        assert!(
            found[0]["reason"]
                .as_str()
                .unwrap()
                .contains("in 10 days and none follows it")
        );
        assert_eq!(
            apply(&operator, &found[0]).await.expect(409)["code"],
            "nothing_to_apply"
        );

        let next =
            operator.request_grant_until(&partner, "sandbox", "orders:read", None, lasts(100));
        next.await.expect(201);
        assert_eq!(list(&operator, &query).await, [] as [Value; 0]);
    }
}
