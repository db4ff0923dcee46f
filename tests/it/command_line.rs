//! The command line: what it prints where, and how it ends.

mod credentials;
mod output;
mod work;

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::json;

use crate::support::world::{Engine, World};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// How a command ended, and its prose.
fn ended(output: &Output) -> (i32, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

/// `exit 1` and the prose of a command that printed no data.
fn refused(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    let (code, prose) = ended(output);
    format!("exit {code}\n{}", prose.trim_end())
}

/// Keeps a client's credential in a file as partners do.
fn keep(world: &World, name: &str, client: &str, secret: &str, mode: u32) {
    let content = json!({ "server": world.base, "client_id": client, "client_secret": secret });
    let path = world.path().join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}
