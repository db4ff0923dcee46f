//! The programs of `docs/verify-in-your-language.md`, run as they are printed there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::world::{Credential, World, header, worlds_with};

const AUDIENCE: &str = "https://orders.example";
/// No token expires before its story ends, however slow the machine.
const LONG_LIVED: [(&str, &str); 1] = [("ONYX_TOKEN_TTL", "900")];
/// The jose that the guide's program is tried with.
const JOSE: &str = "jose@5.9.5";

/// The one program in a language that the guide prints.
fn printed(language: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/verify-in-your-language.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let fence = format!("```{language}\n");
    let mut programs = guide.split(&fence).skip(1);
    let program = programs.next().unwrap().split("```").next().unwrap();
    assert!(programs.next().is_none(), "two programs in {language}");
    program.to_owned()
}

/// A verifier that runs: one token a line in, one verdict a line out.
struct Program {
    process: Child,
    tokens: ChildStdin,
    verdicts: BufReader<ChildStdout>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    fn start(world: &World, service: &Credential, mut command: Command) -> Self {
        let mut process = command
            .env("no_proxy", "*")
            .env("ISSUER", format!("{}/sandbox", world.base))
            .env("AUDIENCE", AUDIENCE)
            .env("CLIENT_ID", &service.client_id)
            .env("CLIENT_SECRET", &service.secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            tokens: process.stdin.take().unwrap(),
            verdicts: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn say(&mut self, token: &str) -> String {
        writeln!(self.tokens, "{token}").unwrap();
        let mut verdict = String::new();
        self.verdicts.read_line(&mut verdict).unwrap();
        verdict.trim_end().to_owned()
    }

    /// Asks until the verdict begins like this.
    async fn until(&mut self, token: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.say(token);
            if said.starts_with(expected) {
                return;
            }
            assert!(Instant::now() < deadline, "{said:?}, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The token with another header, unsigned.
fn unsigned(token: &str) -> String {
    let mut header = header(token);
    header["alg"] = json!("none");
    let claims = token.split('.').nth(1).unwrap();
    format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// The token with the algorithm of a shared secret, as if the public key were one.
fn confused(token: &str) -> String {
    let mut header = header(token);
    header["alg"] = json!("HS256");
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// The story of a verifier, whatever it is written in.
async fn judges(mut world: World, command: impl Fn() -> Command) {
    let operator = world.operator().await;
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["orders:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    let partner = operator.partner().await;
    for resource in [Some(AUDIENCE), None] {
        operator
            .sandbox_grant(&partner, "orders:read", resource)
            .await;
    }
    let who = operator.client(&partner, "sandbox", &["orders:read"]).await;
    let lost = operator.issue(&who.client_id).await;
    let here = [("resource", AUDIENCE)];
    let good = world.token("sandbox", &who, &here).await;
    let elsewhere = world.token("sandbox", &who, &[]).await;
    let dead_before = world.token("sandbox", &lost, &here).await;
    operator.revoke(&lost.credential_id).await.expect(200);

    let mut program = Program::start(&world, &service, command());
    let accepted = format!("accepted {} orders:read", who.client_id);
    assert_eq!(program.say(&good), accepted);
    assert_eq!(program.say(&dead_before), "refused revoked");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    for bad in [
        elsewhere.clone(),
        unsigned(&good),
        confused(&good),
        format!("{signed}.{first}{}", &signature[1..]),
        format!("{signed}."),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let said = program.say(&bad);
        assert!(said.starts_with("refused"), "{bad}: {said}");
    }
    // Still up, and still of the same mind.
    assert_eq!(program.say(&good), accepted);

    let client = format!("/clients/{}", who.client_id);
    let step = async |verb: &str| {
        let path = format!("{client}/{verb}");
        let body = json!({ "reason": "compromised" });
        operator.post(&path, body).await.expect(200);
    };
    step("suspend").await;
    program.until(&good, "refused revoked").await;
    step("resume").await;
    let new = world.token("sandbox", &who, &here).await;
    assert_eq!(program.say(&new), accepted);
    assert_eq!(program.say(&good), "refused revoked");

    // Without news nobody is let in; what is wrong stays wrong.
    drop(operator);
    world.kill();
    program.until(&new, "unavailable").await;
    assert_eq!(program.say(&good), "refused revoked");

    // The database was put back to before anything was revoked: the program's cursor is beyond the
    // head (410), it reads the feed anew, and what it held is no longer true.
    world.execute("DELETE FROM revocations");
    world.execute("UPDATE sequences SET value = 0 WHERE name = 'revocations'");
    world.start().await;
    program.until(&good, &accepted).await;
    let operator = world.operator().await;
    let newest = world.token("sandbox", &who, &here).await;
    assert_eq!(program.say(&newest), accepted);
    operator.revoke(&who.credential_id).await.expect(200);
    program.until(&newest, "refused revoked").await;
}

#[actix_web::test]
async fn the_guides_python_program_accepts_what_is_good_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verify.py");
    std::fs::write(&path, printed("python")).unwrap();
    for world in worlds_with(&LONG_LIVED).await {
        judges(world, || {
            let mut command = Command::new("/usr/bin/python3");
            command.arg(&path);
            command
        })
        .await;
    }
}

#[actix_web::test]
async fn the_guides_node_program_accepts_what_is_good_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("verify.mjs");
    std::fs::write(&path, printed("javascript")).unwrap();
    let npm = Command::new("npm")
        .args(["install", "--no-save", "--no-package-lock", "--no-audit"])
        .args(["--no-fund", "--prefix"])
        .arg(folder.path())
        .arg(JOSE)
        .output()
        .unwrap_or_else(|error| panic!("npm: {error}: apt-get install nodejs npm"));
    assert!(
        npm.status.success(),
        "{}",
        String::from_utf8_lossy(&npm.stderr)
    );
    for world in worlds_with(&LONG_LIVED).await {
        judges(world, || {
            let mut command = Command::new("node");
            command.arg(&path);
            command
        })
        .await;
    }
}
