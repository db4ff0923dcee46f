//! What a partner may use, and what it has used.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Answer, Operator, World};

/// Rates that no story meets.
fn generous(realm: &str, mode: &str) -> Value {
    json!({ "realm": realm, "mode": mode, "requests_per_minute": 1_000_000, "burst": 100_000, "tokens_per_minute": 100_000 })
}

impl Operator<'_> {
    /// Sets a partner's limits in the sandbox: generous rates, and these members.
    pub async fn allow(&self, partner: &str, mode: &str, members: Value) {
        let mut body = generous("sandbox", mode);
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        let path = format!("/admin/v1/partners/{partner}/limits");
        let request = self.world.request(Method::PUT, &path);
        let request = request.bearer_auth(&self.token).json(&body);
        Answer::of(request.send().await.unwrap()).await.expect(200);
    }
}

impl World {
    /// How a partner's counters stand in the database: `requests_per_day 5`.
    pub fn counters(&self, partner: &str) -> Vec<String> {
        self.lines(&format!(
            "SELECT quota || ' ' || used AS line FROM usage_counters WHERE partner_id = '{partner}' ORDER BY quota, currency"
        ))
    }

    /// Waits until counters stand so, among others.
    pub async fn wait_for_counters(&self, partner: &str, wanted: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.counters(partner);
            if wanted
                .iter()
                .all(|line| found.iter().any(|one| one == line))
            {
                return;
            }
            assert!(Instant::now() < deadline, "{found:?} are not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a partner was warned of: `orders_per_day 80 of 5`, in order.
    pub fn warnings(&self, partner: &str) -> Vec<String> {
        let rows = self.lines(&format!(
            "SELECT data AS line FROM events WHERE partner_id = '{partner}' AND kind = 'quota.warning' ORDER BY seq"
        ));
        rows.iter()
            .map(|row| {
                let data: Value = serde_json::from_str(row).unwrap();
                assert!(
                    data["period_ends_at"]
                        .as_str()
                        .unwrap()
                        .ends_with("T00:00:00Z"),
                    "{data}"
                );
                let quota = data["quota"].as_str().unwrap();
                format!("{quota} {} of {}", data["percent"], data["limit"])
            })
            .collect()
    }

    /// A sample of this server's metrics. `None`: there is no such series.
    pub async fn sample(&self, series: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.ops);
        let answer = Answer::of(self.http.get(url).send().await.unwrap()).await;
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().unwrap())
        };
        answer.text.lines().find_map(line)
    }

    /// Waits until a sample is so.
    pub async fn wait_for_sample(&self, series: &str, wanted: f64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let found = self.sample(series).await;
            if found == Some(wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{series} is {found:?}, not {wanted}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
