//! The list of keys is walked to its end, whatever becomes of the key that a walk stands at.

use serde_json::{Value, json};

use super::revoke;
use crate::support::assert_snapshot;
use crate::support::world::{Operator, World, worlds};

/// A page of the list, and the query of the next one.
async fn page(operator: &Operator<'_>, query: &str) -> (Vec<Value>, Option<String>) {
    let page = operator.get(&format!("/keys?{query}")).await.expect(200);
    let next = page["next_cursor"].as_str();
    let next = next.map(|next| format!("limit=1&cursor={next}"));
    (page["data"].as_array().unwrap().clone(), next)
}

async fn all(operator: &Operator<'_>) -> Vec<Value> {
    let (keys, next) = page(operator, "limit=100").await;
    assert_eq!(next, None);
    keys
}

/// Lets a key's time among the published be over.
fn let_end(world: &World, kid: &str) {
    let changed = "signs_until = '2026-01-01 00:00:00', published_until = '2026-01-01 00:00:00'";
    world.execute(&format!(
        "UPDATE signing_keys SET {changed} WHERE kid = '{kid}'"
    ));
}

#[actix_web::test]
async fn a_walk_goes_on_where_its_key_is_published_no_more() {
    for world in worlds().await {
        let operator = world.operator().await;
        for realm in ["sandbox", "live"] {
            let body = json!({ "realm": realm });
            operator.post("/keys/rotate", body).await.expect(201);
        }
        for realm in ["sandbox", "live"] {
            let before = all(&operator).await;
            // The one that has a successor further on: nothing is put in its place.
            let at = before.iter().position(|key| key["realm"] == realm).unwrap();
            let (begun, mut next) = page(&operator, &format!("limit={}", at + 1)).await;
            assert_eq!(begun, before[..=at]);
            let kid = before[at]["kid"].as_str().unwrap();
            match realm {
                "sandbox" => assert_eq!(revoke(&operator, kid).await.status, 200),
                _ => let_end(&world, kid),
            }
            let mut left = Vec::new();
            while let Some(query) = next {
                let (keys, more) = page(&operator, &query).await;
                left.extend(keys);
                next = more;
            }
            let after = all(&operator).await;
            assert_eq!(after.len(), before.len() - 1);
            assert_eq!(left, after[at..], "{realm}");
        }
        // Of no key that ever was: no-such-key.
        let refused = operator.get("/keys?cursor=bm8tc3VjaC1rZXk").await;
        assert_snapshot!(refused.problem(), @"400 invalid_parameter: cursor must be a next_cursor of an earlier page");
    }
}
