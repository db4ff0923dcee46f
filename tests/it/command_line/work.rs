//! What an operator does with it.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{ENGINES, ended, keep, refused};
use crate::support::assert_snapshot;
use crate::support::world::{World, worlds};

#[actix_web::test]
async fn an_operator_onboards_a_partner_and_cuts_it_off_again() {
    for engine in ENGINES {
        let mut world = World::prepare(engine, &[]);
        let made = world.run(&["operator", "bootstrap", "--field", "id"]);
        let (code, prose) = ended(&made);
        assert_eq!(code, 0);
        assert!(prose.ends_with("The operator's credential is in data/operator.json.\n"));
        assert!(made.stdout.starts_with(b"cl_adm_"));
        let file = std::fs::metadata(world.path().join("data/operator.json")).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o600);
        world.start().await;

        let partner = world.cli(&[
            "partner",
            "create",
            "--name",
            "Acme",
            "--security-contact",
            "sec@acme.example",
            "--field",
            "id",
        ]);
        assert!(partner.starts_with("ptn_"));
        assert_eq!(
            world.cli(&[
                "partner", "approve", &partner, "--reason", "signed", "--field", "state"
            ]),
            "approved"
        );
        let grants = world.cli(&[
            "grant",
            "request",
            "--partner",
            &partner,
            "--realm",
            "sandbox",
            "--scope",
            "orders:read",
            "--scope",
            "catalogue:read",
            "--purpose",
            "showing orders",
            "--field",
            "state",
        ]);
        assert_eq!(grants, "approved\napproved");
        let client = world.cli(&[
            "client",
            "create",
            "--partner",
            &partner,
            "--realm",
            "sandbox",
            "--name",
            "backend",
            "--scope",
            "orders:read",
            "--scope",
            "catalogue:read",
            "--default-scope",
            "orders:read",
            "--token-ttl",
            "60",
            "--field",
            "id",
        ]);
        assert!(client.starts_with("cl_sbx_"));

        let issued = world.run(&[
            "credential",
            "issue",
            "--client",
            &client,
            "--field",
            "secret",
        ]);
        assert_eq!(
            ended(&issued),
            (
                0,
                "This is the only time that the secret is shown.\n".to_owned()
            )
        );
        let secret = String::from_utf8(issued.stdout).unwrap();
        assert!(secret.starts_with("onyx_sbx_sk_") && secret.ends_with('\n'));
        keep(&world, "acme.json", &client, secret.trim(), 0o600);

        let request = ["token", "request", "--credential", "acme.json"];
        let token = world.cli(&[&request[..], &["--field", "access_token"]].concat());
        let inspected = world.run_with_input(&["token", "inspect", "-", "--json"], &token);
        assert!(inspected.status.success() && inspected.stderr.is_empty());
        let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(
            (
                &inspected["valid"],
                &inspected["claims"]["client_id"],
                &inspected["claims"]["scope"]
            ),
            (&json!(true), &json!(client), &json!("orders:read"))
        );
        let wide = [
            &request[..],
            &["--scope", "catalogue:read orders:read", "--field", "scope"],
        ]
        .concat();
        assert_eq!(world.cli(&wide), "catalogue:read orders:read");

        let credential = world.cli(&["credential", "list", "--client", &client, "--field", "id"]);
        let unsure = world.run(&["credential", "revoke", &credential]);
        assert_snapshot!(refused(&unsure), @"
        exit 2
        onyx-auth: this is asked about first, and nobody can be asked here: say --yes
        ");
        assert!(world.run(&request).status.success());
        let sure = [
            "credential",
            "revoke",
            &credential,
            "--reason",
            "compromised",
            "--yes",
        ];
        assert_eq!(
            world.cli(&[&sure[..], &["--field", "state"]].concat()),
            "revoked"
        );
        assert_snapshot!(refused(&world.run(&request)).replace(&world.base, "SERVER"), @"
        exit 1
        onyx-auth: no token from SERVER: 400 invalid_client: client authentication failed
        ");
        assert_snapshot!(refused(&world.run(&sure)), @"
        exit 1
        onyx-auth: 409 illegal_transition: the credential is revoked; from there: nothing
        ");
    }
}

#[actix_web::test]
async fn a_grant_for_live_is_decided_by_another_operators_credential() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let grant = world.cli(&[
            "grant",
            "request",
            "--partner",
            &partner,
            "--realm",
            "live",
            "--scope",
            "orders:read",
            "--purpose",
            "showing orders",
            "--data-class",
            "orders",
            "--days",
            "30",
            "--field",
            "id",
        ]);
        assert_snapshot!(refused(&world.run(&["grant", "approve", &grant])), @"
        exit 1
        onyx-auth: 403 four_eyes: who asked does not decide: another operator must
        ");
        // Made by a third, so that the second is nobody's puppet.
        world.cli(&["operator", "recover", "--out", "third.json"]);
        let as_third = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            let output = command
                .env("ONYX_ADMIN_CREDENTIAL", "third.json")
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let second = as_third(&[
            "operator",
            "create",
            "--name",
            "second",
            "--scope",
            "grants:decide",
            "--field",
            "id",
        ]);
        let secret = as_third(&[
            "credential",
            "issue",
            "--client",
            &second,
            "--field",
            "secret",
        ]);
        keep(&world, "second.json", &second, &secret, 0o600);
        let as_second = |arguments: &[&str]| {
            let mut command = world.command(arguments);
            command
                .env("ONYX_ADMIN_CREDENTIAL", "second.json")
                .output()
                .unwrap()
        };
        let approved = as_second(&["grant", "approve", &grant, "--field", "state"]);
        assert_eq!(String::from_utf8_lossy(&approved.stdout), "approved\n");
        assert_snapshot!(refused(&as_second(&["grant", "deny", &grant])), @"
        exit 1
        onyx-auth: 409 illegal_transition: the grant is approved; from there: revoked, expired
        ");
        assert_snapshot!(refused(&as_second(&["partner", "list"])), @"
        exit 1
        onyx-auth: 403 insufficient_scope: the token lacks the scope partners:read
        ");
        assert_eq!(
            world.cli(&["grant", "list", "--partner", &partner, "--field", "state"]),
            "approved"
        );
    }
}

#[actix_web::test]
async fn what_the_server_refuses_is_told_member_by_member() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let answer = world.run(&[
            "client",
            "create",
            "--partner",
            &partner,
            "--realm",
            "mars",
            "--name",
            " ",
            "--scope",
            "orders read",
            "--token-ttl",
            "1",
            "--expires-at",
            "soon",
        ]);
        assert_snapshot!(refused(&answer), @"
        exit 1
        onyx-auth: 422 invalid_body: the request body has members that must be mended; see errors
        onyx-auth:   /realm must be one of sandbox, live
        onyx-auth:   /name must be 1 to 200 characters, without control characters
        onyx-auth:   /scopes/0 must be a scope of 1 to 128 visible ASCII characters without space, quote or backslash
        onyx-auth:   /token_ttl must be a whole number from 60 to 900
        onyx-auth:   /expires_at must be a time like 2030-01-31T12:00:00Z (RFC 3339)
        ");
    }
}
