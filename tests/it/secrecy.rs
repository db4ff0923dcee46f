//! No secret and no token is ever written to the log or to the database.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

use crate::support::world::{Answer, Credential, Engine, World, worlds_with};

/// Everything that the database holds, as bytes.
pub fn database(world: &World) -> Vec<u8> {
    match world.engine {
        Engine::Sqlite => ["onyx.db", "onyx.db-wal", "onyx.db-shm"]
            .iter()
            .filter_map(|name| std::fs::read(world.path().join("data").join(name)).ok())
            .flatten()
            .collect(),
        Engine::Postgres => {
            let tables = world.lines(
                "SELECT tablename AS line FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1",
            );
            assert!(tables.len() > 8);
            let rows = tables
                .iter()
                .map(|table| format!("SELECT row_to_json(t)::text AS line FROM {table} t"));
            let query = rows.collect::<Vec<_>>().join(" UNION ALL ");
            world.lines(&query).join("\n").into_bytes()
        }
    }
}

pub fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

/// The ways in which a secret or a token could be written down.
fn spellings(client: &str, secret: &str) -> Vec<String> {
    let basic = STANDARD.encode(format!("{client}:{secret}"));
    // A token is also known by its signature alone.
    let tail = secret.rsplit('.').next().unwrap().to_owned();
    vec![
        secret.to_owned(),
        tail,
        basic,
        STANDARD.encode(secret),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

async fn send(world: &World, method: Method, path: &str, authorization: &str, body: &str) -> u16 {
    let request = world
        .request(method, path)
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .body(body.to_owned());
    Answer::of(request.send().await.unwrap()).await.status
}

#[actix_web::test]
async fn no_secret_and_no_token_is_logged_or_stored() {
    for world in worlds_with(&[("ONYX_LOG", "trace")]).await {
        let mut secrets: Vec<(String, String)> = Vec::new();
        let mut keep = |client: &str, secret: &str| {
            secrets.push((client.to_owned(), secret.to_owned()));
        };

        // What goes well: an operator, a partner's client, tokens by Basic and by form, calls with them.
        let first = world.operator_credential();
        keep(&first.client_id, &first.secret);
        let operator = world.operator().await;
        keep("operator", &operator.token);
        let second = world.second_operator().await;
        keep("second", &second.token);
        let who = world.sandbox_client(&["orders:read"]).await;
        keep(&who.client_id, &who.secret);
        let token = world.token("sandbox", &who, &[]).await;
        keep("basic", &token);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", who.client_id.as_str()),
            ("client_secret", who.secret.as_str()),
        ];
        let by_form = world.token_form("sandbox", &form).await.expect(200);
        keep("form", by_form["access_token"].as_str().unwrap());
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);

        // What goes wrong: a wrong secret, one of another realm, one in the wrong place.
        let wrong = Credential {
            secret: format!("onyx_sbx_sk_{}", "Wrong7".repeat(8)),
            ..who.clone()
        };
        keep(&wrong.client_id, &wrong.secret);
        assert_eq!(world.token_answer("sandbox", &wrong, &[]).await.status, 401);
        assert_eq!(world.token_answer("live", &who, &[]).await.status, 401);
        let bad_scope = world
            .token_answer("sandbox", &who, &[("scope", "ledger:read")])
            .await;
        assert_eq!(bad_scope.status, 400);
        let in_query = format!(
            "/sandbox/oauth2/token?client_secret={}&access_token={token}",
            who.secret
        );
        world.get(&in_query, None).await;
        let in_path = format!("/sandbox/v1/{}", who.secret);
        assert_eq!(world.get(&in_path, Some(&token)).await.status, 404);
        let admin_path = format!("/admin/v1/clients/{}", who.secret);
        assert_eq!(operator.get(&admin_path).await.status, 404);
        let admin_query = format!("/clients?realm={}", who.secret);
        assert_eq!(operator.get(&admin_query).await.status, 400);

        // A spoilt token, a token where a client authenticates, a secret where a token belongs.
        let spoilt = format!("{}A", token.trim_end_matches(|c: char| c != '.'));
        assert_eq!(world.get("/sandbox/v1/me", Some(&spoilt)).await.status, 401);
        keep("spoilt", &spoilt);
        for authorization in [
            format!("Bearer {}", who.secret),
            format!(
                "Basic {}",
                STANDARD.encode(format!("{}:{token}", who.client_id))
            ),
            format!("Bearer {token} {token}"),
            who.secret.clone(),
        ] {
            for (method, path, body) in [
                (Method::GET, "/sandbox/v1/me", ""),
                (Method::POST, "/sandbox/oauth2/token", ""),
                (Method::POST, "/admin/v1/partners", "{}"),
            ] {
                let status = send(&world, method, path, &authorization, body).await;
                assert!((400..500).contains(&status), "{path}: {status}");
            }
        }
        // A secret as the value of a member that is refused.
        let body = json!({ "kind": who.secret, "expires_at": who.secret, who.secret.clone(): 1 });
        let path = format!("/clients/{}/credentials", who.client_id);
        assert_eq!(operator.post(&path, body).await.status, 422);
        let broken = format!("{{\"secret\": {}", who.secret);
        let authorization = format!("Bearer {}", operator.token);
        let status = send(
            &world,
            Method::POST,
            "/admin/v1/partners",
            &authorization,
            &broken,
        )
        .await;
        assert_eq!(status, 400);

        // Revoked: the secret is refused, and is as secret as before.
        operator.revoke(&who.credential_id).await.expect(200);
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);

        let (log, stored) = (world.log(), database(&world));
        assert!(log.contains("TRACE") && log.contains("POST /sandbox/oauth2/token"));
        assert!(holds(&stored, &who.client_id) && holds(&stored, &who.credential_id));
        for (name, secret) in &secrets {
            for spelling in spellings(name, secret).iter().filter(|s| s.len() > 8) {
                assert!(!log.contains(spelling), "{name} is in the log");
                assert!(!holds(&stored, spelling), "{name} is in the database");
            }
        }
        let lower = log.to_ascii_lowercase();
        for header in [
            "authorization:",
            "authorization\"",
            "basic y2",
            "bearer ey",
            "bearer onyx",
        ] {
            assert!(!lower.contains(header), "the log shows {header}");
        }
        let master = std::fs::read_to_string(world.path().join("keys/master.key")).unwrap();
        assert!(!log.contains(master.trim()) && !holds(&stored, master.trim()));
        assert!(!holds(&stored, "PRIVATE KEY") && !log.contains("PRIVATE KEY"));
        assert!(!log.contains("\"d\":") && !holds(&stored, "\"d\":"));
    }
}

#[actix_web::test]
async fn the_command_line_logs_no_secret_either() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[("ONYX_LOG", "trace")]);
        let shown = world.run(&["quickstart", "--exit", "--json"]);
        assert!(shown.status.success());
        let log = String::from_utf8(shown.stderr).unwrap();
        assert!(log.contains("TRACE"));
        let demo: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        let stored = database(&world);
        for member in ["client_secret", "access_token"] {
            for spelling in spellings(
                demo["client_id"].as_str().unwrap(),
                demo[member].as_str().unwrap(),
            ) {
                assert!(!log.contains(&spelling), "{member}");
                assert!(!holds(&stored, &spelling), "{member}");
            }
        }
        let operator = world.operator_credential();
        assert!(!log.contains(&operator.secret) && !holds(&stored, &operator.secret));
        let recovered = world.run(&["operator", "recover", "--out", "again.json"]);
        assert!(recovered.status.success());
        let fresh = world.credential_file("again.json");
        assert_ne!(fresh.secret, operator.secret);
        let told = [recovered.stdout, recovered.stderr].concat();
        assert!(!holds(&told, &fresh.secret));
    }
}
