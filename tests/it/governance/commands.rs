//! The same from the command line.

use std::process::Output;

use super::text;
use crate::support::assert_snapshot;
use crate::support::governance::{COMPUTED, DAY};
use crate::support::world::{World, in_future, worlds};

/// What a refused command tells, with its exit code.
fn refused(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    format!(
        "exit {}\n{}",
        output.status.code().unwrap(),
        told.trim_end()
    )
}

/// Runs a command with another operator's credential.
fn as_other(world: &World, file: &str, arguments: &[&str]) -> Output {
    let mut command = world.command(arguments);
    command.env("ONYX_ADMIN_CREDENTIAL", file).output().unwrap()
}

fn ended_well(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[actix_web::test]
async fn the_command_line_leads_a_partner_to_live_and_out_again() {
    for world in worlds().await {
        let partner = world.operator().await.partner().await;
        let p = partner.as_str();
        world.cli(&["operator", "recover", "--out", "second.json"]);
        let second = |arguments: &[&str]| as_other(&world, "second.json", arguments);

        let grant = world.cli(&[
            "grant",
            "request",
            "--partner",
            p,
            "--realm",
            "live",
            "--scope",
            "orders:read",
            "--purpose",
            "orders",
            "--days",
            "30",
            "--field",
            "id",
        ]);
        ended_well(second(&["grant", "approve", &grant]));
        let make = [
            "client",
            "create",
            "--partner",
            p,
            "--realm",
            "live",
            "--name",
            "backend",
            "--scope",
            "orders:read",
            "--field",
            "id",
        ];
        assert_snapshot!(refused(&world.run(&make)), @"
        exit 1
        onyx-auth: 409 not_ready_for_live: the partner is not ready for live; missing: contract, privacy_notice, launch_review
        ");

        std::fs::write(world.path().join("contract.pdf"), "signed").unwrap();
        let end = in_future(30 * DAY);
        let agreement = world.cli(&[
            "agreement",
            "record",
            "--partner",
            p,
            "--kind",
            "contract",
            "--reference",
            "MSA-17",
            "--document",
            "contract.pdf",
            "--expires-at",
            &end,
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&[
                "agreement",
                "list",
                "--partner",
                p,
                "--field",
                "document_sha256"
            ]),
            "4a3cdfae6f291c8f544daea5b72905cf9e74c1ed427d831ad0d7ca00c73c794d"
        );
        let in_force = [
            "agreement",
            "bring-into-force",
            &agreement,
            "--field",
            "state",
        ];
        assert_eq!(world.cli(&in_force), "in_force");
        assert_snapshot!(refused(&world.run(&in_force)), @"
        exit 1
        onyx-auth: 409 illegal_transition: the agreement is in_force; from there: expired, terminated
        ");
        let notice = world.cli(&[
            "partner",
            "privacy-notice",
            "set",
            p,
            "--requests",
            "orders",
            "--purpose",
            "showing them",
            "--retention",
            "30 days",
            "--how-to-revoke",
            "in the settings",
            "--support-contact",
            "privacy@acme.example",
            "--field",
            "id",
        ]);
        assert_eq!(
            world.cli(&["partner", "privacy-notice", "show", p, "--field", "id"]),
            notice
        );

        assert_eq!(
            world.cli(&["launch", "request", "--partner", p, "--field", "state"]),
            "draft"
        );
        let waive = |check| {
            [
                "launch",
                "check",
                check,
                "--partner",
                p,
                "--state",
                "waived",
                "--reason",
                "later",
            ]
        };
        assert_snapshot!(refused(&world.run(&waive("sandbox_order"))), @"
        exit 1
        onyx-auth: 403 four_eyes: who asked does not decide: another operator must
        ");
        for check in COMPUTED {
            ended_well(second(&waive(check)));
        }
        for check in ["privacy_review", "support_path"] {
            world.cli(&[
                "launch",
                "check",
                check,
                "--partner",
                p,
                "--state",
                "passed",
                "--evidence",
                "PR-7",
            ]);
        }
        let shown = world.cli(&["launch", "show", "--partner", p]);
        assert!(
            shown.contains("submitted") && shown.contains("CHECK"),
            "{shown}"
        );
        let decide = [
            "launch",
            "decide",
            "--partner",
            p,
            "--decision",
            "approve",
            "--reason",
            "all seen",
            "--field",
            "state",
        ];
        assert_eq!(refused(&world.run(&decide)).lines().next(), Some("exit 1"));
        assert_eq!(ended_well(second(&decide)), "approved");
        let json: serde_json::Value =
            serde_json::from_str(&world.cli(&["--json", "launch", "show", "--partner", p]))
                .unwrap();
        assert_eq!(text(&json["checks"][0], "state"), "waived");
        let client = world.cli(&make);
        assert!(client.starts_with("cl_live_"));

        // What cannot be undone wants a word more than what can.
        assert_snapshot!(refused(&world.run(&["agreement", "terminate", &agreement, "--reason", "over"])), @"
        exit 2
        onyx-auth: this is asked about first, and nobody can be asked here: say --yes
        ");
        let terminate = [
            "agreement",
            "terminate",
            &agreement,
            "--reason",
            "over",
            "--yes",
            "--field",
            "state",
        ];
        assert_eq!(world.cli(&terminate), "terminated");
        let edited = world.cli(&[
            "partner",
            "edit",
            p,
            "--name",
            "Acme & Sons",
            "--leaked-secret-grace",
            "true",
            "--field",
            "name",
        ]);
        assert_eq!(edited, "Acme & Sons");
        assert_eq!(
            world.cli(&["partner", "show", p, "--field", "leaked_secret_grace"]),
            "true"
        );
        assert_snapshot!(refused(&world.run(&["partner", "edit", p])), @"
        exit 2
        onyx-auth: name what is to change
        ");
        for (arguments, state) in [
            (vec!["suspend", "--yes"], "suspended"),
            (vec!["resume"], "approved"),
            (vec!["suspend", "--yes"], "suspended"),
        ] {
            let mut command = vec![
                "partner",
                arguments[0],
                p,
                "--reason",
                "trying",
                "--field",
                "state",
            ];
            command.extend(&arguments[1..]);
            assert_eq!(world.cli(&command), state);
        }
        let offboard = [
            "partner", "offboard", p, "--reason", "the end", "--field", "state",
        ];
        assert_snapshot!(refused(&world.run(&offboard)), @"
        exit 2
        onyx-auth: this is asked about first, and nobody can be asked here: say --yes
        ");
        let sure: Vec<_> = offboard.iter().copied().chain(["--yes"]).collect();
        assert_eq!(world.cli(&sure), "offboarded");
        assert_eq!(
            world.cli(&["client", "show", &client, "--field", "state"]),
            "revoked"
        );
        assert_eq!(
            world.cli(&["partner", "list", "--state", "offboarded", "--field", "id"]),
            partner
        );
        assert_eq!(
            world.cli(&["partner", "list", "--state", "approved", "--field", "id"]),
            ""
        );
    }
}
