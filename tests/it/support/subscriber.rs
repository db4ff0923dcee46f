//! A partner with an endpoint and a receiver behind it, and events without what causes them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::receiver::{Received, Receiver};
use super::world::{Answer, Credential, Engine, World};

/// The scopes of who sets endpoints up and has events sent again.
pub const SCOPES: [&str; 2] = ["events:replay", "webhooks:manage"];

/// How far off the end of the partner's grants is.
const FAR: Duration = Duration::from_secs(80 * 24 * 3600);
/// How long is waited for something that comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A partner of the sandbox, told of everything.
pub struct Subscriber {
    pub who: Credential,
    pub token: String,
    pub receiver: Receiver,
    /// The endpoint.
    pub id: String,
    pub secret: String,
}

impl World {
    /// A new partner with an endpoint for everything.
    pub async fn subscriber(&self) -> Subscriber {
        self.subscriber_to(&["*"]).await
    }

    /// The same for some types.
    pub async fn subscriber_to(&self, types: &[&str]) -> Subscriber {
        let operator = self.operator().await;
        let partner = operator.partner().await;
        for scope in SCOPES {
            // So long that no warning of its end comes in between.
            let asked = operator.request_grant_until(&partner, "sandbox", scope, None, FAR);
            asked.await.expect(201);
        }
        let who = operator.client(&partner, "sandbox", &SCOPES).await;
        let token = self.token("sandbox", &who, &[]).await;
        self.subscriber_as(who, token, types).await
    }

    /// An endpoint more of a partner.
    pub async fn subscriber_as(
        &self,
        who: Credential,
        token: String,
        types: &[&str],
    ) -> Subscriber {
        let receiver = Receiver::start().await;
        let url = receiver.url("/hook");
        let made = self.endpoint("sandbox", &token, &url, types).await;
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Subscriber {
            who,
            token,
            receiver,
            id: text("id"),
            secret: text("secret"),
        }
    }

    /// Tells a partner so many times that an order was accepted, as if orders had been; answers the events'
    /// numbers. Nothing else may be told it meanwhile.
    pub fn tell(&self, partner: &str, count: usize) -> std::ops::RangeInclusive<i64> {
        let value = format!(
            "SELECT CAST(value AS TEXT) AS line FROM event_counters WHERE partner_id = '{partner}' AND realm = 'sandbox'"
        );
        let before: i64 = self
            .lines(&value)
            .first()
            .map_or(0, |line| line.parse().unwrap());
        let last = before + i64::try_from(count).unwrap();
        let (padded, now) = match self.engine {
            Engine::Sqlite => (
                "substr('0000000000' || i, -10)",
                "strftime('%Y-%m-%d %H:%M:%f', 'now')",
            ),
            Engine::Postgres => ("lpad(i::text, 10, '0')", "(now() AT TIME ZONE 'UTC')"),
        };
        // Of its own for each partner: ids name one event.
        let own = &partner[partner.len() - 8..];
        self.execute(&format!(
            "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
             INSERT INTO events (partner_id, realm, seq, id, kind, created_at, data) \
             SELECT '{partner}', 'sandbox', i, 'evt_01K2ZJ6V' || '{own}' || {padded}, 'order.accepted', {now}, \
             '{{\"order_id\":\"ord_01K2ZJ6V9D3M5K7N2R4T6W8Y0A\"}}' FROM n",
            before + 1
        ));
        self.execute(&format!(
            "INSERT INTO event_counters (partner_id, realm, value) VALUES ('{partner}', 'sandbox', {last}) \
             ON CONFLICT (partner_id, realm) DO UPDATE SET value = {last}"
        ));
        before + 1..=last
    }

    /// Lets so much time pass for whatever waits for another attempt at an endpoint.
    pub fn let_retries_come(&self, endpoint: &str) {
        self.execute(&format!(
            "UPDATE webhook_deliveries SET next_attempt_at = '2026-01-01 00:00:00' \
             WHERE endpoint_id = '{endpoint}' AND next_attempt_at IS NOT NULL"
        ));
    }

    /// Lets the claims of nodes that were killed end.
    pub fn let_claims_end(&self) {
        self.execute("UPDATE webhook_endpoints SET lease_until = '2026-01-01 00:00:00'");
        self.execute("DELETE FROM webhook_workers");
    }

    /// Waits until a query's first line is this.
    pub async fn wait_until(&self, query: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.lines(query);
            if lines.first().is_some_and(|line| line == wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{query}: {lines:?}, not {wanted}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Subscriber {
    /// What came: events in the order of their coming.
    pub fn came(&self) -> Vec<i64> {
        self.receiver.deliveries().iter().map(seq_of).collect()
    }

    /// Waits until all of these have come, once or more; answers all that came.
    pub async fn wait_for(&self, wanted: impl IntoIterator<Item = i64>) -> Vec<Received> {
        let wanted: BTreeSet<i64> = wanted.into_iter().collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.receiver.deliveries();
            let came: BTreeSet<i64> = received.iter().map(seq_of).collect();
            if came.is_superset(&wanted) {
                return received;
            }
            let missing: Vec<_> = wanted.difference(&came).take(20).collect();
            assert!(Instant::now() < deadline, "never came: {missing:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The endpoint's deliveries, the newest first.
    pub async fn deliveries(&self, world: &World, query: &str) -> Vec<Value> {
        let path = format!(
            "/sandbox/v1/webhook-endpoints/{}/deliveries?limit=100{query}",
            self.id
        );
        let page = world.get(&path, Some(&self.token)).await.expect(200);
        page["data"].as_array().unwrap().clone()
    }

    /// Waits until one of the endpoint's deliveries is in a state after so many attempts.
    pub async fn wait_for_state(
        &self,
        world: &World,
        seq: i64,
        state: &str,
        attempts: usize,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let all = self.deliveries(world, &format!("&state={state}")).await;
            let found = all
                .iter()
                .find(|one| one["seq"] == seq && one["replay_id"].is_null());
            if let Some(found) = found
                && found["state"] == state
                && found["attempts"].as_array().unwrap().len() == attempts
            {
                return found.clone();
            }
            assert!(
                Instant::now() < deadline,
                "{found:?} is not {state} after {attempts}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The endpoint as it is.
    pub async fn endpoint(&self, world: &World) -> Value {
        let path = format!("/sandbox/v1/webhook-endpoints/{}", self.id);
        world.get(&path, Some(&self.token)).await.expect(200)
    }

    /// `POST` to a path of the partner API.
    pub async fn post(&self, world: &World, path: &str, body: Value) -> Answer {
        let request = world.request(reqwest::Method::POST, &format!("/sandbox/v1{path}"));
        let request = request.bearer_auth(&self.token).json(&body);
        Answer::of(request.send().await.unwrap()).await
    }

    /// Asks for a replay.
    pub async fn replay(&self, world: &World, members: Value) -> Answer {
        let mut body = json!({ "endpoint_id": self.id, "only": "all" });
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post(world, "/replays", body).await
    }

    /// Waits until a replay is in a state.
    pub async fn wait_for_replay(&self, world: &World, id: &str, state: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let path = format!("/sandbox/v1/replays/{id}");
            let replay = world.get(&path, Some(&self.token)).await.expect(200);
            if replay["state"] == state {
                return replay;
            }
            assert!(Instant::now() < deadline, "{replay} is not {state}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The number of an event that came.
pub fn seq_of(received: &Received) -> i64 {
    received.json()["seq"].as_i64().unwrap()
}
