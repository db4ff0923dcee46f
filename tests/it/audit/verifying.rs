//! `onyx-auth audit verify` over what nobody has changed, offline and against a server; and exports that are
//! broken.

use serde_json::{Value, json};

use super::{complaint, exported, passes, sequenced, settled, verify};
use crate::support::world::worlds;

#[actix_web::test]
async fn an_honest_trail_verifies_against_the_server_and_offline() {
    for world in worlds().await {
        let neighbour = world.neighbour().await;
        world.sandbox_client(&["orders:read"]).await;
        neighbour.operator().await.partner().await;
        settled(&world).await;
        let told = passes(&world, &[]);
        assert_eq!(told["verified"], true);
        assert_eq!(
            told["events"].as_u64().unwrap(),
            told["leaves"].as_u64().unwrap()
        );
        assert!(told["events"].as_u64().unwrap() > 5, "{told}");
        settled(&world).await;
        let (_, text) = exported(&world, "trail.ndjson");
        let key = world.cli(&["audit", "key"]);
        let offline = passes(&world, &["--export", "trail.ndjson", "--key", &key]);
        assert_eq!(
            offline["leaves"].as_u64().unwrap(),
            told["leaves"].as_u64().unwrap() + 1
        );
        let output = world.run_with_input(&["audit", "verify", "--export", "-"], &text);
        assert!(output.status.success());
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("whoever made up the one")
        );
        // Another log's key.
        let other = world.run(&[
            "audit",
            "verify",
            "--export",
            "trail.ndjson",
            "--key",
            "x+00000000+AA==",
        ]);
        assert_eq!(other.status.code(), Some(2));
    }
}

#[actix_web::test]
async fn a_kept_checkpoint_moves_on_with_the_tree() {
    for world in worlds().await {
        let mut last = 0;
        for _ in 0..3 {
            world.operator().await.partner().await;
            settled(&world).await;
            passes(&world, &["--checkpoint", "kept.txt"]);
            let kept = std::fs::read_to_string(world.path().join("kept.txt")).unwrap();
            let size: u64 = kept.lines().nth(1).unwrap().parse().unwrap();
            assert!(size > last, "{kept}");
            last = size;
        }
        // What was kept is no checkpoint, or another log's.
        let kept = std::fs::read_to_string(world.path().join("kept.txt")).unwrap();
        for other in [
            "nothing".to_owned(),
            kept.replace("onyx-auth/", "onyx-auth/f"),
        ] {
            std::fs::write(world.path().join("kept.txt"), &other).unwrap();
            let told = complaint(&world, &["--checkpoint", "kept.txt"]);
            assert!(
                told.contains("the checkpoint that was kept cannot be trusted"),
                "{told}"
            );
            let now = std::fs::read_to_string(world.path().join("kept.txt")).unwrap();
            assert_eq!(now, other);
        }
        assert!(!world.path().join("kept.txt.new").exists());
    }
}

#[actix_web::test]
async fn a_broken_export_is_a_clear_error() {
    for world in worlds().await {
        world.operator().await.partner().await;
        settled(&world).await;
        let (path, text) = exported(&world, "trail.ndjson");
        let lines: Vec<&str> = text.lines().collect();
        let written = |lines: &[&str]| lines.join("\n") + "\n";
        // The first: without the last one nothing is seen to be missing but a line.
        let is_event = |line: &&str| line.contains(r#""type":"event""#);
        let event = lines.iter().position(is_event).unwrap();
        let cases = [
            ("is cut off after line", written(&lines[..lines.len() - 1])),
            ("is it cut off?", text[..text.len() - 40].to_owned()),
            ("begins with one line of the type log", written(&lines[1..])),
            ("is cut off after line 0", String::new()),
            (
                "is it cut off?",
                format!("{}\nno JSON\n{}", lines[0], written(&lines[1..])),
            ),
            (
                "there is something after the end",
                text.clone() + lines[1] + "\n",
            ),
            (
                "is no type of line",
                text.replacen(r#""type":"event""#, r#""type":"song""#, 1),
            ),
            (
                "missing field",
                text.replacen(r#""actor":"#, r#""actress":"#, 1),
            ),
            (
                "are left out",
                written(&[&lines[..event], &lines[event + 1..]].concat()),
            ),
            (
                "version 1 of exports",
                text.replacen(r#""version":1"#, r#""version":2"#, 1),
            ),
        ];
        for (expected, text) in cases {
            std::fs::write(&path, text).unwrap();
            let told = complaint(&world, &["--export", "trail.ndjson"]);
            assert!(
                told.contains("the export cannot be checked: ") && told.contains(expected),
                "{expected}: {told}"
            );
        }
        let absent = complaint(&world, &["--export", "nowhere.ndjson"]);
        assert!(absent.contains("nowhere.ndjson"), "{absent}");
    }
}

#[actix_web::test]
async fn an_export_that_was_edited_is_found_without_the_server() {
    for world in worlds().await {
        world.operator().await.partner().await;
        settled(&world).await;
        let (path, text) = exported(&world, "trail.ndjson");
        let key = world.cli(&["audit", "key"]);
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["type"] == "event")
            .collect();
        let (id, actor) = (events[1]["id"].as_str().unwrap(), &events[1]["actor"]);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = lines.iter().position(|line| line.contains(id)).unwrap();
        lines[at] = lines[at].replace(&actor.to_string(), "\"nobody\"");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let told = complaint(&world, &["--export", "trail.ndjson", "--key", &key]);
        assert!(
            told.contains(&format!(
                "was changed: {id} (leaf 1) is not what was sequenced there"
            )),
            "{told}"
        );
        // With a leaf that fits, the root does not.
        lines[at] = lines[at].replace(
            events[1]["leaf_hash"].as_str().unwrap(),
            events[2]["leaf_hash"].as_str().unwrap(),
        );
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let told = complaint(&world, &["--export", "trail.ndjson", "--key", &key]);
        assert!(told.contains("are not those that were signed"), "{told}");
        // Without any signature at all nothing tells, which is told.
        let mut bare: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["type"] != "checkpoint")
            .collect();
        let count = bare.len();
        let end = bare.last_mut().unwrap();
        assert_eq!(end["type"], "end");
        end["note"] = Value::Null;
        if !end["lines"].is_null() {
            end["lines"] = json!(count);
        }
        let bare: Vec<String> = bare.iter().map(Value::to_string).collect();
        std::fs::write(&path, bare.join("\n") + "\n").unwrap();
        for more in [&["--key", key.as_str()][..], &[]] {
            let arguments = [&["--export", "trail.ndjson"], more].concat();
            let told = complaint(&world, &arguments);
            assert!(
                told.contains("the newest checkpoint was taken away"),
                "{told}"
            );
        }
    }
}

#[actix_web::test]
async fn an_export_is_on_record_and_wants_its_scope() {
    for world in worlds().await {
        let operator = world.operator().await;
        settled(&world).await;
        let before = sequenced(&world).len();
        passes(&world, &[]);
        settled(&world).await;
        let ids = sequenced(&world);
        assert_eq!(ids.len(), before + 1);
        let of = format!(
            "SELECT action || ' ' || actor AS line FROM audit_events WHERE id = '{}'",
            ids[before]
        );
        assert_eq!(
            world.lines(&of),
            [format!("audit.exported {}", operator.id())]
        );
        let puppet = operator.puppet(&["partners:read"]).await;
        for path in [
            "events",
            "checkpoint",
            "key",
            "consistency?from=1",
            "export",
        ] {
            let answer = puppet.get(&format!("/audit/{path}")).await;
            assert_eq!(answer.expect(403)["code"], "insufficient_scope");
        }
        assert!(verify(&world, &[]).status.success());
    }
}
