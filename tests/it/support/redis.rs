//! A Redis of a story's own: the system's server in a temporary folder, behind a password.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::world::free_address;

/// What nodes must show, and nobody else may learn.
pub const PASSWORD: &str = "hunter2-of-the-cache";

pub struct Redis {
    port: String,
    /// Whether it speaks TLS, with the certificate `cert.pem` in its folder.
    is_tls: bool,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self::prepare();
        redis.run();
        redis
    }

    /// One that does not run yet.
    pub fn prepare() -> Self {
        let address = free_address();
        Self {
            port: address.rsplit_once(':').unwrap().1.to_owned(),
            is_tls: false,
            folder: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    /// One that speaks TLS alone.
    pub fn start_with_tls() -> Self {
        let mut redis = Self::prepare();
        redis.is_tls = true;
        let made = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=cache".split(' '))
            .args("-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE".split(' '))
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(redis.folder.path())
            .output()
            .expect("openssl: install the package openssl");
        assert!(made.status.success(), "{made:?}");
        redis.run();
        redis
    }

    /// The certificate that it shows.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "rediss" } else { "redis" };
        format!("{scheme}://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Runs it, empty, and waits until it answers.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        if self.is_tls {
            command
                .args([
                    "--port",
                    "0",
                    "--tls-port",
                    &self.port,
                    "--tls-auth-clients",
                    "no",
                ])
                .args([
                    "--tls-cert-file",
                    "cert.pem",
                    "--tls-key-file",
                    "key.pem",
                    "--tls-ca-cert-file",
                    "cert.pem",
                ]);
        } else {
            command.args(["--port", &self.port]);
        }
        let child = command
            .args(["--bind", "127.0.0.1"])
            .args([
                "--requirepass",
                PASSWORD,
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server: install the package redis-server");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        let answers = || match self.is_tls {
            // Who trusts the certificate has to be told so at its start.
            true => TcpStream::connect(("127.0.0.1", self.port.parse().unwrap())).is_ok(),
            false => self.connection().is_ok(),
        };
        while !answers() {
            assert!(Instant::now() < deadline, "Redis does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it: SIGKILL. What it knew is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// A connection of the story's own.
    pub fn connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(1))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
