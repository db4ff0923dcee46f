//! The feed of revocations: in the order of commit, resumable, for many at once.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::listener::Listener;
use crate::support::mesh::Mesh;
use crate::support::proxy::Proxy;
use crate::support::world::{Engine, Operator, World, postgres, worlds};

/// A session at PostgreSQL that keeps its transaction open for as long as the test wants.
struct Session {
    psql: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Session {
    fn open(world: &World) -> Self {
        let mut psql = Command::new("psql")
            .args([
                "-qAtX",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &world.database_url(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        Self {
            psql,
            to,
            from: BufReader::new(from),
        }
    }

    /// Runs statements, and waits until they are done.
    fn say(&mut self, statements: &str) {
        writeln!(self.to, "{statements};\n\\echo done").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{statements}");
    }

    /// Begins to revoke a client, as a node does, and does not commit.
    fn begin(&mut self, client: &str) {
        self.say(&format!(
            "BEGIN; UPDATE sequences SET value = value + 1 WHERE name = 'changes'; \
             UPDATE sequences SET value = value + 1 WHERE name = 'revocations'; \
             INSERT INTO revocations (seq, realm, kind, id, revoked_at, expires_at, reason, actor) \
             SELECT value, 'sandbox', 'client', '{client}', now() AT TIME ZONE 'utc', \
             now() AT TIME ZONE 'utc' + interval '965 s', 'drill', 'host' FROM sequences \
             WHERE name = 'revocations'; NOTIFY onyx_changes"
        ));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}

/// So many credentials of one client, to be revoked one by one.
async fn credentials(operator: &Operator<'_>, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let client = operator.world.sandbox_client(&["orders:read"]).await;
        ids.push(client.credential_id);
    }
    ids
}

#[actix_web::test]
async fn a_commit_that_is_held_back_holds_back_all_that_come_after_it_and_no_reader_skips_it() {
    let mesh = Mesh::start(Engine::Postgres, 3, &[]).await;
    let token = mesh.nodes[0].token("sandbox", &mesh.service, &[]).await;
    let mut operators = Vec::new();
    for node in &mesh.nodes {
        operators.push(node.operator().await);
    }
    let mut listeners = Vec::new();
    for node in &mesh.nodes {
        listeners.push(Listener::open(node, "sandbox", &token, None).await);
    }
    let mut session = Session::open(&mesh.nodes[0]);
    let mut told = 0;
    for ends_with in ["COMMIT", "ROLLBACK", "COMMIT"] {
        let doomed = credentials(&operators[0], 6).await;
        session.begin("cl_sbx_01ARZ3NDEKTSV4RRFFQ69G5FAV");
        let revoking = join_all(
            doomed
                .iter()
                .zip(operators.iter().cycle())
                .map(|(credential, operator)| operator.revoke(credential)),
        );
        let releasing = async {
            // All of them wait for the one; nobody has been told anything.
            let waiting = "SELECT count(*) AS line FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                           AND query LIKE '%sequences%'";
            let deadline = Instant::now() + Duration::from_secs(20);
            while mesh.nodes[0].lines(waiting)[0].parse::<usize>().unwrap() < 6 {
                assert!(Instant::now() < deadline, "the others do not wait");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // For less than the four seconds after which a statement gives up its wait for a lock.
            for node in &mesh.nodes {
                let path = format!("/sandbox/oauth2/revocations?after={told}");
                let polled = node.get(&path, Some(&token)).await.expect(200);
                assert_eq!(polled["cursor"], told);
            }
            session.say(ends_with);
        };
        let (answers, ()) = futures_util::future::join(revoking, releasing).await;
        for answer in answers {
            answer.expect(200);
        }
        // A number that was rolled back is given again: there are no gaps to wonder about.
        let count = if ends_with == "COMMIT" { 7 } else { 6 };
        let expected: Vec<i64> = (told + 1..=told + count).collect();
        for listener in &mut listeners {
            assert_eq!(
                listener.revocations(expected.len()).await,
                expected,
                "{ends_with}"
            );
        }
        told += count;
        if ends_with == "COMMIT" {
            let first = format!(
                "SELECT id AS line FROM revocations WHERE seq = {}",
                told - 6
            );
            assert!(mesh.nodes[0].lines(&first)[0].starts_with("cl_sbx_"));
        }
    }
    for listener in &mut listeners {
        listener.nothing_more(told).await;
    }
}

#[actix_web::test]
async fn a_listener_that_moves_from_node_to_node_misses_nothing_and_hears_nothing_twice() {
    for mesh in Mesh::each().await {
        let token = mesh.nodes[0].token("sandbox", &mesh.service, &[]).await;
        let operator = mesh.nodes[0].operator().await;
        let doomed = credentials(&operator, 24).await;
        let revoking = async {
            for credential in &doomed {
                operator.revoke(credential).await.expect(200);
            }
        };
        let listening = async {
            let mut heard: Vec<i64> = Vec::new();
            for node in mesh.nodes.iter().cycle() {
                // Its last id, as a browser or the verifier sends it.
                let mut listener =
                    Listener::open(node, "sandbox", &token, heard.last().copied()).await;
                heard.extend(listener.revocations(3).await);
                if heard.len() == doomed.len() {
                    break;
                }
            }
            heard
        };
        let ((), heard) = futures_util::future::join(revoking, listening).await;
        assert_eq!(heard, (1..=24).collect::<Vec<i64>>());
    }
}

#[actix_web::test]
async fn forgotten_entries_are_gone_for_newcomers_and_no_matter_to_who_had_seen_them() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut listeners = Vec::new();
        let mut tokens = Vec::new();
        for realm in ["sandbox", "live"] {
            let server = operator
                .resource_server(
                    realm,
                    "https://stock.acme.example",
                    &["stock:read"],
                    "ES256",
                )
                .await;
            let service = operator.issue(server["client_id"].as_str().unwrap()).await;
            let token = world.token(realm, &service, &[]).await;
            listeners.push(Listener::open(&world, realm, &token, None).await);
            tokens.push(token);
        }
        let (sandbox, live) = listeners.split_at_mut(1);
        let (sandbox, live) = (&mut sandbox[0], &mut live[0]);
        let doomed = credentials(&operator, 4).await;
        for credential in &doomed[..3] {
            operator.revoke(credential).await.expect(200);
        }
        assert_eq!(sandbox.revocations(3).await, [1, 2, 3]);
        // An idle listener of the other realm has passed them too.
        live.nothing_more(3).await;

        // Their time is over: whoever sweeps next forgets them.
        world.execute("UPDATE revocations SET expires_at = '2001-01-01 00:00:00'");
        let sweeper = world.neighbour().await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while !world.lines("SELECT id AS line FROM revocations").is_empty() {
            assert!(Instant::now() < deadline, "nobody sweeps");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        operator.revoke(&doomed[3]).await.expect(200);
        assert_eq!(sandbox.revocations(1).await, [4]);
        live.nothing_more(4).await;
        for node in [&world, &sweeper] {
            let path = "/sandbox/oauth2/revocations";
            let status = async |query: &str| {
                let answer = node.get(&format!("{path}{query}"), Some(&tokens[0])).await;
                (
                    answer.status,
                    answer.json()["code"].as_str().map(str::to_owned),
                )
            };
            let gone = (410, Some("cursor_gone".to_owned()));
            let deadline = Instant::now() + Duration::from_secs(20);
            // The other node hears of it a moment later.
            while status("?after=2").await != gone {
                assert!(
                    Instant::now() < deadline,
                    "a cursor before what is forgotten"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert_eq!(status("?after=5").await, gone, "beyond the head");
            assert_eq!(status("?after=3&wait=1").await, (200, None));
            let all = node.get(path, Some(&tokens[0])).await.expect(200);
            let told = all["entries"].as_array().unwrap();
            assert_eq!((told.len(), &all["cursor"]), (1, &serde_json::json!(4)));
            for (last, status) in [(2, Some(410)), (3, None), (4, None), (5, Some(410))] {
                let opened = Listener::try_open(node, "sandbox", &tokens[0], Some(last)).await;
                assert_eq!(opened.err().map(|answer| answer.status), status, "{last}");
            }
        }
    }
}

#[actix_web::test]
async fn a_heart_beats_with_the_time_of_the_news() {
    for world in worlds().await {
        let operator = world.operator().await;
        let server = operator
            .resource_server("sandbox", "https://stock.acme.example", &["a"], "ES256")
            .await;
        let service = operator.issue(server["client_id"].as_str().unwrap()).await;
        let token = world.token("sandbox", &service, &[]).await;
        let mut listener = Listener::open(&world, "sandbox", &token, None).await;
        let mut last = 0;
        for _ in 0..3 {
            let beat = listener.next("heartbeat").await;
            let as_of = beat.data["as_of"].as_i64().unwrap();
            assert!(as_of > last, "the clock of the news stands still");
            assert_eq!(beat.data["cursor"], 0);
            last = as_of;
        }
    }
}

const MANY: usize = 1000;

#[actix_web::test]
async fn a_thousand_listeners_are_each_told_once_in_order_and_cost_no_query_each() {
    let world = &Mesh::start(Engine::Postgres, 1, &[]).await;
    let (service, world) = (&world.service, &world.nodes[0]);
    let server = postgres();
    let address = server.split('@').nth(1).unwrap().split('/').next().unwrap();
    let proxy = Proxy::to(address);
    let through = world.database_url().replace(address, &proxy.address);
    // A client has half of the places at the most.
    let places = (2 * MANY).to_string();
    let node = world
        .neighbour_with(&[
            ("ONYX_DATABASE_URL", &through),
            ("ONYX_FEED_LISTENERS", &places),
            ("ONYX_ROLES", "auth"),
        ])
        .await;
    let operator = world.operator().await;
    let doomed = credentials(&operator, 5).await;
    let token = node.token("sandbox", service, &[]).await;

    let (before, started) = (proxy.sent(), Instant::now());
    let mut listeners = Vec::new();
    while listeners.len() < MANY {
        let opening = (0..50).map(|_| Listener::open(&node, "sandbox", &token, None));
        listeners.extend(join_all(opening).await);
    }
    // As many as may: one more is sent away, and nobody pays for it.
    let refused = Listener::try_open(&node, "sandbox", &token, None).await;
    let refused = refused.err().expect("one too many is taken");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, "5"),
        "{refused:?}"
    );
    let reading = join_all(
        listeners
            .iter_mut()
            .map(|one| one.revocations(doomed.len())),
    );
    let revoking = async {
        for credential in &doomed {
            operator.revoke(credential).await.expect(200);
        }
    };
    let (heard, ()) = futures_util::future::join(reading, revoking).await;
    for ids in heard {
        assert_eq!(ids, [1, 2, 3, 4, 5]);
    }
    // What the node asks for itself: a few times a second, however many listen.
    let asked = proxy.sent() - before;
    assert!(
        asked < MANY,
        "{asked} messages to the database in {:?}",
        started.elapsed()
    );
    for listener in listeners.iter_mut().step_by(100) {
        listener.nothing_more(5).await;
    }

    // Who leaves makes room.
    listeners.truncate(MANY - 10);
    let deadline = Instant::now() + Duration::from_secs(30);
    while Listener::try_open(&node, "sandbox", &token, None)
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline, "places are not given back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[actix_web::test]
async fn who_asks_for_the_head_of_the_stream_is_answered_and_holds_no_seat() {
    let mesh = Mesh::start(Engine::Sqlite, 1, &[]).await;
    let world = &mesh.nodes[0];
    let token = world.token("sandbox", &mesh.service, &[]).await;
    for path in [
        "/sandbox/oauth2/revocations/stream",
        "/sandbox/oauth2/revocations?after=0&wait=60",
    ] {
        let mut socket = TcpStream::connect(world.base.trim_start_matches("http://")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut said = BufReader::new(socket.try_clone().unwrap());
        let mut ask = |method: &str, path: &str| {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: feed\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).unwrap();
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(said.read_line(&mut head).unwrap() > 0, "{head}");
            }
            head
        };
        let head = ask("HEAD", path);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        if path.ends_with("stream") {
            assert!(!head.contains("content-length"), "{head}");
        }
        // The connection goes on, with nothing of a body between the two.
        let next = ask("GET", "/sandbox/oauth2/jwks");
        assert!(next.starts_with("HTTP/1.1 200"), "{next}");
        assert!(next.contains("application/jwk-set+json"), "{next}");
    }
    world.wait_for_sample("onyx_feed_listeners", 0.0).await;
}
