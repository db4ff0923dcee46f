//! Files in a world's folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::world::World;

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs `openssl` in a world's folder.
pub fn openssl(world: &World, arguments: &[&str]) {
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
