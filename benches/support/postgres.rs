//! A PostgreSQL server of the benchmark's own, durable as in production.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::server::free_address;

/// A running server; stopped when dropped.
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    pub url: String,
}

impl Postgres {
    /// Starts the newest PostgreSQL of the system's packages, with its data in a folder.
    pub fn start(folder: &Path) -> Self {
        let installed = std::fs::read_dir("/usr/lib/postgresql");
        let mut versions: Vec<PathBuf> = installed
            .unwrap_or_else(|_| panic!("install postgresql, or name a database with --database"))
            .map(|entry| entry.unwrap().path().join("bin"))
            .collect();
        versions.sort();
        let bin = versions.pop().unwrap();
        let folder = folder.join("postgres");
        std::fs::create_dir(&folder).unwrap();
        let port = free_address().rsplit_once(':').unwrap().1.to_owned();
        let this = Self {
            bin,
            folder: folder.join("data"),
            url: format!("postgres://onyx@127.0.0.1:{port}/postgres"),
        };
        if is_root() {
            // PostgreSQL refuses to run as root.
            let owned = Command::new("chown").arg("postgres").arg(&folder).status();
            assert!(owned.unwrap().success());
        }
        let data = this.folder.display().to_string();
        this.run(
            "initdb",
            &["-D", &data, "-U", "onyx", "-A", "trust", "-E", "UTF8"],
        );
        let log = folder.join("log").display().to_string();
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        );
        this.run(
            "pg_ctl",
            &["-D", &data, "-w", "-l", &log, "start", "-o", &options],
        );
        this
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let done = command
            .args(arguments)
            .current_dir("/")
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "{arguments:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.folder.display().to_string();
        self.run("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
