//! A Redis of a story's own: the system's server in a temporary folder, behind a password.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::world::free_address;

/// What nodes must show, and nobody else may learn.
pub const PASSWORD: &str = "hunter2-of-the-cache";

pub struct Redis {
    port: String,
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
            folder: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Runs it, empty, and waits until it answers.
    pub fn run(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port, "--bind", "127.0.0.1"])
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
        while self.connection().is_err() {
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
