//! Proofs over HTTP, checked here by the book and not by the server's own code: RFC 9162 §2.1.3.2 and §2.1.4.2,
//! and C2SP signed-note.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::settled;
use crate::support::world::{Answer, World, worlds};

fn node(left: &[u8], right: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[&[1], left, right].concat())
        .as_ref()
        .to_vec()
}

fn decode(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

/// The size and the root of a checkpoint with a good signature.
fn verified(note: &str, key: &str) -> (u64, Vec<u8>) {
    let (name, rest) = key.trim().split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    let key = STANDARD.decode(key).unwrap();
    assert_eq!((key[0], key.len()), (1, 33));
    let expected = digest(&SHA256, &[name.as_bytes(), b"\n", &key].concat());
    assert_eq!(
        u32::from_str_radix(id, 16).unwrap().to_be_bytes(),
        expected.as_ref()[..4]
    );
    let (text, signature) = note.split_once("\n\n").unwrap();
    let signature = signature
        .strip_prefix(&format!("\u{2014} {name} "))
        .unwrap();
    let signature = STANDARD.decode(signature.trim_end()).unwrap();
    assert_eq!(signature[..4], expected.as_ref()[..4]);
    let text = format!("{text}\n");
    UnparsedPublicKey::new(&ED25519, &key[1..])
        .verify(text.as_bytes(), &signature[4..])
        .unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines[0], lines.len()), (name, 3));
    (
        lines[1].parse().unwrap(),
        STANDARD.decode(lines[2]).unwrap(),
    )
}

/// RFC 9162 §2.1.3.2.
fn root_of(proof: &Value, size: u64) -> Vec<u8> {
    let leaf = [&[0], &decode(&proof["leaf"])[..]].concat();
    let mut root = digest(&SHA256, &leaf).as_ref().to_vec();
    assert_eq!(root, decode(&proof["leaf_hash"]));
    let (mut fnode, mut snode) = (proof["leaf_index"].as_u64().unwrap(), size - 1);
    for hash in proof["hashes"].as_array().unwrap() {
        let hash = decode(hash);
        assert!(snode > 0);
        if fnode % 2 == 1 || fnode == snode {
            root = node(&hash, &root);
            while fnode.is_multiple_of(2) && fnode > 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            root = node(&root, &hash);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    assert_eq!(snode, 0);
    root
}

/// RFC 9162 §2.1.4.2.
fn grew(hashes: &[Vec<u8>], from: (u64, &[u8]), to: (u64, &[u8])) {
    let mut path = hashes.to_vec();
    if from.0 == to.0 {
        assert!(path.is_empty() && from.1 == to.1);
        return;
    }
    if from.0.is_power_of_two() {
        path.insert(0, from.1.to_vec());
    }
    let (mut fnode, mut snode) = (from.0 - 1, to.0 - 1);
    while fnode % 2 == 1 {
        fnode >>= 1;
        snode >>= 1;
    }
    let (mut first, mut second) = (path[0].clone(), path[0].clone());
    for hash in &path[1..] {
        assert!(snode > 0);
        if fnode % 2 == 1 || fnode == snode {
            first = node(hash, &first);
            second = node(hash, &second);
            while fnode.is_multiple_of(2) && fnode > 0 {
                fnode >>= 1;
                snode >>= 1;
            }
        } else {
            second = node(&second, hash);
        }
        fnode >>= 1;
        snode >>= 1;
    }
    assert!(snode == 0 && first == from.1 && second == to.1);
}

async fn text(world: &World, path: &str) -> String {
    let operator = world.operator().await;
    let answer: Answer = operator.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.header("content-type").starts_with("text/plain"));
    answer.text
}

#[actix_web::test]
async fn every_event_is_provably_in_the_tree_and_the_tree_only_grows() {
    for world in worlds().await {
        let operator = world.operator().await;
        operator.partner().await;
        settled(&world).await;
        let key = text(&world, "/audit/key").await;
        let earlier = text(&world, "/audit/checkpoint").await;
        let (past, past_root) = verified(&earlier, &key);
        world.sandbox_client(&["orders:read"]).await;
        settled(&world).await;
        let (size, root) = verified(&text(&world, "/audit/checkpoint").await, &key);
        assert!(size > past);
        let grown = operator
            .get(&format!("/audit/consistency?from={past}"))
            .await
            .expect(200);
        let hashes: Vec<_> = grown["hashes"]
            .as_array()
            .unwrap()
            .iter()
            .map(decode)
            .collect();
        assert_eq!(
            (grown["to"].as_u64().unwrap(), &grown["key"]),
            (size, &Value::from(key.trim()))
        );
        grew(&hashes, (past, &past_root), (size, &root));
        let mut places = Vec::new();
        let mut path = "/audit/events?limit=7".to_owned();
        loop {
            let page = operator.get(&path).await.expect(200);
            for event in page["data"].as_array().unwrap() {
                let proof = operator
                    .get(&format!(
                        "/audit/events/{}/proof",
                        event["id"].as_str().unwrap()
                    ))
                    .await
                    .expect(200);
                assert_eq!(&proof["event"], event);
                let (of, root) = verified(
                    proof["checkpoint"].as_str().unwrap(),
                    proof["key"].as_str().unwrap(),
                );
                assert_eq!(proof["tree_size"].as_u64(), Some(of));
                assert_eq!(root_of(&proof, of), root);
                // The leaf holds the event, and of its address a commitment alone.
                let leaf = decode(&proof["leaf"]);
                let holds =
                    |text: &str| leaf.windows(text.len()).any(|part| part == text.as_bytes());
                for name in ["id", "at", "actor", "action", "target", "outcome"] {
                    assert!(holds(event[name].as_str().unwrap()), "{name}");
                }
                assert!(holds(&event["details"].to_string()));
                if let Some(address) = event["source_ip"].as_str() {
                    assert!(!holds(address));
                    assert!(holds(proof["source_ip_commitment"].as_str().unwrap()));
                }
                places.push(proof["leaf_index"].as_u64().unwrap());
            }
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            path = format!("/audit/events?limit=7&cursor={cursor}");
        }
        places.sort_unstable();
        assert_eq!(places, (0..size).collect::<Vec<_>>());
        // The same by the command line, which checks before it prints.
        let event = &operator.get("/audit/events?limit=1").await.expect(200)["data"][0];
        let id = event["id"].as_str().unwrap();
        assert_eq!(
            world.cli(&["audit", "proof", id, "--field", "leaf_index"]),
            event["leaf_index"].to_string()
        );
        for (query, code) in [
            ("", 400),
            ("?from=0", 400),
            ("?from=2&to=1", 400),
            ("?from=1&to=99999999", 400),
        ] {
            let answer = operator.get(&format!("/audit/consistency{query}")).await;
            assert_eq!(answer.expect(code)["code"], "invalid_parameter");
        }
        let unknown = format!("/audit/events/aud_{}/proof", "0".repeat(26));
        operator.get(&unknown).await.expect(404);
    }
}

#[actix_web::test]
async fn events_are_found_by_what_they_say() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (one, two) = (operator.partner().await, operator.partner().await);
        let found = async |query: &str| {
            let page = operator
                .get(&format!("/audit/events?limit=100&{query}"))
                .await
                .expect(200);
            let all = page["data"].as_array().unwrap().iter();
            all.map(|event| {
                format!(
                    "{} {}",
                    event["action"].as_str().unwrap(),
                    event["target"].as_str().unwrap()
                )
            })
            .collect::<Vec<_>>()
        };
        let of = |partner: &str| {
            vec![
                format!("partner.created {partner}"),
                format!("partner.approved {partner}"),
            ]
        };
        assert_eq!(found(&format!("partner_id={one}")).await, of(&one));
        assert_eq!(found(&format!("target={two}")).await, of(&two));
        assert_eq!(
            found(&format!("actor={}&action=partner.approved", operator.id())).await,
            [of(&one)[1].clone(), of(&two)[1].clone()]
        );
        assert!(
            found(&format!("target={two}&outcome=refused"))
                .await
                .is_empty()
        );
        assert!(found(&format!("target={two}&realm=live")).await.is_empty());
        let all = operator
            .get(&format!("/audit/events?target={two}"))
            .await
            .expect(200);
        let second = all["data"][1]["at"].as_str().unwrap();
        assert_eq!(
            found(&format!("target={two}&from={second}")).await,
            of(&two)[1..]
        );
        assert_eq!(
            found(&format!("target={two}&to={second}")).await,
            of(&two)[..1]
        );
        for bad in [
            "action=partner.eaten",
            "outcome=maybe",
            "from=yesterday",
            "colour=red",
        ] {
            let answer = operator.get(&format!("/audit/events?{bad}")).await;
            assert_eq!(answer.expect(400)["code"], "invalid_parameter", "{bad}");
        }
        let listed = world.cli(&["audit", "list", "--partner", &one, "--field", "action"]);
        assert_eq!(listed, "partner.created\npartner.approved");
    }
}

#[actix_web::test]
async fn a_partner_sees_and_proves_its_own_rows_and_no_others() {
    for world in worlds().await {
        let (mine, theirs) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        settled(&world).await;
        let tokens = [
            world.token("sandbox", &mine, &[]).await,
            world.token("sandbox", &theirs, &[]).await,
        ];
        let list = async |token: &str| {
            let page = world
                .get("/sandbox/v1/audit/events?limit=100", Some(token))
                .await
                .expect(200);
            page["data"].as_array().unwrap().clone()
        };
        let (of_mine, of_theirs) = (list(&tokens[0]).await, list(&tokens[1]).await);
        assert!(of_mine.len() > 1 && of_theirs.len() > 1);
        for event in &of_mine {
            assert_eq!(
                (&event["partner_id"], &event["realm"]),
                (&Value::from(&*mine.partner_id), &Value::from("sandbox"))
            );
            // An operator's address is none of a partner's business.
            let actor = event["actor"].as_str().unwrap();
            assert!(actor.starts_with("cl_adm_") || actor == "policy", "{actor}");
            assert_eq!(event["source_ip"], Value::Null);
            let path = format!(
                "/sandbox/v1/audit/events/{}/proof",
                event["id"].as_str().unwrap()
            );
            let proof = world.get(&path, Some(&tokens[0])).await.expect(200);
            let (size, root) = verified(
                proof["checkpoint"].as_str().unwrap(),
                proof["key"].as_str().unwrap(),
            );
            assert_eq!(root_of(&proof, size), root);
            assert_eq!(&proof["event"], event);
            assert_eq!(proof["source_ip_salt"], Value::Null);
            // To another it does not exist.
            let refused = world.get(&path, Some(&tokens[1])).await;
            let unknown = format!("/sandbox/v1/audit/events/aud_{}/proof", "0".repeat(26));
            let unknown = world.get(&unknown, Some(&tokens[1])).await;
            let told = |answer: &Answer| {
                let mut body = answer.expect(404);
                body["request_id"] = Value::Null;
                body
            };
            assert_eq!(told(&refused), told(&unknown));
        }
        let event = of_mine[0]["id"].as_str().unwrap();
        let elsewhere = format!("/live/v1/audit/events/{event}/proof");
        assert_eq!(world.get(&elsewhere, Some(&tokens[0])).await.status, 401);
        let path = format!("/sandbox/v1/audit/events?partner_id={}", theirs.partner_id);
        assert_eq!(world.get(&path, Some(&tokens[0])).await.status, 400);
    }
}
