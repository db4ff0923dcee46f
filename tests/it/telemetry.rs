//! What the platform is told: metrics, ids, traces, readiness; and that the files in `deploy/` and the
//! page about operations speak of what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::support::https;
use crate::support::world::{Answer, World, worlds, worlds_with};

async fn metrics(world: &World) -> String {
    let answer = world
        .http
        .get(format!("{}/metrics", world.ops))
        .send()
        .await;
    let answer = Answer::of(answer.unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4");
    answer.text
}

/// The samples: each series with its value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn sum(samples: &BTreeMap<String, f64>, name: &str, labels: &[&str]) -> f64 {
    let fits = |series: &str| {
        series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
    };
    let found = samples.iter().filter(|(series, _)| fits(series));
    found.map(|(_, value)| value).sum()
}

#[actix_web::test]
async fn what_was_done_is_measured() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let before = samples(&metrics(&world).await);
        for _ in 0..5 {
            let token = world.token("sandbox", &who, &[]).await;
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        let mut wrong = who.clone();
        wrong.secret.replace_range(20..24, "0000");
        for _ in 0..3 {
            let refused = world.token_answer("sandbox", &wrong, &[]).await;
            assert_eq!(refused.status, 401);
        }
        for path in ["/no/such/path", "/another/one", "/admin/v1/nothing"] {
            assert_eq!(world.get(path, None).await.status, 404);
        }
        let odd = Method::from_bytes(b"BREW").unwrap();
        let odd = world.request(odd, "/sandbox/oauth2/jwks").send().await;
        assert_eq!(odd.unwrap().status().as_u16(), 405);

        let after = samples(&metrics(&world).await);
        let grown =
            |name: &str, labels: &[&str]| sum(&after, name, labels) - sum(&before, name, labels);
        let requests = "http_server_request_duration_seconds_count";
        let token = r#"http_route="/sandbox/oauth2/token""#;
        let post = r#"http_request_method="POST""#;
        let status = |status: &str| format!("http_response_status_code=\"{status}\"");
        assert_eq!(grown(requests, &[token, post, &status("200")]), 5.0);
        assert_eq!(grown(requests, &[token, post, &status("401")]), 3.0);
        assert_eq!(grown(requests, &[r#"http_route="/sandbox/v1/me""#]), 5.0);
        // What nobody serves is one series, whatever callers think of.
        assert_eq!(grown(requests, &[r#"http_route="-""#, &status("404")]), 3.0);
        assert_eq!(grown(requests, &[r#"http_request_method="_OTHER""#]), 1.0);
        assert_eq!(
            grown("onyx_tokens_issued_total", &[r#"realm="sandbox""#]),
            5.0
        );
        let refused = r#"reason="invalid_client""#;
        assert_eq!(grown("onyx_tokens_refused_total", &[refused]), 3.0);
        assert!(grown("onyx_directory_lookups_total", &[r#"outcome="hit""#]) >= 7.0);
        let journal = [r#"journal="tokens""#];
        assert_eq!(grown("onyx_journal_batch_rows_sum", &journal), 5.0);
        assert!(grown("onyx_journal_write_duration_seconds_count", &journal) >= 1.0);
        assert_eq!(sum(&after, "onyx_journal_running", &journal), 1.0);
        assert!(sum(&after, "onyx_staleness_seconds", &[]) < 5.0);
        assert_eq!(sum(&after, "onyx_staleness_limit_seconds", &[]), 5.0);
        assert!(sum(&after, "onyx_directory_entries", &[r#"kind="client""#]) >= 1.0);
        assert!(sum(&after, "db_client_connection_count", &[]) >= 1.0);
        assert!(sum(&after, "db_client_connection_max", &[]) >= 8.0);
        assert!(sum(&after, "process_resident_memory_bytes", &[]) > 1e6);
        assert!(sum(&after, "process_open_fds", &[]) > 3.0);
        for realm in ["sandbox", "live", "admin"] {
            let age = format!("onyx_signing_key_age_seconds{{alg=\"ES256\",realm=\"{realm}\"}}");
            assert!(after[&age] >= 0.0, "{age}");
        }
        // Ids are no labels.
        let told = metrics(&world).await;
        for prefix in ["ptn_", "cl_sbx_", "cl_adm_", "crd_", "req_0"] {
            assert!(!told.contains(prefix), "an id is a label: {told}");
        }
    }
}

#[actix_web::test]
async fn every_answer_has_an_id_of_ours() {
    for world in worlds().await {
        let mut seen = BTreeSet::new();
        let operations = [&world.base, &world.ops].map(Clone::clone);
        for base in &operations {
            for path in [
                "/healthz",
                "/metrics",
                "/nowhere",
                "/sandbox/oauth2/token",
                "/admin/v1/partners",
            ] {
                for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
                    let request = world.http.request(method, format!("{base}{path}"));
                    let sent = request.header("onyx-request-id", "req_01JZZZZZZZZZZZZZZZZZZZZZZZ");
                    let answer = Answer::of(sent.send().await.unwrap()).await;
                    let id = answer.header("onyx-request-id").to_owned();
                    assert!(
                        id.starts_with("req_") && id != "req_01JZZZZZZZZZZZZZZZZZZZZZZZ",
                        "{answer:?}"
                    );
                    assert!(seen.insert(id), "{answer:?}");
                }
            }
        }
        let large = "x".repeat(70_000);
        let too_large = world.request(Method::POST, "/sandbox/oauth2/token");
        let too_large = too_large
            .form(&[("grant_type", large)])
            .send()
            .await
            .unwrap();
        assert_eq!(too_large.status().as_u16(), 413);
        assert!(too_large.headers().contains_key("onyx-request-id"));
    }
}

#[actix_web::test]
async fn a_line_of_the_log_says_who_asked_what_and_how_it_ended() {
    for world in worlds_with(&[("ONYX_LOG_FORMAT", "json")]).await {
        let ask = async |parents: &[&str]| {
            let mut request = world.request(Method::POST, "/sandbox/oauth2/token");
            for parent in parents {
                request = request.header("traceparent", *parent);
            }
            let request = request.basic_auth("cl_sbx_nobody", Some("wrong"));
            let form = request.form(&[("grant_type", "client_credentials")]);
            let answer = Answer::of(form.send().await.unwrap()).await;
            assert_eq!(answer.status, 401);
            let id = answer.header("onyx-request-id").to_owned();
            let log = world.log();
            let lines = log
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            let of_request = lines.filter(|line| line["request_id"] == id.as_str());
            let line = of_request.collect::<Vec<_>>().pop();
            line.expect(&log)
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let line = ask(&[&parent]).await;
        assert_eq!(line["method"], "POST");
        assert_eq!(line["route"], "/sandbox/oauth2/token");
        assert_eq!(line["status"], 401);
        assert_eq!(line["code"], "invalid_client");
        assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
        assert_eq!(line["trace_id"], trace);
        assert_eq!(line["parent_span_id"], "00f067aa0ba902b7");
        let span = line["span_id"].as_str().unwrap();
        assert!(span.len() == 16 && span != "00f067aa0ba902b7");
        // Twice, or malformed: as if it had not been sent.
        for parents in [vec![&*parent, &*parent], vec!["00-xyz"], vec![]] {
            assert_eq!(ask(&parents).await["trace_id"], Value::Null);
        }
    }
}

#[actix_web::test]
async fn a_fingerprint_tells_whether_a_secret_was_seen_and_leaves_nothing_behind() {
    for world in worlds_with(&[("ONYX_LOG", "trace")]).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let look = |text: &str| {
            let shown = world.run_with_input(&["audit", "fingerprint", "-", "--json"], text);
            let (out, log) = (
                String::from_utf8(shown.stdout).unwrap(),
                String::from_utf8(shown.stderr).unwrap(),
            );
            assert!(shown.status.success(), "{log}");
            assert!(!out.contains(text.trim()) && !log.contains(text.trim()));
            serde_json::from_str::<Value>(&out).unwrap()
        };
        let rows = || world.lines("SELECT count(*) || '' AS line FROM audit_events");
        let before = rows();
        let secret = look(&format!("  {}\n", who.secret));
        assert_eq!(
            (&secret["kind"], &secret["seen"]),
            (&"client_secret".into(), &true.into())
        );
        assert_eq!(secret["credential_id"], who.credential_id.as_str());
        assert_eq!(secret["client_id"], who.client_id.as_str());
        assert_eq!(secret["credential_state"], "active");
        assert_eq!(secret["fingerprint"].as_str().unwrap().len(), 32);
        assert_eq!(look(&who.secret)["fingerprint"], secret["fingerprint"]);

        let seen = look(&token);
        assert_eq!(
            (&seen["kind"], &seen["seen"]),
            (&"access_token".into(), &true.into())
        );
        assert_eq!(
            seen["token_id"],
            crate::support::world::claims(&token)["jti"]
        );
        assert_eq!(seen["partner_id"], who.partner_id.as_str());
        assert_ne!(seen["fingerprint"], secret["fingerprint"]);

        // A secret of the right form that is nobody's, a token that says otherwise, and neither.
        let unknown = onyx_auth::domain::secret::PlainSecret::generate(
            onyx_auth::domain::realm::Realm::Sandbox,
        );
        let unknown = look(unknown.unwrap().expose());
        assert_eq!(
            (&unknown["kind"], &unknown["seen"]),
            (&"client_secret".into(), &false.into())
        );
        let mut claims = crate::support::world::claims(&token);
        claims["scope"] = "orders:create".into();
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let forged = format!("e30.{}.c2ln", engine.encode(claims.to_string()));
        assert_eq!(look(&forged)["seen"], false);
        assert_eq!(look("hello")["kind"], "other");
        assert_eq!(rows(), before);

        // Reported, revoked, and known as such.
        world
            .request(Method::POST, "/leaks")
            .json(&serde_json::json!({ "secrets": [who.secret] }))
            .send()
            .await
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let found = look(&who.secret);
            if found["credential_state"] == "revoked" {
                assert_eq!(found["leak_reports"].as_array().unwrap().len(), 1);
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{found}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        // Without the master key there is no answer.
        std::fs::rename(
            world.path().join("keys/master.key"),
            world.path().join("kept"),
        )
        .unwrap();
        let refused = world.run_with_input(&["audit", "fingerprint", "-"], &who.secret);
        assert_eq!(refused.status.code(), Some(1));
        assert!(!world.path().join("keys/master.key").exists());
        let in_argument = world.run(&["audit", "fingerprint", &who.secret]);
        assert_eq!(in_argument.status.code(), Some(2));
    }
}

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The words of a text that could be metrics' names or labels.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| {
            let beginnings = [
                "onyx_",
                "http_server_",
                "http_request",
                "http_route",
                "http_response",
                "db_client_",
                "process_",
            ];
            beginnings
                .iter()
                .any(|beginning| word.starts_with(beginning))
        })
}

fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text) if ["expr", "query", "definition"].contains(&name.as_str()) => {
                        found.push(text.to_owned());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[actix_web::test]
async fn rules_dashboard_and_page_speak_of_metrics_that_there_are() {
    // Some are there only where the server does TLS itself.
    let mut world = https::world();
    world.http = https::trusting(&https::certificate(&world, "tls.crt"));
    world.cli(&["operator", "bootstrap"]);
    world.start().await;
    let who = world.sandbox_client(&["orders:read"]).await;
    world.token("sandbox", &who, &[]).await;
    world.token_answer("live", &who, &[]).await;
    let told = metrics(&world).await;
    let mut known = BTreeSet::new();
    let mut families = BTreeSet::new();
    for line in told.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.insert(rest.split(' ').next().unwrap().to_owned());
        } else if !line.starts_with('#') {
            let (name, labels) = line.split_once(['{', ' ']).unwrap();
            known.insert(name.to_owned());
            known.extend(
                labels
                    .split(',')
                    .filter_map(|label| Some(label.split_once('=')?.0.to_owned())),
            );
        }
    }
    let rules = std::fs::read_to_string(deployed("deploy/prometheus/alerts.yml")).unwrap();
    let board = std::fs::read_to_string(deployed("deploy/grafana/onyx-auth.json")).unwrap();
    let mut shown = Vec::new();
    expressions(&serde_json::from_str(&board).unwrap(), &mut shown);
    assert!(shown.len() > 20);
    let shown = shown.join("\n");
    let unknown: BTreeSet<_> = words(&rules)
        .chain(words(&shown))
        .filter(|word| !known.contains(*word))
        .collect();
    assert!(unknown.is_empty(), "no such metric: {unknown:?}");

    let page = std::fs::read_to_string(deployed("docs/operations.md")).unwrap();
    let untold: Vec<_> = families
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(
        untold.is_empty(),
        "docs/operations.md does not say what these mean: {untold:?}"
    );
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    let untold: Vec<_> = alerts
        .filter(|name| !page.contains(&format!("### {name}")))
        .collect();
    assert!(
        untold.is_empty(),
        "docs/operations.md does not say what to do: {untold:?}"
    );
    // And it speaks of none that there is not.
    let gone: Vec<_> = words(&page)
        .filter(|word| !known.contains(*word) && !families.contains(*word))
        .collect();
    assert!(
        gone.is_empty(),
        "docs/operations.md speaks of what is not there: {gone:?}"
    );
}

#[test]
fn the_rules_are_good_and_fire_when_they_should() {
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let checked = Command::new("promtool")
            .args(arguments)
            .current_dir(deployed("deploy/prometheus"))
            .output()
            .expect("promtool: install prometheus, or run ./test, which does");
        let told = [checked.stdout, checked.stderr].concat();
        assert!(
            checked.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&told)
        );
    }
    let tests = std::fs::read_to_string(deployed("deploy/prometheus/alerts_test.yml")).unwrap();
    let rules = std::fs::read_to_string(deployed("deploy/prometheus/alerts.yml")).unwrap();
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let named = tests.matches(alert).count();
        assert!(named >= 2, "{alert} is not tested both ways");
    }
}
