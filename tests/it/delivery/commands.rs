//! Links at the command line, and from the page to a terminal.

use serde_json::Value;

use super::{bare_client, linked};
use crate::support::world::{Answer, Credential, worlds};
use crate::support::{assert_snapshot, recipient};

#[actix_web::test]
async fn the_command_line_sends_links_opens_them_and_disowns_them() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let issue = |more: &[&str]| {
            world.cli(&[&["credential", "issue", "--client", &client], more].concat())
        };
        let url = issue(&[
            "--deliver",
            "link",
            "--delivery-ttl",
            "60",
            "--field",
            "delivery_url",
        ]);

        // A link is no argument, and what cannot be kept is not opened.
        let refused = world.run(&["credential", "open", &url]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(!text(&refused.stderr).contains('#'));
        std::fs::create_dir(world.path().join("folder")).unwrap();
        let refused = world.run_with_input(&["credential", "open", "--out", "folder"], &url);
        assert_eq!(refused.status.code(), Some(1));
        let refused = world.run_with_input(&["credential", "open", "--field", "nothing"], &url);
        assert_eq!(refused.status.code(), Some(2));
        let cut = world.run_with_input(&["credential", "open"], url.split_once('#').unwrap().0);
        assert_snapshot!(text(&cut.stderr), @"onyx-auth: this is no link to a secret: it must be https://…/deliveries/sdl_…#… whole
        ");

        let opened = world.run_with_input(
            &["credential", "open", "--field", "client_secret"],
            &format!("{url}\n"),
        );
        assert!(opened.status.success(), "{}", text(&opened.stderr));
        let who = Credential {
            partner_id: String::new(),
            client_id: client.clone(),
            credential_id: String::new(),
            secret: text(&opened.stdout).trim().to_owned(),
        };
        world.token("sandbox", &who, &[]).await;

        // Too late: told so, and what to do.
        std::fs::write(world.path().join("link"), &url).unwrap();
        let again = world.run(&["credential", "open", "link"]);
        assert_eq!(again.status.code(), Some(1));
        let told = text(&again.stderr);
        assert!(
            told.contains("410 delivery_opened") && told.contains("credential disown"),
            "{told}"
        );
        let unsure = world.run(&["credential", "disown", "link"]);
        assert_eq!(unsure.status.code(), Some(2));
        assert_eq!(
            world.cli(&["credential", "disown", "link", "--yes", "--field", "state"]),
            "revoked"
        );
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);

        // Kept in a file of one's own.
        let url = issue(&["--deliver", "link", "--field", "delivery_url"]);
        let kept = world.run_with_input(
            &["credential", "open", "--out", "kept.json", "--json"],
            &url,
        );
        assert!(kept.status.success() && !text(&kept.stdout).contains("onyx_sbx_sk_"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(world.path().join("kept.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = world.cli(&[
            "token",
            "request",
            "--credential",
            "kept.json",
            "--field",
            "access_token",
        ]);
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);

        // Encrypted to a key; a private one does not leave the machine.
        let key = recipient::ec();
        std::fs::write(world.path().join("public.jwk"), key.public.to_string()).unwrap();
        std::fs::write(world.path().join("private.jwk"), key.private.to_string()).unwrap();
        let arguments = [
            "credential",
            "issue",
            "--client",
            &client,
            "--deliver",
            "jwe",
            "--field",
            "jwe",
        ];
        let refused = world.run(&[&arguments[..], &["--recipient-jwk", "private.jwk"]].concat());
        assert_snapshot!(text(&refused.stderr), @"onyx-auth: private.jwk: d belongs to a private key: send the public key alone, and use this key for nothing any more
        ");
        let jwe = world.cli(&[&arguments[..], &["--recipient-jwk", "public.jwk"]].concat());
        assert_eq!(
            recipient::jwcrypto(&key, &jwe)["plaintext"]["client_id"],
            client
        );
    }
}

#[actix_web::test]
async fn the_script_that_the_page_shows_for_a_terminal_works() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let page = Answer::of(world.http.get(link.place()).send().await.unwrap())
            .await
            .text;
        let script = page.split_once("<pre id=\"python\">").unwrap().1;
        let script = script.split_once("</pre>").unwrap().0;
        let letter = recipient::python(script, &format!("{}\n", link.url));
        let letter: Value = serde_json::from_str(&letter).unwrap();
        assert_eq!(letter["client_id"], client);
        let who = Credential {
            partner_id: String::new(),
            client_id: client,
            credential_id: String::new(),
            secret: letter["client_secret"].as_str().unwrap().to_owned(),
        };
        world.token("sandbox", &who, &[]).await;
    }
}
