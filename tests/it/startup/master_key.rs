//! No server starts on another master key than its database knows.

use super::{ENGINES, mode, openssl, set_mode, told};
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World};

/// A world whose database remembers its master key, and the key's text.
fn with_sealed_keys(engine: Engine) -> (World, String) {
    let world = World::prepare(engine, &[("ONYX_LOG", "error")]);
    world.cli(&["operator", "bootstrap"]);
    let key = std::fs::read_to_string(world.path().join("keys/master.key")).unwrap();
    (world, key)
}

#[actix_web::test]
async fn a_master_key_that_is_gone_is_not_made_anew() {
    for engine in ENGINES {
        let (mut world, key) = with_sealed_keys(engine);
        let sealed = "SELECT sealed_key AS line FROM signing_keys ORDER BY kid";
        let before = world.lines(sealed);
        assert_eq!(before.len(), 3);
        let file = world.path().join("keys/master.key");
        std::fs::remove_file(&file).unwrap();
        for command in [&["serve"][..], &["operator", "recover"]] {
            assert_snapshot!(told(&world, &world.run(command)), @"
            exit 2
            onyx-auth: master_key_file: keys/master.key does not exist, and the database holds keys sealed under it; put the file back from your backup (nothing was written)
            ");
        }
        assert!(!file.exists());
        assert_eq!(world.lines(sealed), before);

        // Put back, it serves as before.
        std::fs::write(&file, key).unwrap();
        set_mode(&file, 0o600);
        world.start().await;
        world.operator().await;
        assert_eq!(world.lines(sealed), before);
    }
}

#[test]
fn another_master_key_than_the_databases_is_refused() {
    for engine in ENGINES {
        let (world, key) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
        assert_ne!(key, other);
        std::fs::write(&file, other).unwrap();
        assert_snapshot!(told(&world, &world.run(&["serve"])), @"
        exit 2
        onyx-auth: master_key_file: keys/master.key is not the key that this database was made with; point master_key_file at the right one (nothing was written)
        ");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), other);

        // The right one elsewhere will do.
        std::fs::write(world.path().join("mine.key"), key).unwrap();
        set_mode(&world.path().join("mine.key"), 0o600);
        let found = world.run(&[
            "operator",
            "recover",
            "--out",
            "again.json",
            "--master-key-file",
            "mine.key",
        ]);
        assert!(found.status.success());
    }
}

#[test]
fn a_garbled_master_key_is_refused_and_left_as_it_is() {
    for engine in ENGINES {
        let (world, _) = with_sealed_keys(engine);
        let fresh = World::prepare(engine, &[("ONYX_LOG", "error")]);
        std::fs::create_dir(fresh.path().join("keys")).unwrap();
        for world in [world, fresh] {
            let file = world.path().join("keys/master.key");
            for garbled in ["", "secret\n", "c2hvcnQ=\n"] {
                std::fs::write(&file, garbled).unwrap();
                set_mode(&file, 0o600);
                assert_snapshot!(told(&world, &world.run(&["serve"])), @"
                exit 2
                onyx-auth: master_key_file: keys/master.key must hold 32 bytes as base64: put the file back from your backup; for a new database alone, make one with `openssl rand -base64 32`
                ");
                assert_eq!(std::fs::read_to_string(&file).unwrap(), garbled);
            }
        }
    }
}

#[test]
fn a_master_key_that_cannot_be_read_is_told_and_left_as_it_is() {
    for engine in ENGINES {
        let (world, _) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        set_mode(&file, 0o700);
        assert_snapshot!(told(&world, &world.run(&["serve"])), @"
        exit 2
        onyx-auth: master_key_file: keys/master.key: Is a directory (os error 21)
        ");
        assert!(file.is_dir());
    }
}

#[test]
fn a_master_key_that_others_can_read_is_refused() {
    for engine in ENGINES {
        let (world, key) = with_sealed_keys(engine);
        let file = world.path().join("keys/master.key");
        for (bits, shown) in [(0o640, "0640"), (0o604, "0604"), (0o620, "0620")] {
            set_mode(&file, bits);
            assert_eq!(
                told(&world, &world.run(&["serve"])),
                format!(
                    "exit 2\nonyx-auth: master_key_file: keys/master.key has mode {shown}: others than its owner can \
                     read it; run `chmod 600 keys/master.key`"
                )
            );
        }
        assert_eq!(mode(&file), 0o620);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
        set_mode(&file, 0o400);
        assert!(
            world
                .run(&["operator", "recover", "--out", "again.json"])
                .status
                .success()
        );
    }
}

#[actix_web::test]
async fn what_openssl_makes_is_a_master_key() {
    let mut world = World::prepare(Engine::Sqlite, &[]);
    openssl(&world, &["rand", "-base64", "-out", "mine.key", "32"]);
    set_mode(&world.path().join("mine.key"), 0o600);
    world.set("ONYX_MASTER_KEY_FILE", "mine.key");
    world.start().await;
    assert!(!world.path().join("keys/master.key").exists());
}
