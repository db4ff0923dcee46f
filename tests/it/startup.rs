//! A server starts, or says in one line why it does not, and ends when it is told to.

mod addresses;
mod first;
mod listeners;
mod master_key;
mod settings;
mod stopping;
mod tls;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use crate::support::files::{openssl, set_mode};
use crate::support::world::{Engine, World};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// `exit 2` and what was said, with the world's own addresses and folder taken out.
fn told(world: &World, output: &Output) -> String {
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let said = said
        .replace(world.setting("ONYX_LISTEN"), "LISTEN")
        .replace(world.setting("ONYX_OPS_LISTEN"), "OPS_LISTEN")
        .replace(world.path().to_str().unwrap(), "FOLDER");
    format!(
        "exit {}\n{}",
        output.status.code().unwrap(),
        said.trim_end()
    )
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}
