//! Rotations at the command line.

use serde_json::{Value, json};

use super::status;
use crate::support::world::{Engine, World, worlds};

#[actix_web::test]
async fn rotations_at_the_command_line() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let id = world.cli(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--overlap-seconds",
            "3600",
            "--field",
            "id",
        ]);
        let refused = world.run(&["credential", "undo-rotation", &who.credential_id]);
        assert_eq!(refused.status.code(), Some(2));
        // Into a file of its own it goes unseen, and takes nobody's place.
        let rotate = ["credential", "rotate", &id, "--out"];
        let taken = world.run(&[&rotate[..], &["data/operator.json"]].concat());
        assert_eq!(taken.status.code(), Some(1));
        let undone = world.cli(&[
            "credential",
            "undo-rotation",
            "--yes",
            &who.credential_id,
            "--field",
            "state",
        ]);
        assert_eq!(undone, "active");
        let listed = world.cli(&[
            "credential",
            "list",
            "--client",
            &who.client_id,
            "--field",
            "id",
        ]);
        assert_eq!(listed, format!("{}\n{id}", who.credential_id));
        // A mistyped field costs no secret.
        let mistyped = world.run(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--field",
            "secrte",
        ]);
        assert_eq!(mistyped.status.code(), Some(2));
        let unasked = world.run(&[
            "credential",
            "rotate",
            &who.credential_id,
            "--overlap-seconds",
            "0",
        ]);
        assert_eq!(unasked.status.code(), Some(2));

        let other = world.sandbox_client(&["orders:read"]).await;
        let rotate = [
            "credential",
            "rotate",
            &other.credential_id,
            "--out",
            "next.json",
            "--json",
        ];
        let shown: Value = serde_json::from_str(&world.cli(&rotate)).unwrap();
        assert_eq!(
            (&shown["secret"], &shown["replaces"]),
            (&Value::Null, &json!(other.credential_id))
        );
        let next = world.credential_file("next.json");
        assert_eq!(
            (next.client_id.as_str(), status(&world, &next).await),
            (&*other.client_id, 200)
        );

        let file = json!({ "server": world.base, "client_id": who.client_id, "client_secret": who.secret });
        let path = world.path().join("partner.json");
        std::fs::write(&path, file.to_string()).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        let new = world.cli(&[
            "token",
            "rotate-secret",
            "--credential",
            "partner.json",
            "--field",
            "credential_id",
        ]);
        let kept = world.credential_file("partner.json");
        assert_ne!(kept.secret, who.secret);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(&path).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o600);
        world.cli(&["token", "request", "--credential", "partner.json"]);
        let finished = world.cli(&[
            "credential",
            "finish-rotation",
            "--yes",
            &who.credential_id,
            "--field",
            "replaced_by",
        ]);
        assert_eq!(finished, new);
        assert_eq!(
            (status(&world, &who).await, status(&world, &kept).await),
            (401, 200)
        );
    }
}

#[actix_web::test]
async fn quickstart_mends_a_secret_that_has_ended() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let world = World::prepare(engine, &[]);
        let run = || world.cli(&["quickstart", "--exit", "--json"]);
        let secret =
            |shown: &str| serde_json::from_str::<Value>(shown).unwrap()["client_secret"].clone();
        let first = secret(&run());
        assert_eq!(secret(&run()), first);
        world.execute("UPDATE credentials SET expires_at = '2020-01-01 00:00:00' WHERE expires_at IS NOT NULL");
        assert_ne!(secret(&run()), first);
    }
}
