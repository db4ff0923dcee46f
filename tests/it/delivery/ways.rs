//! By which ways a secret travels, and what is kept of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{bare_client, issue, linked};
use crate::secrecy::{database, holds};
use crate::support::world::{Answer, Credential, worlds, worlds_with};
use crate::support::{assert_snapshot, recipient};

#[actix_web::test]
async fn what_a_request_says_of_the_way_is_checked() {
    for world in worlds().await {
        let (_, client) = bare_client(&world).await;
        let mut answers = Vec::new();
        for more in [
            json!({ "deliver": "pigeon" }),
            json!({ "deliver": "link", "delivery_ttl_seconds": 59 }),
            json!({ "deliver": "link", "delivery_ttl_seconds": 86_401 }),
            json!({ "delivery_ttl_seconds": 60 }),
            json!({ "deliver": "jwe" }),
            json!({ "deliver": "jwe", "recipient_jwk": "text" }),
            json!({ "deliver": "link", "recipient_jwk": recipient::ec().public }),
            json!({ "deliver": "pigeon", "recipient_jwk": {}, "delivery_ttl_seconds": 59 }),
            json!({ "deliver": "jwe", "recipient_jwk": {} }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "oct", "k": "AAAA" } }),
            json!({ "deliver": "jwe", "recipient_jwk": recipient::ec().private }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "EC", "crv": "P-521", "use": "sig", "x": "AA", "y": "AA" } }),
            json!({ "deliver": "jwe", "recipient_jwk": { "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB" } }),
        ] {
            let problem = issue(&world, &client, more).await.problem();
            let (_, faults) = problem.split_once('\n').unwrap();
            assert!(problem.starts_with("422 invalid_body"), "{problem}");
            answers.extend(faults.lines().map(|line| line.trim().to_owned()));
        }
        assert_snapshot!(answers.join("\n"), @r#"
        /deliver invalid: must be one of response, link, jwe
        /delivery_ttl_seconds invalid: must be a whole number from 60 to 86400
        /delivery_ttl_seconds invalid: must be a whole number from 60 to 86400
        /delivery_ttl_seconds invalid: is for "deliver": "link"
        /recipient_jwk missing: must be there: the recipient's public key
        /recipient_jwk type: must be an object
        /recipient_jwk invalid: is for "deliver": "jwe"
        /deliver invalid: must be one of response, link, jwe
        /recipient_jwk/kty missing: must be there
        /delivery_ttl_seconds invalid: must be a whole number from 60 to 86400
        /recipient_jwk/kty missing: must be there
        /recipient_jwk/k invalid: belongs to a private key: send the public key alone, and use this key for nothing any more
        /recipient_jwk/kty invalid: a symmetric key is nobody's public key: send an RSA or EC key
        /recipient_jwk/d invalid: belongs to a private key: send the public key alone, and use this key for nothing any more
        /recipient_jwk/use invalid: must be enc, or left out
        /recipient_jwk/crv invalid: must be P-256
        /recipient_jwk/n invalid: must have 2048 to 8192 bits; it has 1024
        "#);
        // Nothing was issued.
        assert_eq!(
            world.lines(&format!(
                "SELECT COUNT(*) || '' AS line FROM credentials WHERE client_id = '{client}'"
            )),
            ["0"]
        );
    }
}

#[actix_web::test]
async fn a_secret_encrypted_to_a_key_is_read_by_software_of_others() {
    let keys = [recipient::ec(), recipient::ec_direct(), recipient::rsa()];
    for world in worlds().await {
        for key in &keys {
            let (_, client) = bare_client(&world).await;
            let asked = json!({ "deliver": "jwe", "recipient_jwk": key.public });
            let issued = issue(&world, &client, asked).await.expect(201);
            assert_eq!(
                (issued.get("secret"), issued.get("delivery_url")),
                (None, None)
            );
            let jwe = issued["jwe"].as_str().unwrap();
            let read = recipient::jwcrypto(key, jwe);
            assert_eq!(read["header"]["alg"], key.alg);
            assert_eq!(read["header"]["kid"], key.public["kid"]);
            assert_eq!(
                (&read["header"]["enc"], &read["header"]["cty"]),
                (&json!("A256GCM"), &json!("json"))
            );
            let letter = &read["plaintext"];
            assert_eq!(
                (&letter["client_id"], &letter["credential_id"]),
                (&json!(client), &issued["id"])
            );
            let who = Credential {
                partner_id: String::new(),
                client_id: client,
                credential_id: issued["id"].as_str().unwrap().to_owned(),
                secret: letter["client_secret"].as_str().unwrap().to_owned(),
            };
            world.token("sandbox", &who, &[]).await;
            // To which key is on record, by its thumbprint.
            let details = world.lines(&format!(
                "SELECT details AS line FROM audit_events WHERE target = '{}' AND action = 'secret_delivery.created'",
                who.credential_id
            ));
            assert!(
                details[0].contains(read["thumbprint"].as_str().unwrap()),
                "{details:?}"
            );
        }
    }
}

#[actix_web::test]
async fn neither_database_nor_log_ever_holds_what_opens_a_secret() {
    for mut world in worlds_with(&[("ONYX_LOG", "trace")]).await {
        let (_, client) = bare_client(&world).await;
        let (_, link) = linked(&world, &client).await;
        let key = link.key.expose().to_string();
        let proof = link.proof().expose().to_string();
        let sealed = world
            .lines("SELECT ciphertext AS line FROM secret_deliveries")
            .remove(0);
        // Before it is opened: sealed, and with a key that is not there.
        let before = database(&world);
        assert!(holds(&before, &sealed));
        Answer::of(world.http.get(&link.url).send().await.unwrap()).await;
        let opened = link.open(&world).await.expect(200);
        assert_eq!(opened["ciphertext"], sealed);
        let who = link.unseal(&opened);
        link.open(&world).await.expect(410);

        let (_, second) = bare_client(&world).await;
        let asked = json!({ "deliver": "jwe", "recipient_jwk": recipient::ec().public });
        let jwe = issue(&world, &second, asked).await.expect(201);
        let jwe = jwe["jwe"].as_str().unwrap().to_owned();
        let content = jwe.split('.').nth(3).unwrap().to_owned();

        let log = world.log();
        assert!(log.contains("POST /deliveries/{id} 200") && log.contains("TRACE"));
        world.terminate();
        // The last to close the file, so that SQLite writes its log back into it.
        world.lines("SELECT id AS line FROM secret_deliveries");
        let after = database(&world);
        assert!(holds(&after, &who.credential_id));
        for (name, text) in [
            ("secret", &who.secret),
            ("fragment", &key),
            ("proof", &proof),
            ("jwe", &content),
        ] {
            for state in [&before, &after] {
                assert!(!holds(state, text), "{name} is in the database");
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                assert!(!holds(state, &hex), "{name} is in the database");
            }
            assert!(!log.contains(text.as_str()), "{name} is in the log");
        }
        // After it was opened, not even the sealed text is left.
        assert!(!holds(&after, &sealed), "the ciphertext is still there");
        assert!(!log.contains(&sealed));
    }
}
