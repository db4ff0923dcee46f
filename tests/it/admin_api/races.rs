//! Of many who do one thing at once, as many win as may.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::world::{Answer, Operator, worlds};

#[actix_web::test]
async fn of_many_who_decide_a_grant_at_once_one_wins() {
    for world in worlds().await {
        let (operator, second) = (world.operator().await, world.second_operator().await);
        let partner = operator.partner().await;
        let grant = operator
            .request_grant(&partner, "live", "orders:read", None)
            .await
            .expect(201);
        let path = format!("/scope-grants/{}", grant["id"].as_str().unwrap());
        let paths = [format!("{path}/approve"), format!("{path}/deny")];
        let asked: Vec<_> = paths
            .iter()
            .cycle()
            .take(16)
            .map(|path| (path.clone(), json!({})))
            .collect();
        let answers = at_once(&second, asked).await;
        let won: Vec<&Value> = answers
            .iter()
            .filter(|(status, _)| *status == 200)
            .map(|(_, body)| &body["state"])
            .collect();
        assert_eq!(won.len(), 1, "{:?}: {answers:?}", world.engine);
        for (status, body) in &answers {
            assert!(*status == 200 || *status == 409, "{answers:?}");
            assert_eq!(&body["state"], won[0]);
        }
        let list = operator
            .get(&format!("/partners/{partner}/scope-grants"))
            .await
            .expect(200);
        assert_eq!(&list["data"][0]["state"], won[0]);
    }
}

#[actix_web::test]
async fn of_many_secrets_issued_at_once_two_are_given() {
    for world in worlds().await {
        let operator = world.operator().await;
        let partner = operator.partner().await;
        operator.sandbox_grant(&partner, "orders:read", None).await;
        let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
        let client = operator
            .post(&format!("/partners/{partner}/clients"), body)
            .await
            .expect(201);
        let path = format!("/clients/{}/credentials", client["id"].as_str().unwrap());
        let asked = vec![(path.clone(), json!({ "kind": "secret" })); 16];
        let answers = at_once(&operator, asked).await;
        let given = answers.iter().filter(|(status, _)| *status == 201).count();
        let refused = answers
            .iter()
            .filter(|(_, body)| body["code"] == "too_many_credentials")
            .count();
        assert_eq!((given, refused), (2, 14), "{:?}: {answers:?}", world.engine);
        let listed = operator.get(&path).await.expect(200);
        assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    }
}

#[actix_web::test]
async fn of_many_revocations_at_once_one_is_recorded() {
    for world in worlds().await {
        let operator = world.operator().await;
        let who = world.sandbox_client(&["orders:read"]).await;
        let path = format!("/credentials/{}/revoke", who.credential_id);
        let asked = vec![(path, json!({ "reason": "other" })); 12];
        let mut statuses: Vec<u16> = at_once(&operator, asked)
            .await
            .into_iter()
            .map(|(status, _)| status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [&[200][..], &[409; 11]].concat());
    }
}

#[actix_web::test]
async fn of_many_registrations_of_an_audience_at_once_one_is_kept() {
    for world in worlds().await {
        let operator = world.operator().await;
        let body = json!({ "realm": "live", "identifier": "https://orders.example", "name": "orders",
                           "scopes": ["read"] });
        let asked = vec![("/resource-servers".to_owned(), body); 12];
        let answers = at_once(&operator, asked).await;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        let taken = answers
            .iter()
            .filter(|(_, body)| body["code"] == "identifier_taken")
            .count();
        assert_eq!((made, taken), (1, 11), "{:?}: {answers:?}", world.engine);
    }
}

/// Sends all of these at the same time, each on a connection of its own.
async fn at_once(operator: &Operator<'_>, asked: Vec<(String, Value)>) -> Vec<(u16, Value)> {
    let mut running = JoinSet::new();
    for (path, body) in asked {
        let request = operator
            .world
            .request(Method::POST, &format!("/admin/v1{path}"))
            .bearer_auth(&operator.token)
            .json(&body);
        running.spawn(async move {
            let answer = Answer::of(request.send().await.unwrap()).await;
            (answer.status, answer.json())
        });
    }
    running.join_all().await
}
