//! A server starts, or says in one line why it does not, and ends when it is told to.

mod addresses;
mod first;
mod listeners;
mod master_key;
mod settings;
mod stopping;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

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

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs `openssl` in a world's folder.
fn openssl(world: &World, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(world.path())
        .output()
        .expect("openssl: install the package openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
