//! Who receives encrypted secrets: keys and JWEs in Python's jwcrypto, which shares no line with this project.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const SCRIPT: &str = include_str!("recipient.py");

/// A key pair as JWKs, and the algorithm that it is meant for.
pub struct Recipient {
    pub public: Value,
    pub private: Value,
    pub alg: &'static str,
}

/// A key on P-256 that names no algorithm.
pub fn ec() -> Recipient {
    generate(
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec" }),
        "ECDH-ES+A256KW",
    )
}

/// A key on P-256 for direct agreement.
pub fn ec_direct() -> Recipient {
    generate(
        json!({ "kty": "EC", "crv": "P-256", "kid": "direct", "alg": "ECDH-ES" }),
        "ECDH-ES",
    )
}

/// An RSA key.
pub fn rsa() -> Recipient {
    generate(
        json!({ "kty": "RSA", "size": 2048, "kid": "rsa", "use": "enc" }),
        "RSA-OAEP-256",
    )
}

fn generate(how: Value, alg: &'static str) -> Recipient {
    let made = ask(json!({ "generate": how }));
    Recipient {
        public: made["public"].clone(),
        private: made["private"].clone(),
        alg,
    }
}

/// What a recipient reads: header, plaintext, and its key's thumbprint.
pub fn jwcrypto(recipient: &Recipient, jwe: &str) -> Value {
    ask(json!({ "key": recipient.private, "jwe": jwe }))
}

fn ask(question: Value) -> Value {
    serde_json::from_str(&python(SCRIPT, &question.to_string())).unwrap()
}

/// Runs a script with something on its standard input; answers what it printed.
pub fn python(script: &str, input: &str) -> String {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .env("no_proxy", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 is missing: apt-get install python3 python3-jwcrypto");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "apt-get install python3-jwcrypto? {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
