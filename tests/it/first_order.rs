//! `docs/first-order.md`, run as it is printed.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::world::{Engine, World};

/// The page's commands, in order.
fn printed() -> String {
    let page = include_str!("../../docs/first-order.md");
    let mut script = String::from("set -euo pipefail\n");
    let blocks: Vec<&str> = page.split("```sh\n").skip(1).collect();
    assert!(blocks.len() >= 6, "the page has lost its commands");
    for block in blocks {
        script.push_str(block.split("```").next().unwrap());
    }
    script
}

#[actix_web::test]
async fn the_walk_to_a_first_order_runs_as_it_is_printed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let mut world = World::prepare(engine, &[]);
        let made = world.run(&["quickstart", "--exit"]);
        assert!(made.status.success(), "{made:?}");
        world.start().await;
        let program = Path::new(env!("CARGO_BIN_EXE_onyx-auth"));
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        // The environment of the world's own commands.
        let own = world.command(&[]);
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &printed()])
            .current_dir(world.path())
            .env_clear()
            .envs(
                own.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", path)
            .stdin(Stdio::null());
        let walked = tokio::task::spawn_blocking(move || shell.output().unwrap());
        let walked = walked.await.unwrap();
        assert!(
            walked.status.success(),
            "{}\n{}",
            String::from_utf8_lossy(&walked.stdout),
            String::from_utf8_lossy(&walked.stderr)
        );
    }
}
