//! A resource service that follows revocations with the verifier crate.

use std::time::{Duration, Instant};

use onyx_verifier::{Rejection, Staleness, TokenFault, Verifier};

use crate::support::world::{Credential, World, worlds};

const AUDIENCE: &str = "https://orders.acme.example";

/// A service with its credential, and a partner's client that holds a scope at it.
async fn service_and_client(world: &World) -> (Credential, Credential) {
    let operator = world.operator().await;
    let server = operator
        .resource_server("sandbox", AUDIENCE, &["stock:read"], "ES256")
        .await;
    let service = operator.issue(server["client_id"].as_str().unwrap()).await;
    let partner = operator.partner().await;
    operator
        .sandbox_grant(&partner, "stock:read", Some(AUDIENCE))
        .await;
    let client = operator.client(&partner, "sandbox", &["stock:read"]).await;
    (service, client)
}

async fn token(world: &World, who: &Credential) -> String {
    world.token("sandbox", who, &[("resource", AUDIENCE)]).await
}

async fn verifier(world: &World, service: &Credential, staleness: Staleness) -> Verifier {
    let issuer = format!("{}/sandbox", world.setting("ONYX_BASE_URL"));
    Verifier::builder(issuer, AUDIENCE)
        .follow(&service.client_id, &service.secret)
        .staleness(staleness)
        .max_staleness(Duration::from_secs(8))
        .connect()
        .await
        .unwrap()
}

/// Asks until the verifier says this of the token.
async fn until(verifier: &Verifier, token: &str, expected: &Result<(), Rejection>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let said = verifier.verify(token).await.map(|_| ());
        if said == *expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "still {said:?}, not {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn revoked() -> Result<(), Rejection> {
    Err(Rejection::InvalidToken(TokenFault::Revoked))
}

#[actix_web::test]
async fn a_service_refuses_what_was_revoked_before_it_started_and_since() {
    for world in worlds().await {
        let (service, client) = service_and_client(&world).await;
        let operator = world.operator().await;
        let second = operator.issue(&client.client_id).await;
        let (old, new) = (token(&world, &client).await, token(&world, &second).await);
        operator.revoke(&client.credential_id).await.expect(200);

        let verifier = verifier(&world, &service, Staleness::Strict).await;
        assert_eq!(verifier.verify(&old).await.map(|_| ()), revoked());
        verifier.verify(&new).await.unwrap();
        assert!(verifier.news_age().unwrap() < Duration::from_secs(8));
        operator.revoke(&second.credential_id).await.expect(200);
        until(&verifier, &new, &revoked()).await;
    }
}

#[actix_web::test]
async fn without_news_each_service_does_as_its_owner_chose_and_comes_back_by_itself() {
    for mut world in worlds().await {
        let (service, client) = service_and_client(&world).await;
        let operator = world.operator().await;
        let second = operator.issue(&client.client_id).await;
        let (good, doomed) = (token(&world, &client).await, token(&world, &second).await);
        let strict = verifier(&world, &service, Staleness::Strict).await;
        let lenient = verifier(&world, &service, Staleness::Lenient).await;
        strict.verify(&good).await.unwrap();

        let revoked_credential = second.credential_id.clone();
        drop(operator);
        world.kill();
        until(&strict, &good, &Err(Rejection::Unavailable)).await;
        // The other's news may be a moment younger.
        while lenient.accepted_while_stale() == 0 {
            lenient.verify(&good).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // What is wrong is refused as before, and not put down to the silence.
        let nonsense = strict.verify("nonsense").await.map(|_| ());
        assert_eq!(
            nonsense,
            Err(Rejection::InvalidToken(TokenFault::Malformed))
        );

        world.start().await;
        let operator = world.operator().await;
        operator.revoke(&revoked_credential).await.expect(200);
        until(&strict, &good, &Ok(())).await;
        until(&strict, &doomed, &revoked()).await;
        until(&lenient, &doomed, &revoked()).await;
    }
}

#[actix_web::test]
async fn a_service_with_a_wrong_secret_is_told_so_at_the_start() {
    for world in worlds().await {
        let (service, _) = service_and_client(&world).await;
        let issuer = format!("{}/sandbox", world.setting("ONYX_BASE_URL"));
        let refused = Verifier::builder(issuer, AUDIENCE)
            .follow(&service.client_id, "wrong")
            .connect()
            .await
            .unwrap_err();
        let cause = std::error::Error::source(&refused).unwrap().to_string();
        assert_eq!(cause, "the token endpoint answered with status 401");
    }
}
