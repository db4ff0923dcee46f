//! What a server cannot reach or have.

use std::net::TcpListener;

use super::told;
use crate::support::assert_snapshot;
use crate::support::world::{Engine, World, free_address};

#[test]
fn an_address_that_is_taken_is_told_with_its_key() {
    for (variable, key) in [
        ("ONYX_LISTEN", "listen"),
        ("ONYX_ADMIN_LISTEN", "admin_listen"),
        ("ONYX_OPS_LISTEN", "ops_listen"),
    ] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let world = World::prepare(Engine::Sqlite, &[(variable, &address)]);
        let output = world.run(&["serve"]);
        assert_eq!(
            told(&world, &output)
                .replace(&address, "LISTEN")
                .replace("OPS_LISTEN", "LISTEN"),
            format!(
                "exit 2\nonyx-auth: {key}: cannot listen on LISTEN: Address already in use (os error 98)"
            )
        );
        assert!(!world.path().join("data").exists() && !world.path().join("keys").exists());
    }
}

#[test]
fn a_database_that_does_not_answer_is_told_with_its_key() {
    let nobody = free_address();
    let world = World::prepare(
        Engine::Sqlite,
        &[(
            "ONYX_DATABASE_URL",
            &format!("postgres://onyx:hunter2@{nobody}/onyx"),
        )],
    );
    let output = world.run(&["migrate"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said
        .lines()
        .rfind(|line| line.starts_with("onyx-auth: database_url: cannot connect"));
    assert!(last.is_some() && !said.contains("hunter2"), "{said}");

    let world = World::prepare(
        Engine::Sqlite,
        &[("ONYX_DATABASE_URL", "sqlite://keys.txt/onyx.db")],
    );
    std::fs::write(world.path().join("keys.txt"), "a file, no folder").unwrap();
    let said = told(&world, &world.run(&["serve"]));
    assert!(
        said.starts_with("exit 2\nonyx-auth: database_url: cannot create keys.txt/onyx.db: "),
        "{said}"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn a_database_password_that_is_not_percent_encoded_is_not_repeated() {
    for password in ["100%hunter2", "hunter2%", "%00hunter2", "%zzhunter2"] {
        let url = format!("postgres://onyx:{password}@127.0.0.1:1/onyx");
        let world = World::prepare(Engine::Sqlite, &[("ONYX_DATABASE_URL", &url)]);
        assert_snapshot!(told(&world, &world.run(&["migrate"])), @"
        exit 2
        onyx-auth: ONYX_DATABASE_URL: must have each % of a name or password written as %25
        ");
    }
}
