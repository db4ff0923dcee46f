//! What is served where.

use serde_json::json;

use super::ENGINES;
use crate::support::world::{Engine, World, free_address};

#[actix_web::test]
async fn a_listener_of_its_own_takes_the_admin_realm_off_the_public_one() {
    for engine in ENGINES {
        let admin = free_address();
        let mut world = World::prepare(engine, &[("ONYX_ADMIN_LISTEN", &admin)]);
        world.cli(&["operator", "bootstrap"]);
        world.start().await;
        for path in [
            "/admin/v1/partners",
            "/admin/oauth2/jwks",
            "/.well-known/oauth-authorization-server/admin",
            "/admin/.well-known/openid-configuration",
        ] {
            assert_eq!(world.get(path, None).await.status, 404, "{path}");
        }
        let body = [("grant_type", "client_credentials")];
        assert_eq!(world.token_form("admin", &body).await.status, 404);
        world.get("/sandbox/oauth2/jwks", None).await.expect(200);

        let there = format!("http://{admin}");
        let get = async |path: &str| {
            let answer = world.http.get(format!("{there}{path}")).send().await;
            answer.unwrap().status().as_u16()
        };
        assert_eq!(get("/admin/oauth2/jwks").await, 200);
        assert_eq!(get("/admin/v1/partners").await, 401);
        assert_eq!(get("/sandbox/oauth2/jwks").await, 404);
        assert_eq!(get("/sandbox/v1/me").await, 404);
        assert_eq!(get("/readyz").await, 404);

        // The command line finds it by ONYX_SERVER.
        let mut list = world.command(&["partner", "list", "--json"]);
        let list = list.env("ONYX_SERVER", &there).output().unwrap();
        assert!(list.status.success(), "{list:?}");
        let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
        assert_eq!(list, json!({ "data": [], "next_cursor": null }));
    }
}

#[actix_web::test]
async fn a_process_serves_only_its_roles() {
    for (roles, jwks, me, partners) in [
        ("auth,admin,worker", 200, 404, 401),
        ("auth,api", 200, 401, 404),
        ("api", 404, 401, 404),
        ("admin", 404, 404, 401),
        ("worker", 404, 404, 404),
    ] {
        let mut world = World::prepare(Engine::Sqlite, &[("ONYX_ROLES", roles)]);
        world.start().await;
        let seen = (
            world.get("/sandbox/oauth2/jwks", None).await.status,
            world.get("/sandbox/v1/me", None).await.status,
            world.get("/admin/v1/partners", None).await.status,
        );
        assert_eq!(seen, (jwks, me, partners), "{roles}");
    }
}
