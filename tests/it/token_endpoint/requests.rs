//! What is a token request, and what is none.

use reqwest::Method;

use super::{FORM, assert_proper, basic, form_of, post};
use crate::support::assert_snapshot;
use crate::support::world::{Answer, worlds};

/// Name, Authorization and body of requests that nobody should send.
///
/// GOOD is a client's Basic, ID and SECRET are its halves, and GRANT is the grant type.
const MALFORMED: &str = "
no credentials | | GRANT
an id without a secret | | GRANT&client_id=ID
an empty secret | | GRANT&client_id=ID&client_secret=
a secret without an id | | GRANT&client_secret=SECRET
an empty id | | GRANT&client_id=&client_secret=SECRET
an empty body | |
Basic and a secret | GOOD | GRANT&client_id=ID&client_secret=SECRET
Basic and an assertion | GOOD | GRANT&client_assertion=x
a secret and an assertion | | GRANT&client_id=ID&client_secret=SECRET&client_assertion=x
an assertion | | GRANT&client_assertion_type=y&client_assertion=x
Basic and another id | GOOD | GRANT&client_id=cl_sbx_other
Bearer | Bearer x | GRANT
Bearer and a secret | Bearer x | GRANT&client_id=ID&client_secret=SECRET
Basic alone | Basic | GRANT
Basic that is not base64 | Basic ? | GRANT
Basic in base64url | Basic _-__ | GRANT
Basic without a colon | Basic YWJj | GRANT
Basic with half an escape | Basic YSUyOmI= | GRANT
Basic that is not UTF-8 | Basic YTolZmY= | GRANT
Basic with a NUL | Basic YTpiAA== | GRANT
no grant_type | GOOD | scope=orders:read
an empty grant_type | GOOD | grant_type=
another grant_type | GOOD | grant_type=authorization_code
grant_type in capitals | GOOD | grant_type=CLIENT_CREDENTIALS
grant_type twice | GOOD | GRANT&GRANT
scope twice | GOOD | GRANT&scope=orders:read&scope=orders:read
client_id twice | | GRANT&client_id=ID&client_id=ID&client_secret=SECRET
client_secret twice | | GRANT&client_id=ID&client_secret=SECRET&client_secret=SECRET
half an escape | GOOD | GRANT&x=%2
a wrong escape | GOOD | GRANT&x=%zz
bytes that are not UTF-8 | GOOD | GRANT&scope=%C3%28
a NUL | GOOD | GRANT&scope=%00
a scope with a quote | GOOD | GRANT&scope=%22
a scope of spaces | GOOD | GRANT&scope=+
a scope beyond ASCII | GOOD | GRANT&scope=%C3%A9
a scope with a tab | GOOD | GRANT&scope=orders:read%09usage:read
";

#[actix_web::test]
async fn a_malformed_request_is_told_what_to_mend() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let (good, form) = (basic(&who), form_of(&who));
        let grant = "grant_type=client_credentials";
        let mut told = String::new();
        for line in MALFORMED.trim().lines() {
            let filled = line
                .replace("GOOD", &good)
                .replace("GRANT", grant)
                .replace("=ID", &format!("={}", who.client_id))
                .replace("=SECRET", &format!("={}", who.secret));
            let parts: Vec<&str> = filled.split('|').map(str::trim).collect();
            let (name, authorization, body) = (parts[0], parts[1], parts[2].to_owned());
            let header = ("authorization", authorization);
            let headers = if authorization.is_empty() {
                &[][..]
            } else {
                &[header]
            };
            let answer = post(&world, headers, body).await;
            assert_proper(&answer);
            let body = answer.json();
            let challenge = answer.header("www-authenticate");
            let is_challenged = challenge == r#"Basic realm="sandbox", charset="UTF-8""#;
            assert_eq!(is_challenged, answer.status == 401, "{name}: {challenge}");
            told += &format!(
                "{name}: {} {}: {}\n",
                answer.status,
                body["error"].as_str().unwrap(),
                body["error_description"].as_str().unwrap()
            );
        }
        assert_snapshot!(told, @r"
        no credentials: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        an id without a secret: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        an empty secret: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        a secret without an id: 400 invalid_request: client_secret was sent without client_id
        an empty id: 400 invalid_request: client_secret was sent without client_id
        an empty body: 400 invalid_client: no client credentials: use HTTP Basic, or client_id and client_secret in the form
        Basic and a secret: 400 invalid_request: use one client authentication method, not two
        Basic and an assertion: 400 invalid_request: use one client authentication method, not two
        a secret and an assertion: 400 invalid_request: use one client authentication method, not two
        an assertion: 400 invalid_client: client_assertion is not supported
        Basic and another id: 400 invalid_request: client_id differs from the one in the Authorization header
        Bearer: 401 invalid_client: the Authorization header must use HTTP Basic
        Bearer and a secret: 400 invalid_request: use one client authentication method, not two
        Basic alone: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic that is not base64: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic in base64url: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic without a colon: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic with half an escape: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic that is not UTF-8: 400 invalid_request: the Authorization header is not valid HTTP Basic
        Basic with a NUL: 400 invalid_request: the Authorization header is not valid HTTP Basic
        no grant_type: 400 invalid_request: grant_type is missing: send grant_type=client_credentials
        an empty grant_type: 400 invalid_request: grant_type is missing: send grant_type=client_credentials
        another grant_type: 400 unsupported_grant_type: grant_type must be client_credentials
        grant_type in capitals: 400 unsupported_grant_type: grant_type must be client_credentials
        grant_type twice: 400 invalid_request: a parameter was sent more than once
        scope twice: 400 invalid_request: a parameter was sent more than once
        client_id twice: 400 invalid_request: a parameter was sent more than once
        client_secret twice: 400 invalid_request: a parameter was sent more than once
        half an escape: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a wrong escape: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        bytes that are not UTF-8: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a NUL: 400 invalid_request: the body is not valid application/x-www-form-urlencoded
        a scope with a quote: 400 invalid_scope: scope must be names separated by spaces
        a scope of spaces: 400 invalid_scope: scope must be names separated by spaces
        a scope beyond ASCII: 400 invalid_scope: scope must be names separated by spaces
        a scope with a tab: 400 invalid_scope: scope must be names separated by spaces
        ");

        let raw_bytes = post(&world, &[], [form.as_bytes(), b"&scope=\xff\xfe"].concat()).await;
        assert_snapshot!(raw_bytes.line(), @r#"400 {"error":"invalid_request","error_description":"the body is not valid application/x-www-form-urlencoded"}"#);
        let twice = [("authorization", &*good), ("authorization", &*good)];
        let twice = post(&world, &twice, grant).await;
        assert_snapshot!(twice.line(), @r#"400 {"error":"invalid_request","error_description":"the Authorization header was sent more than once"}"#);
    }
}

#[actix_web::test]
async fn unknown_parameters_are_ignored_and_empty_values_count_as_omitted() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let form = form_of(&who);
        for more in [
            "foo=bar&audience=https://elsewhere.example&nonce=1",
            "scope=",
            "scope=&scope=orders:read",
            "resource=",
            "resource",
            "client_assertion=&client_assertion_type=",
            "&&&",
            "=",
        ] {
            let answer = post(&world, &[], format!("{form}&{more}")).await;
            assert_eq!(answer.expect(200)["scope"], "orders:read", "{more}");
        }
    }
}

#[actix_web::test]
async fn credentials_in_the_uri_are_refused_and_nothing_else_is_read_from_there() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let ask = async |query: &str, body: String| {
            let request = world.request(Method::POST, &format!("/sandbox/oauth2/token?{query}"));
            let request = request.header("content-type", FORM).body(body);
            Answer::of(request.send().await.unwrap()).await
        };
        for query in [
            form_of(&who),
            "client_id=x".to_owned(),
            "client_secret=x".to_owned(),
            "client%5Fsecret=x".to_owned(),
            "client_assertion=x".to_owned(),
        ] {
            for body in [form_of(&who), "grant_type=client_credentials".to_owned()] {
                let answer = ask(&query, body).await;
                assert_proper(&answer);
                assert_snapshot!(answer.line(), @r#"400 {"error":"invalid_request","error_description":"credentials do not belong in the URI: send them in the body"}"#);
            }
        }
        let scope = ask("scope=nothing:like-it&grant_type=other", form_of(&who)).await;
        assert_eq!(scope.expect(200)["scope"], "orders:read");
    }
}

#[actix_web::test]
async fn only_a_post_of_a_form_is_a_token_request() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        for realm in ["sandbox", "live", "admin"] {
            for method in [
                "GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
            ] {
                let request =
                    world.request(method.parse().unwrap(), &format!("/{realm}/oauth2/token"));
                let answer = Answer::of(request.send().await.unwrap()).await;
                assert_eq!(
                    (
                        answer.status,
                        answer.header("allow"),
                        answer.header("cache-control")
                    ),
                    (405, "POST", "no-store"),
                    "{method} {realm}"
                );
                if method != "HEAD" {
                    assert_snapshot!(answer.text, @r#"{"error":"invalid_request","error_description":"use POST"}"#);
                }
            }
        }
        for media_type in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded-not",
            "x",
            "",
        ] {
            let answer = post(&world, &[("content-type", media_type)], form_of(&who)).await;
            assert_proper(&answer);
            assert_snapshot!(answer.line(), media_type, @r#"415 {"error":"invalid_request","error_description":"send the body as application/x-www-form-urlencoded"}"#);
        }
        let request = world.request(Method::POST, "/sandbox/oauth2/token");
        let untyped = Answer::of(request.body(form_of(&who)).send().await.unwrap()).await;
        assert_eq!(untyped.status, 415);
        for media_type in [
            "application/x-www-form-urlencoded; charset=UTF-8",
            "application/x-www-form-urlencoded;charset=utf-8",
            "Application/X-WWW-Form-URLencoded",
        ] {
            let answer = post(&world, &[("content-type", media_type)], form_of(&who)).await;
            answer.expect(200);
        }
    }
}

#[actix_web::test]
async fn a_body_has_at_most_64_kib_however_it_is_sent() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let padded = |length: usize| {
            let mut form = form_of(&who) + "&padding=";
            form.extend(std::iter::repeat_n('x', length - form.len()));
            form
        };
        post(&world, &[], padded(65_536)).await.expect(200);
        for length in [65_537, 300_000] {
            let answer = post(&world, &[], padded(length)).await;
            assert_proper(&answer);
            assert_snapshot!(answer.line(), @r#"413 {"error":"invalid_request","error_description":"a body has at most 65536 bytes"}"#);
        }

        let chunked = |length: usize| {
            let head = format!(
                "POST /sandbox/oauth2/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            let chunks: String = padded(length)
                .as_bytes()
                .chunks(8000)
                .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
                .collect();
            world.raw(format!("{head}{chunks}0\r\n\r\n").as_bytes())
        };
        assert!(chunked(65_536).starts_with("HTTP/1.1 200"));
        let refused = chunked(65_537);
        assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
        assert!(refused.contains(r#""error":"invalid_request""#));
    }
}

#[actix_web::test]
async fn nothing_that_a_stranger_sends_makes_the_server_fail() {
    for world in worlds().await {
        let head = format!("Host: x\r\nConnection: close\r\nContent-Type: {FORM}\r\n");
        let path = "/sandbox/oauth2/token";
        let post = format!("POST {path} HTTP/1.1\r\n{head}");
        let requests: Vec<Vec<u8>> = vec![
            format!("{post}Content-Length: -1\r\n\r\n").into(),
            format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab").into(),
            format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab").into(),
            format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into(),
            format!("{post}Authorization: Basic é\r\nContent-Length: 0\r\n\r\n").into(),
            format!("{post}Authorization:\r\nContent-Length: 0\r\n\r\n").into(),
            [
                format!("{post}Authorization: Basic ").as_bytes(),
                b"\xff\xfe\r\nContent-Length: 0\r\n\r\n",
            ]
            .concat(),
            format!(
                "{post}Authorization: Basic {}\r\nContent-Length: 0\r\n\r\n",
                "A".repeat(20_000)
            )
            .into(),
            format!("{post}X: {}\r\n\r\n", "x".repeat(300_000)).into(),
            format!("POST {path}?%ff%zz&&=&client_id HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n")
                .into(),
            format!(
                "POST /sandbox/oauth2/%00%ff/../token HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n"
            )
            .into(),
            format!("POST //sandbox//oauth2//token HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n")
                .into(),
            format!("{post}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x00").into(),
            b"GARBAGE\r\n\r\n".to_vec(),
        ];
        for request in requests {
            let shown = String::from_utf8_lossy(&request).into_owned();
            let shown: String = shown.chars().take(300).collect();
            let answer = world.raw(&request);
            let status = answer.split(' ').nth(1).unwrap_or("");
            assert!(
                answer.is_empty() || status.starts_with('4'),
                "{shown}\n->\n{answer}"
            );
            for leak in ["panicked", "src/", ".rs:", "diesel", "SQL"] {
                assert!(!answer.contains(leak), "{shown}\n->\n{answer}");
            }
        }
        assert!(!world.log().contains("panicked"), "{}", world.log());
        let who = world.sandbox_client(&["orders:read"]).await;
        world.token("sandbox", &who, &[]).await;
    }
}

#[actix_web::test]
async fn no_answer_lets_a_browser_of_another_origin_in() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let origin = ("origin", "https://app.example");
        let given = post(&world, &[origin], form_of(&who)).await;
        assert_eq!(given.status, 200);
        let preflight = world
            .request(Method::OPTIONS, "/sandbox/oauth2/token")
            .header(origin.0, origin.1)
            .header("access-control-request-method", "POST");
        let preflight = Answer::of(preflight.send().await.unwrap()).await;
        let mut answers = vec![given, preflight];
        for path in [
            "/sandbox/oauth2/jwks",
            "/.well-known/oauth-authorization-server/sandbox",
            "/sandbox/v1/me",
        ] {
            let request = world.request(Method::GET, path).header(origin.0, origin.1);
            answers.push(Answer::of(request.send().await.unwrap()).await);
        }
        for answer in answers {
            let mut headers = answer.headers.keys();
            assert!(
                headers.all(|name| !name.as_str().starts_with("access-control-")),
                "{answer:?}"
            );
        }
    }
}
