//! `onyx-auth webhook`: what partners have at hand while they build a receiver.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::receiver::{Behaviour, LOOPBACK, Received, Receiver};
use crate::support::world::{Credential, World, days_away, worlds, worlds_with};

const SCOPES: [&str; 2] = ["events:replay", "webhooks:manage"];

/// A partner of the sandbox whose credential is where the command line looks for it.
async fn partner(world: &World) -> Credential {
    let who = world.sandbox_client(&SCOPES).await;
    // No warning comes in between.
    let later = days_away(300);
    world.execute(&format!("UPDATE scope_grants SET expires_at = '{later}'"));
    keep(world, &who);
    who
}

fn keep(world: &World, who: &Credential) {
    let path = world.path().join("data/demo.json");
    let file =
        json!({ "server": world.base, "client_id": who.client_id, "client_secret": who.secret });
    std::fs::write(&path, file.to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn trigger(world: &World, kind: &str) -> String {
    world.cli(&["webhook", "trigger", kind, "--field", "id"])
}

/// Runs a command to its end, while the receiver goes on.
async fn run(world: &World, arguments: &[&str]) -> Output {
    let mut command = world.command(arguments);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap()
}

/// Runs one that must succeed; answers what it printed.
async fn cli(world: &World, arguments: &[&str]) -> String {
    let output = run(world, arguments).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// `webhook listen`, running.
fn listening(world: &World, url: &str, more: &[&str]) -> Child {
    let listen = ["webhook", "listen", "--forward-to", url];
    let mut command = world.command(&[&listen[..], more].concat());
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn cursor(world: &World) -> Option<i64> {
    let text = std::fs::read_to_string(world.path().join("webhook-cursor.json")).ok()?;
    serde_json::from_str::<Value>(&text).unwrap()["seq"].as_i64()
}

async fn until_cursor(world: &World, wanted: i64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while cursor(world) != Some(wanted) {
        assert!(
            Instant::now() < deadline,
            "{:?}, not {wanted}",
            cursor(world)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_received(receiver: &Receiver, count: usize) -> Vec<Received> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let received = receiver.received();
        if received.len() >= count {
            return received;
        }
        assert!(Instant::now() < deadline, "{} of {count}", received.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[actix_web::test]
async fn whoever_listens_gets_every_event_in_order_and_goes_on_where_it_ended() {
    for world in worlds().await {
        partner(&world).await;
        let receiver = Receiver::start().await;
        let url = receiver.url("/in");
        trigger(&world, "order.accepted");
        let mut listener = listening(&world, &url, &[]);
        // It begins with what comes from now on.
        until_cursor(&world, 1).await;
        let mut ids = vec![trigger(&world, "order.preparing")];
        until_cursor(&world, 2).await;

        // A receiver that fails is asked again, and those behind wait.
        receiver.behave(Behaviour::Status(503));
        ids.push(trigger(&world, "order.fulfilled"));
        ids.push(trigger(&world, "invoice.opened"));
        until_received(&receiver, 3).await;
        listener.kill().unwrap();
        listener.wait().unwrap();
        assert_eq!(cursor(&world), Some(2));
        ids.push(trigger(&world, "invoice.paid"));
        receiver.behave(Behaviour::Good);
        let before = receiver.received().len();
        let mut again = listening(&world, &url, &[]);
        until_cursor(&world, 5).await;
        again.kill().unwrap();
        again.wait().unwrap();

        // In the words of the list, signed with the secret that it made.
        let secret = std::fs::read_to_string(world.path().join("webhook-secret")).unwrap();
        let token = world
            .token("sandbox", &world.credential_file("data/demo.json"), &[])
            .await;
        let came = receiver.received();
        for message in &came {
            message.verify(secret.trim()).unwrap();
            let path = format!("/sandbox/v1/events/{}", message.id());
            let shown = world.get(&path, Some(&token)).await.text;
            assert_eq!(String::from_utf8_lossy(&message.body), shown);
        }
        let after: Vec<_> = came[before..]
            .iter()
            .map(|message| message.id().to_owned())
            .collect();
        assert_eq!(after, ids[1..]);
        let mode = std::fs::metadata(world.path().join("webhook-secret")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);

        // Some types alone, from the beginning; the cursor counts the others too.
        let told = cli(
            &world,
            &[
                "webhook",
                "listen",
                "--forward-to",
                &url,
                "--after",
                "0",
                "--cursor",
                "other",
                "--type",
                "invoice.opened",
                "--exit",
            ],
        )
        .await;
        assert_eq!(told, format!("4 {} invoice.opened 200", ids[2]));
    }
}

#[actix_web::test]
async fn a_listener_says_which_events_it_could_not_have() {
    for world in worlds().await {
        partner(&world).await;
        for kind in ["order.accepted", "order.failed", "invoice.opened"] {
            trigger(&world, kind);
        }
        let receiver = Receiver::start().await;
        let url = receiver.url("/in");
        let listen = [
            "webhook",
            "listen",
            "--forward-to",
            &url,
            "--after",
            "1",
            "--exit",
        ];
        world.execute("DELETE FROM events WHERE seq <= 2");
        world.execute("UPDATE event_counters SET purged = 2");
        let output = run(&world, &listen).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("Events 2 to 2 are kept no more"), "{said}");
        assert_eq!(receiver.received().len(), 1);
        assert_eq!(cursor(&world), Some(3));

        // The cursor says where to go on; it is of one client alone.
        let output = run(&world, &listen).await;
        assert_eq!(output.status.code(), Some(2));
        partner(&world).await;
        let output = run(
            &world,
            &["webhook", "listen", "--forward-to", &url, "--exit"],
        )
        .await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("name another file with --cursor"), "{said}");
    }
}

#[actix_web::test]
async fn a_message_that_was_caught_is_verified_and_its_faults_are_told() {
    for world in worlds_with(&[LOOPBACK]).await {
        partner(&world).await;
        let receiver = Receiver::start().await;
        let url = receiver.url("/in");
        let create = [
            "webhook",
            "create",
            "--url",
            &url,
            "--secret-file",
            "secret",
        ];
        let id = cli(&world, &[&create[..], &["--field", "id"]].concat()).await;
        // Never over another.
        assert_eq!(run(&world, &create).await.status.code(), Some(1));
        cli(&world, &["webhook", "test", &id]).await;
        let caught = until_received(&receiver, 2).await.pop().unwrap();
        let headers: Vec<_> = caught
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(world.path().join(name), bytes).unwrap();
        write(
            "headers",
            format!("POST /in HTTP/1.1\n{}\n", headers.join("\n")).as_bytes(),
        );
        write("body", &caught.body);
        let verify = [
            "webhook",
            "verify",
            "--body",
            "body",
            "--headers",
            "headers",
        ];
        let with_file = [&verify[..], &["--secret", "secret"]].concat();
        assert_eq!(
            cli(&world, &[&with_file[..], &["--field", "valid"]].concat()).await,
            "true"
        );
        let secret = std::fs::read_to_string(world.path().join("secret")).unwrap();
        let from_input = [&verify[..], &["--secret", "-", "--json"]].concat();
        assert!(world.run_with_input(&from_input, &secret).status.success());

        write("body", &[&caught.body[..], b"\n"].concat());
        let output = run(&world, &with_file).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("without its last line end"), "{said}");
        assert!(
            !said.contains(secret.trim()) && !said.contains(&secret[6..20]),
            "{said}"
        );
        write("headers", b"webhook-id: msg_1\n");
        let output = run(&world, &with_file).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("webhook-timestamp is missing; the header webhook-signature is missing"),
            "{said}"
        );

        // Looked after from here too.
        for (verb, state) in [("disable", "disabled"), ("enable", "active")] {
            let told = cli(&world, &["webhook", verb, &id, "--field", "state"]).await;
            assert_eq!(told, state);
        }
        assert_eq!(
            run(&world, &["webhook", "delete", &id]).await.status.code(),
            Some(2)
        );
        cli(&world, &["webhook", "delete", &id, "--yes"]).await;
        assert_eq!(
            cli(
                &world,
                &["webhook", "list", "--state", "active", "--field", "id"]
            )
            .await,
            ""
        );
    }
}

#[actix_web::test]
async fn events_are_made_to_order_with_a_credential_of_the_sandbox_alone() {
    let world = worlds().await.swap_remove(0);
    let live = world.live_client(&SCOPES).await;
    keep(&world, &live);
    let output = run(&world, &["webhook", "trigger", "order.accepted"]).await;
    assert_eq!(output.status.code(), Some(2));
    let output = run(&world, &["webhook", "trigger", "order.lost"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("order.fulfilled"), "{said}");
}
