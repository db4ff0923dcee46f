//! What partners call is in their log, and in nobody else's.

pub mod stretches;

use std::time::{Duration, Instant};

use onyx_auth::domain::id::{ClientId, RequestId};
use onyx_auth::domain::realm::Realm;
use serde_json::{Value, json};

use crate::support::assert_snapshot;
use crate::support::world::{Answer, Credential, World, in_future, worlds, worlds_with};

/// Asks until an answer's list satisfies: rows are written within a second.
async fn until(
    what: &str,
    ask: impl AsyncFn() -> Value,
    is_there: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let list = ask().await;
        let rows = list["data"].as_array().unwrap();
        if is_there(rows) {
            return rows.clone();
        }
        assert!(Instant::now() < deadline, "{what} never came: {list:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An operator's view of the log.
async fn logged(world: &World, query: &str, count: usize) -> Vec<Value> {
    let operator = world.operator().await;
    let path = format!("/requests?{query}");
    let ask = async || operator.get(&path).await.expect(200);
    until(query, ask, |rows| rows.len() >= count).await
}

fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let (method, route, code) = (text("method"), text("route"), text("code"));
    format!(
        "{method} {route} {} {code} {}",
        row["status"],
        text("idempotency")
    )
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn id(answer: &Answer) -> String {
    answer.header("onyx-request-id").to_owned()
}

/// Three calls of a client: answered, refused for its query, and one for the log itself.
async fn three_calls(world: &World, token: &str) -> [Answer; 3] {
    let me = world.get("/sandbox/v1/me", Some(token)).await;
    let refused = world
        .get("/sandbox/v1/requests?limit=0&x=1", Some(token))
        .await;
    let head = world
        .request(reqwest::Method::HEAD, "/sandbox/v1/me?secret=canary")
        .bearer_auth(token)
        .send();
    [me, refused, Answer::of(head.await.unwrap()).await]
}

#[actix_web::test]
async fn a_call_is_in_its_partner_s_log_and_in_the_operators() {
    for world in worlds().await {
        let (who, other) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        let token = world.token("sandbox", &who, &[]).await;
        let begun = in_future(Duration::ZERO);
        let calls = three_calls(&world, &token).await;
        // Nobody's: without a token, with another realm's, with a bad one.
        world.get("/sandbox/v1/me", None).await.expect(401);
        world.get("/live/v1/me", Some(&token)).await.expect(401);
        world.get("/sandbox/v1/me", Some("x.y.z")).await.expect(401);

        let by_client = format!("client_id={}", who.client_id);
        let rows = logged(&world, &by_client, 3).await;
        assert_snapshot!(lines(&rows), @r"
        HEAD /{env}/v1/me 200 - none
        GET /{env}/v1/requests 400 invalid_parameter none
        GET /{env}/v1/me 200 - none
        ");
        let ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(ids, [id(&calls[2]), id(&calls[1]), id(&calls[0])]);
        let first = rows.last().unwrap();
        assert_eq!(
            (
                &first["partner_id"],
                &first["realm"],
                &first["credential_id"]
            ),
            (
                &json!(who.partner_id),
                &json!("sandbox"),
                &json!(who.credential_id)
            )
        );
        assert!(first["milliseconds"].as_f64().unwrap() > 0.0);
        assert!(first["not_found"].is_null() && first["order_id"].is_null());

        // The partner's own view: the same calls, and the looking itself once it is answered.
        let own = world
            .get("/sandbox/v1/requests", Some(&token))
            .await
            .expect(200);
        let own = own["data"].as_array().unwrap();
        assert_eq!(
            own.iter()
                .filter(|row| ids.contains(&row["id"].as_str().unwrap()))
                .count(),
            3
        );
        assert!(
            own.iter()
                .all(|row| row.get("partner_id").is_none() && row.get("not_found").is_none())
        );
        let others = world.token("sandbox", &other, &[]).await;
        for query in ["", &format!("?{by_client}"), &format!("?id={}", ids[0])] {
            let seen = world
                .get(&format!("/sandbox/v1/requests{query}"), Some(&others))
                .await;
            let seen = seen.expect(200);
            let seen = seen["data"].as_array().unwrap();
            assert!(
                seen.iter()
                    .all(|row| row["client_id"] == json!(other.client_id)),
                "{seen:?}"
            );
        }

        let operator = world.operator().await;
        for (filter, count) in [
            ("status=4xx", 1),
            ("status=400", 1),
            ("status=404", 0),
            ("code=invalid_parameter", 1),
            ("route=%2F%7Benv%7D%2Fv1%2Fme", 2),
            ("realm=live", 0),
            (&format!("credential_id={}", who.credential_id), 3),
            (&format!("partner_id={}", other.partner_id), 0),
            (&format!("from={begun}"), 3),
            (&format!("to={begun}"), 0),
            (&format!("id={}", ids[1]), 1),
        ] {
            let path = format!("/requests?{by_client}&{filter}");
            let found = operator.get(&path).await;
            let found = found.expect(200);
            let found: Vec<_> = found["data"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|row| ids.contains(&row["id"].as_str().unwrap()))
                .collect();
            assert_eq!(found.len(), count, "{filter}");
        }

        // Page by page.
        let (mut cursor, mut seen) = (String::new(), Vec::new());
        while seen.len() < 3 {
            let page = operator
                .get(&format!(
                    "/requests?{by_client}&to={}&limit=1{cursor}",
                    first_after(&rows)
                ))
                .await
                .expect(200);
            seen.push(page["data"][0]["id"].as_str().unwrap().to_owned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ids);

        let listed = world.cli(&[
            "partner",
            "requests",
            &who.partner_id,
            "--status",
            "400",
            "--field",
            "id",
        ]);
        assert_eq!(listed, ids[1]);
    }
}

/// A moment after the newest of these rows, and before anything later.
fn first_after(rows: &[Value]) -> String {
    // Microseconds are as fine as moments get.
    let at = rows[0]["at"].as_str().unwrap();
    let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
    let next = at + chrono::TimeDelta::microseconds(1);
    next.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[actix_web::test]
async fn filters_that_make_no_sense_are_told() {
    for world in worlds().await {
        let operator = world.operator().await;
        let mut told = String::new();
        for filter in [
            "status=40",
            "status=6xx",
            "route=",
            "code=a%00b",
            "from=yesterday",
            "client_id=me",
            "order_id=ORDER-1",
            "path=/",
        ] {
            let refused = operator.get(&format!("/requests?{filter}")).await;
            told += &format!("{}\n", refused.problem());
        }
        assert_snapshot!(told, @r"
        400 invalid_parameter: status must be a status like 404, or a class like 4xx
        400 invalid_parameter: status must be a status like 404, or a class like 4xx
        400 invalid_parameter: route must be 1 to 200 printable characters
        400 invalid_parameter: code must be 1 to 200 printable characters
        400 invalid_parameter: from must be a time like 2030-01-31T12:00:00Z (RFC 3339)
        400 invalid_parameter: client_id must be an id of the form cl_<sbx|live|adm>_<ULID>
        400 invalid_parameter: order_id must be an id of the form ord_<ULID>
        400 invalid_parameter: path is not a parameter of this list
        ");
    }
}

#[actix_web::test]
async fn a_class_of_statuses_is_one_digit_for_partners_and_operators() {
    const TOLD: &str =
        "400 invalid_parameter: status must be a status like 404, or a class like 4xx";
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        for bad in ["99999999xx", "-9xx", "%2B2xx", "%202xx", "02xx"] {
            let query = format!("/requests?status={bad}");
            let path = format!("/sandbox/v1{query}");
            let own = world.get(&path, Some(&token));
            for refused in [own.await, operator.get(&query).await] {
                assert_eq!(refused.problem(), TOLD, "{bad}");
            }
        }
    }
}

#[actix_web::test]
async fn a_log_that_is_switched_off_stays_empty() {
    for mut world in worlds_with(&[("ONYX_REQUEST_LOG", "false")]).await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        three_calls(&world, &token).await;
        assert_eq!(world.terminate(), Some(0));
        assert_eq!(count(&world), 0);
    }
}

fn count(world: &World) -> usize {
    world
        .lines("SELECT request_id AS line FROM request_log")
        .len()
}

#[actix_web::test]
async fn what_was_answered_before_an_orderly_end_is_in_the_log() {
    for mut world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        for _ in 0..20 {
            world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        }
        assert_eq!(world.terminate(), Some(0));
        assert_eq!(count(&world), 20);
    }
}

#[actix_web::test]
async fn the_log_and_the_database_hold_nothing_of_a_call_but_its_columns() {
    for world in worlds().await {
        let who = world.sandbox_client(&["orders:read"]).await;
        let token = world.token("sandbox", &who, &[]).await;
        let canary = "canary-3f9a1c";
        let path = format!("/sandbox/v1/requests?code={canary}&route=%2F{canary}&limit=5");
        world.get(&path, Some(&token)).await.expect(200);
        let path = format!("/sandbox/v1/requests?{canary}={canary}");
        world.get(&path, Some(&token)).await.expect(400);
        logged(&world, &format!("client_id={}", who.client_id), 2).await;
        let database = crate::secrecy::database(&world);
        assert!(
            !crate::secrecy::holds(&database, canary),
            "{:?}",
            world.engine
        );
        assert!(crate::secrecy::holds(&database, "/{env}/v1/requests"));
    }
}

#[actix_web::test]
async fn reading_the_log_wants_its_scope() {
    for world in worlds().await {
        let weak = world
            .token(
                "admin",
                &world.operator_credential(),
                &[("scope", "partners:read")],
            )
            .await;
        let refused = world.get("/admin/v1/requests", Some(&weak)).await;
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (403, &json!("insufficient_scope"))
        );
    }
}

/// A call for an id, as it would be in the log now.
fn asked_for(world: &World, who: &Credential, realm: &str, subject: &str) -> String {
    let now = chrono::Utc::now();
    let id = RequestId::generate(now.into()).to_string();
    let at = now.format("%Y-%m-%d %H:%M:%S");
    world.execute(&format!(
        "INSERT INTO request_log (request_id, at, partner_id, realm, client_id, credential_id, method, route, \
         status, code, micros, idempotency, order_id, subject) VALUES ('{id}', '{at}', '{}', '{realm}', '{}', '{}', \
         'GET', '/{{env}}/v1/things/{{id}}', 404, 'not_found', 1200, 'none', NULL, '{subject}')",
        who.partner_id, who.client_id, who.credential_id
    ));
    id
}

#[actix_web::test]
async fn asking_for_what_is_another_s_raises_one_review_a_day() {
    for world in worlds().await {
        let operator = world.operator().await;
        let (curious, honest, victim) = (
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
            world.sandbox_client(&["orders:read"]).await,
        );
        // What does not exist, and what is one's own, is nobody's business.
        let nothing = ClientId::generate(Realm::Sandbox, chrono::Utc::now().into());
        asked_for(&world, &honest, "sandbox", nothing.as_str());
        asked_for(&world, &honest, "sandbox", &honest.credential_id);
        let raised = asked_for(&world, &curious, "sandbox", &victim.credential_id);
        let reviews =
            |partner: &str| format!("/reviews?kind=unexpected_activity&partner_id={partner}");
        let path = reviews(&curious.partner_id);
        let ask = async || operator.get(&path).await.expect(200);
        let found = until("a review", ask, |rows| !rows.is_empty()).await;
        assert_eq!(found[0]["pointer"], json!(raised));
        let shown = operator
            .get(&format!("/requests?id={raised}"))
            .await
            .expect(200);
        assert_eq!(shown["data"][0]["not_found"], json!(victim.credential_id));

        // More of the same adds nothing; something of another realm is another's too.
        asked_for(&world, &curious, "sandbox", &victim.client_id);
        asked_for(&world, &honest, "live", &honest.client_id);
        let path = reviews(&honest.partner_id);
        let ask = async || operator.get(&path).await.expect(200);
        let of_honest = until("a review", ask, |rows| !rows.is_empty()).await;
        assert_eq!(of_honest.len(), 1);
        let of_curious = operator
            .get(&reviews(&curious.partner_id))
            .await
            .expect(200);
        assert_eq!(of_curious["data"].as_array().unwrap().len(), 1);
        let trail = world.lines(&format!(
            "SELECT actor AS line FROM audit_events WHERE action = 'review.opened' AND partner_id = '{}'",
            curious.partner_id
        ));
        assert_eq!(trail, ["policy"]);
    }
}

#[actix_web::test]
async fn the_columns_of_the_log_are_an_allow_list() {
    let world = worlds().await.remove(0);
    let columns = world.lines("SELECT name AS line FROM pragma_table_info('request_log')");
    assert_snapshot!(columns.join(" "), @"request_id at partner_id realm client_id credential_id method route status code micros idempotency order_id subject version");
}
