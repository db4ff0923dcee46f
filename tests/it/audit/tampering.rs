//! Whoever may write to the database, and has no key: the fence is taken down first, then rows are
//! changed in every way. Each is found, and the first bad event is named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tlog_tiles::{Hash, HashReader, record_hash, stored_hashes_for_record_hash};

use super::{complaint, exported, passes, sequenced, settled, until};
use crate::support::world::{Engine, World, worlds};

/// Worlds with a trail of some length, a copy of it in `trail_before`, and no fence.
async fn attacked() -> Vec<World> {
    let worlds = worlds().await;
    for world in &worlds {
        world.sandbox_client(&["orders:read"]).await;
        settled(world).await;
        world.take_down_the_audit_fence();
        // And what keeps two events from one place.
        world.execute("DROP INDEX audit_events_by_leaf");
        passes(world, &[]);
        settled(world).await;
        world.execute("CREATE TABLE trail_before AS SELECT * FROM audit_events");
    }
    worlds
}

/// Puts a column of an event back to what it was.
fn put_back(world: &World, id: &str, column: &str) {
    world.execute(&format!(
        "UPDATE audit_events SET {column} = (SELECT {column} FROM trail_before WHERE id = '{id}') WHERE id = '{id}'"
    ));
}

#[actix_web::test]
async fn the_fence_lets_nobody_edit_or_delete_by_mistake() {
    for world in worlds().await {
        world.sandbox_client(&["orders:read"]).await;
        settled(&world).await;
        for statement in [
            "UPDATE audit_events SET actor = 'somebody'",
            "UPDATE audit_events SET details = '{}'",
            "UPDATE audit_events SET leaf_index = leaf_index + 1",
            "UPDATE audit_events SET source_ip = '192.0.2.1' WHERE source_ip IS NOT NULL",
            "UPDATE audit_events SET mac = NULL",
            "DELETE FROM audit_events",
            "UPDATE audit_hashes SET chunk = chunk + 1",
            "DELETE FROM audit_hashes",
            "UPDATE audit_checkpoints SET note = ''",
            "DELETE FROM audit_checkpoints",
        ] {
            let refused = world.try_execute(statement).unwrap_err();
            assert!(
                refused.contains("stay") || refused.contains("grow"),
                "{statement}: {refused}"
            );
        }
        // What retention does is let through.
        world.execute("UPDATE audit_events SET source_ip = NULL, source_ip_salt = NULL");
        passes(&world, &[]);
    }
}

#[actix_web::test]
async fn an_edit_of_any_column_is_found_and_its_event_named() {
    for world in attacked().await {
        let addressed = "SELECT id AS line FROM audit_events WHERE source_ip IS NOT NULL AND leaf_index > 2 \
            AND partner_id IS NOT NULL AND realm IS NOT NULL ORDER BY leaf_index LIMIT 1";
        let id = &world.lines(addressed)[0];
        let at = match world.engine {
            Engine::Sqlite => "'not a time at all'",
            Engine::Postgres => "at - interval '1 second'",
        };
        let edits = [
            ("at", at),
            ("actor", "'host'"),
            ("credential_id", "NULL"),
            ("action", "'key.rotated'"),
            ("target", "'somebody else'"),
            ("partner_id", "NULL"),
            ("realm", "'live'"),
            ("outcome", "'refused'"),
            ("request_id", "NULL"),
            ("source_ip", "'192.0.2.77'"),
            ("source_ip", "NULL"),
            ("source_ip_salt", "'00'"),
            ("source_ip_salt", "NULL"),
            ("source_ip_commitment", "'00'"),
            ("source_ip_commitment", "NULL"),
            ("details", "'{}'"),
            ("details", "details || ' '"),
            ("details", "'no JSON at all'"),
            ("mac", "NULL"),
            ("mac", "'00'"),
            ("leaf_mac", "NULL"),
            ("leaf_mac", "'00'"),
        ];
        for (column, value) in edits {
            world.execute(&format!(
                "UPDATE audit_events SET {column} = {value} WHERE id = '{id}'"
            ));
            let told = complaint(&world, &[]);
            assert!(
                told.contains(&format!("was changed: {id} (leaf ")),
                "{column} = {value}: {told}"
            );
            put_back(&world, id, column);
        }
        passes(&world, &[]);
        // Another name for the event.
        let other = format!("aud_{}", "0".repeat(26));
        world.execute(&format!(
            "UPDATE audit_events SET id = '{other}' WHERE id = '{id}'"
        ));
        assert!(complaint(&world, &[]).contains(&format!("was changed: {other} (leaf ")));
    }
}

#[actix_web::test]
async fn a_deleted_event_is_missed_and_the_newest_too() {
    for world in attacked().await {
        let ids = sequenced(&world);
        for place in [ids.len() - 1, 0, 3] {
            let id = &ids[place];
            world.execute(&format!("DELETE FROM audit_events WHERE id = '{id}'"));
            let told = complaint(&world, &[]);
            assert!(
                told.contains(&format!("the event of leaf {place} is missing")),
                "{told}"
            );
            world.execute(&format!(
                "INSERT INTO audit_events SELECT * FROM trail_before WHERE id = '{id}'"
            ));
        }
        passes(&world, &[]);
    }
}

#[actix_web::test]
async fn events_that_change_places_are_found() {
    for world in attacked().await {
        let ids = sequenced(&world);
        let exchange = |columns: &[&str]| {
            for column in columns {
                world.execute(&format!(
                    "UPDATE audit_events SET {column} = (SELECT {column} FROM trail_before WHERE id = \
                        CASE audit_events.id WHEN '{0}' THEN '{1}' ELSE '{0}' END) WHERE id IN ('{0}', '{1}')",
                    ids[2], ids[4]
                ));
            }
        };
        let back = || {
            for column in ["leaf_index", "leaf_mac"] {
                put_back(&world, &ids[2], column);
                put_back(&world, &ids[4], column);
            }
        };
        for columns in [&["leaf_index"][..], &["leaf_index", "leaf_mac"]] {
            exchange(columns);
            let told = complaint(&world, &[]);
            assert!(
                told.contains(&format!("was changed: {} (leaf 2)", ids[4])),
                "{told}"
            );
            assert!(told.contains(&format!("{} (leaf 4)", ids[2])), "{told}");
            back();
        }
        // Two events at one place.
        world.execute(&format!(
            "UPDATE audit_events SET leaf_index = 2 WHERE id = '{}'",
            ids[4]
        ));
        let told = complaint(&world, &[]);
        assert!(
            told.contains(&format!(
                "{} claims leaf 2",
                ids[4].clone().max(ids[2].clone())
            )),
            "{told}"
        );
        back();
        passes(&world, &[]);
    }
}

#[actix_web::test]
async fn a_forged_event_never_gets_a_place_and_is_named() {
    for world in attacked().await {
        let ids = sequenced(&world);
        for (nth, mac) in ["NULL", "mac", "'00'"].into_iter().enumerate() {
            let forged = format!("aud_{nth}{}", "0".repeat(25));
            world.execute(&format!(
                "INSERT INTO audit_events (id, at, actor, action, target, outcome, details, mac) \
                 SELECT '{forged}', at, 'host', action, target, outcome, details, {mac} FROM trail_before WHERE id = '{}'",
                ids[1]
            ));
            let aside = format!(
                "SELECT set_aside AS line FROM audit_events WHERE id = '{forged}' AND set_aside IS NOT NULL"
            );
            until("the forged event is not set aside", || {
                !world.lines(&aside).is_empty()
            })
            .await;
            let told = complaint(&world, &[]);
            assert!(
                told.contains(&format!("was changed: {forged} is set aside")),
                "{told}"
            );
            assert!(world.log().contains(&format!(
                "the audit event {forged} was not written by this server"
            )));
            let recorded = format!(
                "SELECT actor AS line FROM audit_events WHERE action = 'audit.event_set_aside' AND target = '{forged}'"
            );
            assert_eq!(world.lines(&recorded), ["policy"]);
            let answer = world
                .operator()
                .await
                .get(&format!("/audit/events/{forged}/proof"))
                .await;
            assert_eq!(answer.expect(409)["code"], "set_aside");
            world.execute(&format!("DELETE FROM audit_events WHERE id = '{forged}'"));
        }
        settled(&world).await;
        passes(&world, &[]);
    }
}

#[actix_web::test]
async fn a_complete_row_with_a_place_of_its_own_is_found() {
    for world in attacked().await {
        let ids = sequenced(&world);
        let forged = format!("aud_{}", "0".repeat(26));
        let place = ids.len() + 1000;
        world.execute(&format!(
            "INSERT INTO audit_events SELECT '{forged}', at, 'host', credential_id, action, target, partner_id, realm, outcome, \
                request_id, source_ip, details, mac, source_ip_salt, source_ip_commitment, {place}, leaf_mac, NULL \
             FROM trail_before WHERE id = '{}'",
            ids[1]
        ));
        let told = complaint(&world, &[]);
        assert!(
            told.contains(&format!(
                "{forged} claims leaf {place}, which is in no signed tree"
            )),
            "{told}"
        );
    }
}

#[actix_web::test]
async fn a_replaced_checkpoint_is_found() {
    for world in attacked().await {
        let (path, text) = exported(&world, "before.ndjson");
        let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        let note = end["note"].as_str().unwrap();
        let size = note.lines().nth(1).unwrap();
        let larger = note.replacen(&format!("\n{size}\n"), "\n1\n", 1);
        let garbled = note.replacen('\u{2014}', "-", 1);
        for other in [&larger, &garbled, "nothing"] {
            let (was, is) = (
                Value::from(note).to_string(),
                Value::from(other).to_string(),
            );
            std::fs::write(&path, text.replace(&was, &is)).unwrap();
            let told = complaint(&world, &["--export", "before.ndjson"]);
            assert!(told.contains("the newest checkpoint, over"), "{told}");
        }
        settled(&world).await;
        world.execute(&format!(
            "UPDATE audit_checkpoints SET note = '{larger}' WHERE size = (SELECT MAX(size) FROM audit_checkpoints)"
        ));
        let told = complaint(&world, &[]);
        assert!(told.contains("checkpoint"), "{told}");
        until("the sequencer goes on from a forged checkpoint", || {
            world.log().contains("cannot be trusted")
        })
        .await;
    }
}

/// All hashes of a tree, for whoever writes it anew.
struct Stored(Vec<Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        Ok(places.iter().map(|place| self.0[*place as usize]).collect())
    }
}

/// The leaf of an exported event, by the book (`docs/audit.md`).
fn leaf(event: &Value) -> Vec<u8> {
    let mut bytes = b"onyx-auth audit event v1\0".to_vec();
    for name in [
        "id",
        "at",
        "actor",
        "credential_id",
        "action",
        "target",
        "partner_id",
        "realm",
        "outcome",
        "request_id",
        "source_ip_commitment",
        "details",
    ] {
        let text = match &event[name] {
            Value::Null => {
                bytes.push(0);
                continue;
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        bytes.push(1);
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[actix_web::test]
async fn whoever_edits_an_event_and_the_whole_tree_with_it_is_found() {
    for world in attacked().await {
        settled(&world).await;
        let (_, text) = exported(&world, "before.ndjson");
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["type"] == "event")
            .collect();
        let edited = &events[4];
        let id = edited["id"].as_str().unwrap();
        let mut stored = Stored(Vec::new());
        for (place, event) in events.iter().enumerate() {
            let written = STANDARD.encode(record_hash(&leaf(event)).0);
            assert_eq!(event["leaf_hash"], written.as_str(), "{event}");
            let mut event = event.clone();
            if event["id"] == id {
                event["actor"] = "host".into();
            }
            let hash = record_hash(&leaf(&event));
            let new = stored_hashes_for_record_hash(place as u64, hash, &stored).unwrap();
            stored.0.extend(new);
        }
        let hex: String = stored
            .0
            .iter()
            .flat_map(|hash| hash.0)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let read = match world.engine {
            Engine::Sqlite => "SELECT lower(hex(hashes)) AS line FROM audit_hashes WHERE chunk = 0",
            Engine::Postgres => {
                "SELECT encode(hashes, 'hex') AS line FROM audit_hashes WHERE chunk = 0"
            }
        };
        // What was added since the export stays.
        let written = hex.clone() + &world.lines(read)[0][hex.len()..];
        let literal = match world.engine {
            Engine::Sqlite => format!("x'{written}'"),
            Engine::Postgres => format!("'\\x{written}'::bytea"),
        };
        world.execute(&format!(
            "UPDATE audit_hashes SET hashes = {literal} WHERE chunk = 0"
        ));
        world.execute(&format!(
            "UPDATE audit_events SET actor = 'host' WHERE id = '{id}'"
        ));
        let told = complaint(&world, &[]);
        assert!(
            told.contains(&format!("{id} (leaf 4) does not carry the server's MACs")),
            "{told}"
        );
        assert!(told.contains("are not those that were signed"), "{told}");
        // Put back by hand, with the tree as it was.
        put_back(&world, id, "actor");
    }
}

#[actix_web::test]
async fn a_tree_that_was_put_back_did_not_grow_from_the_checkpoint_that_was_kept() {
    for mut world in attacked().await {
        settled(&world).await;
        for table in ["audit_events", "audit_hashes", "audit_checkpoints"] {
            world.execute(&format!(
                "CREATE TABLE old_{table} AS SELECT * FROM {table}"
            ));
        }
        world.sandbox_client(&["orders:read"]).await;
        settled(&world).await;
        passes(&world, &["--checkpoint", "kept.txt"]);
        let kept = std::fs::read_to_string(world.path().join("kept.txt")).unwrap();
        settled(&world).await;
        let put_back = |world: &World| {
            for table in ["audit_events", "audit_hashes", "audit_checkpoints"] {
                world.execute(&format!("DELETE FROM {table}"));
                world.execute(&format!("INSERT INTO {table} SELECT * FROM old_{table}"));
            }
        };
        put_back(&world);
        // Who remembers a later head signs no other.
        world.sandbox_client(&["orders:read"]).await;
        until(
            "a running server goes on from a tree that was put back",
            || world.log().contains("the tree went back from"),
        )
        .await;
        put_back(&world);
        world.terminate();
        world.start().await;
        let told = complaint(&world, &["--checkpoint", "kept.txt"]);
        assert!(
            told.contains("the newest events were deleted, or the tree was put back"),
            "{told}"
        );
        // Grown again, but from something else.
        for _ in 0..3 {
            world.sandbox_client(&["orders:read"]).await;
        }
        settled(&world).await;
        passes(&world, &[]);
        let told = complaint(&world, &["--checkpoint", "kept.txt"]);
        assert!(
            told.contains("did not grow from the checkpoint that was kept"),
            "{told}"
        );
        assert_eq!(
            std::fs::read_to_string(world.path().join("kept.txt")).unwrap(),
            kept
        );
    }
}
