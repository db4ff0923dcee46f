//! A gateway with the configuration that `deploy/` ships, but for addresses and the realm.

use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::service::Service;
use crate::support::world::{World, free_address};

/// Whom gateways run as where the tests run as root: `nobody`.
const NOBODY: u32 = 65_534;

pub struct Gateway {
    pub address: String,
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- the gateway's log ---\n{log}");
        }
    }
}

/// A file of `deploy/`.
pub fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The same for this test: another realm, other addresses, all of which must be there.
fn adapted(name: &str, world: &World, service: &Service, listen: &str) -> String {
    let authority = world.base.strip_prefix("http://").unwrap();
    let mut text = deployed(name);
    for (from, to) in [
        ("/live/oauth2/verify", "/sandbox/oauth2/verify"),
        ("127.0.0.1:8080", authority),
        ("127.0.0.1:9000", &service.address),
        ("127.0.0.1:8000", listen),
    ] {
        assert!(text.contains(from), "{name} does not say {from}");
        text = text.replace(from, to);
    }
    text
}

/// nginx, as one process that no superuser owns.
pub fn nginx(world: &World, service: &Service) -> Gateway {
    let (folder, listen) = (tempfile::tempdir().unwrap(), free_address());
    let at = folder.path().display();
    let site = adapted("nginx/onyx-auth.conf", world, service, &listen);
    std::fs::write(folder.path().join("onyx-auth.conf"), site).unwrap();
    let main = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/log info;\nevents {{}}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
         include {at}/onyx-auth.conf; }}\n"
    );
    std::fs::write(folder.path().join("nginx.conf"), main).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-e").arg(folder.path().join("log"));
    command.arg("-c").arg(folder.path().join("nginx.conf"));
    start(command, "nginx", folder, listen)
}

/// Caddy, which keeps what it keeps in the folder.
pub fn caddy(world: &World, service: &Service) -> Gateway {
    let (folder, listen) = (tempfile::tempdir().unwrap(), free_address());
    let site = adapted("caddy/Caddyfile", world, service, &listen);
    std::fs::write(folder.path().join("Caddyfile"), site).unwrap();
    let mut command = Command::new("caddy");
    command.arg("run").arg("--config");
    command.arg(folder.path().join("Caddyfile"));
    command.args(["--adapter", "caddyfile"]);
    start(command, "caddy", folder, listen)
}

fn start(mut command: Command, name: &str, folder: tempfile::TempDir, address: String) -> Gateway {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let process = command
        .env_clear()
        .env("PATH", format!("{path}:/usr/sbin"))
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}: apt-get install {name}"));
    let mut gateway = Gateway {
        address,
        process,
        folder,
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&gateway.address).is_err() {
        let ended = gateway.process.try_wait().unwrap();
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{name} did not start"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    gateway
}
