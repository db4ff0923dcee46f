//! Tokens meet software that shares no line with this project: curl fetches them, PyJWT verifies them.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::world::{Credential, World, claims, worlds};

const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/it/other_languages/verify.py"
);

/// Runs a program with something on its standard input, and without the proxies of the environment.
fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .env("no_proxy", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: apt-get install curl python3"));
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// A token, fetched by curl.
fn curl(world: &World, who: &Credential, resource: Option<&str>) -> String {
    let mut config = format!(
        "url = \"{}/sandbox/oauth2/token\"\nuser = \"{}:{}\"\ndata = \"grant_type=client_credentials\"\n",
        world.base, who.client_id, who.secret
    );
    if let Some(resource) = resource {
        config += &format!("data-urlencode = \"resource={resource}\"\n");
    }
    let fetch = [
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--config",
        "-",
    ];
    let answer = run(Command::new("curl").args(fetch), &config);
    assert!(answer.status.success(), "{answer:?}");
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

/// What PyJWT makes of tokens, each at an audience.
fn pyjwt(issuer: &str, tokens: &[(&str, &str)]) -> Vec<Value> {
    told(&[SCRIPT], issuer, tokens)
}

/// What a program in Python says of tokens, each at an audience, a line of JSON a token.
fn told(program: &[&str], issuer: &str, tokens: &[(&str, &str)]) -> Vec<Value> {
    let library = Command::new(PYTHON)
        .args(["-c", "import jwt, cryptography"])
        .output();
    assert!(
        library.is_ok_and(|output| output.status.success()),
        "PyJWT is missing: apt-get install python3-jwt python3-cryptography"
    );
    let tokens: Vec<Value> = tokens
        .iter()
        .map(|(token, audience)| json!({ "token": token, "audience": audience }))
        .collect();
    let asked = json!({ "issuer": issuer, "tokens": tokens }).to_string();
    let told = run(Command::new(PYTHON).args(program), &asked);
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let told = String::from_utf8(told.stdout).unwrap();
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[actix_web::test]
async fn a_token_fetched_with_curl_is_accepted_by_pyjwt_under_every_algorithm() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        let algorithms = ["ES256", "RS256", "PS256", "EdDSA"];
        let audiences = algorithms.map(|alg| format!("https://{}.example", alg.to_lowercase()));
        for (alg, audience) in algorithms.iter().zip(&audiences) {
            operator
                .resource_server("sandbox", audience, &["orders:read"], alg)
                .await;
            operator
                .sandbox_grant(&partner, "orders:read", Some(audience))
                .await;
        }
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let who = operator.client(&partner, "sandbox", &["orders:read"]).await;

        let issuer = format!("{}/sandbox", world.base);
        let api = format!("{issuer}/v1");
        let mut fetched = vec![("ES256", api.as_str(), curl(&world, &who, None))];
        for (alg, audience) in algorithms.iter().zip(&audiences) {
            fetched.push((alg, audience, curl(&world, &who, Some(audience))));
        }
        let asked: Vec<_> = fetched
            .iter()
            .map(|(_, audience, token)| (token.as_str(), *audience))
            .collect();
        let told = pyjwt(&issuer, &asked);
        assert_eq!(told.len(), fetched.len());
        for (told, (alg, _, token)) in told.iter().zip(&fetched) {
            assert_eq!(told["alg"], *alg, "{told}");
            assert_eq!(told["claims"], claims(token));
        }

        // It would have said so if they were not good.
        let (_, _, good) = &fetched[0];
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let changed = format!("{signed}.{first}{}", &signature[1..]);
        let refused = pyjwt(&issuer, &[(&changed, &api), (good, &audiences[0])]);
        assert_eq!(
            refused,
            [
                json!({ "refused": "InvalidSignatureError" }),
                json!({ "refused": "InvalidAudienceError" })
            ]
        );
    }
}

/// The Python of `docs/status-lists.md`, driven by a script.
fn documented() -> String {
    let page = include_str!("../../docs/status-lists.md");
    let code = page.split("```python\n").nth(1).unwrap();
    let code = code.split("```").next().unwrap();
    [code, include_str!("other_languages/status.py")].concat()
}

#[actix_web::test]
async fn the_documented_python_reads_a_tokens_status_from_its_list() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let second = operator.issue(&who.client_id).await;
        let (dead, kept) = (
            world.token("sandbox", &who, &[]).await,
            world.token("sandbox", &second, &[]).await,
        );
        let issuer = format!("{}/sandbox", world.base);
        let api = format!("{issuer}/v1");
        let program = documented();
        let status = || {
            let tokens = [(dead.as_str(), api.as_str()), (kept.as_str(), api.as_str())];
            let told = told(&["-c", &program], &issuer, &tokens);
            for (told, token) in told.iter().zip([&dead, &kept]) {
                assert_eq!(told["claims"], claims(token), "{told}");
                assert_eq!(
                    (&told["size"], &told["beyond"]),
                    (&json!(1 << 20), &json!("refused"))
                );
            }
            [told[0]["revoked"].clone(), told[1]["revoked"].clone()]
        };
        assert_eq!(status(), [false, false]);
        operator.revoke(&who.credential_id).await.expect(200);
        assert_eq!(status(), [true, false]);
    }
}
