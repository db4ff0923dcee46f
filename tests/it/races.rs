//! Many hands on one thing at once: one wins, the others are told, and what stands is legal.
//!
//! A thousand rounds an engine; `ONYX_RACES` says otherwise.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use onyx_auth::admin::clients::NewClient;
use onyx_auth::admin::grants::NewGrant;
use onyx_auth::admin::partners::NewPartner;
use onyx_auth::admin::rotation::{self, Rotation};
use onyx_auth::admin::{Act, AdminError, clients, credentials, grants, partners};
use onyx_auth::app::App;
use onyx_auth::audit::Actor;
use onyx_auth::clock::Clock;
use onyx_auth::config::{Given, Settings};
use onyx_auth::domain::credential::RevocationReason;
use onyx_auth::domain::grant::GrantStep;
use onyx_auth::domain::id::{ClientId, CredentialId, PartnerId};
use onyx_auth::domain::instant::Instant;
use onyx_auth::domain::partner::PartnerStep;
use onyx_auth::domain::realm::Realm;
use onyx_auth::domain::scope::ScopeSet;
use onyx_auth::store::changes::Change;

use crate::support::world::{Engine, World};

fn rounds() -> usize {
    std::env::var("ONYX_RACES").map_or(1000, |rounds| rounds.parse().unwrap())
}

/// Two nodes in this process, over one fresh database.
fn nodes(world: &World) -> [Arc<App>; 2] {
    let database = match world.engine {
        Engine::Sqlite => format!("sqlite://{}/data/onyx.db", world.path().display()),
        Engine::Postgres => world.database_url(),
    };
    let env = [
        ("ONYX_DATABASE_URL".to_owned(), database),
        (
            "ONYX_KEYS_DIR".to_owned(),
            world.path().join("keys").display().to_string(),
        ),
        ("ONYX_SANDBOX_AUTO_APPROVE".to_owned(), "false".to_owned()),
    ];
    let given = Given {
        env: env.into_iter().collect(),
        ..Given::default()
    };
    [(); 2].map(|()| App::build(Settings::load(&given).unwrap(), Clock::system()).unwrap())
}

fn operator() -> Actor {
    Actor::client(
        &ClientId::generate(Realm::Admin, Clock::system().now()),
        None,
    )
}

/// What a racer tries, on the thing of this id.
type Racer = fn(&mut Change<'_>, &Act, &App, &str) -> Result<(), AdminError>;

/// What one of the racers did: `true` if it won.
async fn race(nodes: &[Arc<App>; 2], racers: Vec<Racer>, about: &str) -> Vec<bool> {
    let runs = racers.into_iter().enumerate().map(|(nth, racer)| {
        let (node, about) = (Arc::clone(&nodes[nth % 2]), about.to_owned());
        async move {
            let app = Arc::clone(&node);
            let run = node.carry_out(operator(), move |db, act| racer(db, act, &app, &about));
            match run.await {
                Ok(()) => true,
                Err(
                    AdminError::Illegal { .. }
                    | AdminError::Barred { .. }
                    | AdminError::Conflict { .. },
                ) => false,
                Err(other) => panic!("{other:?}"),
            }
        }
    });
    join_all(runs).await
}

fn assert_one_winner(won: &[bool]) {
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
}

fn credential(id: &str) -> CredentialId {
    id.parse().unwrap()
}

fn rotate(db: &mut Change<'_>, act: &Act, app: &App, id: &str) -> Result<(), AdminError> {
    let rotation = Rotation {
        overlap: Duration::from_secs(60),
        expires_at: None,
    };
    rotation::rotate(db, &app.master, act, &credential(id), rotation).map(drop)
}

fn finish(db: &mut Change<'_>, act: &Act, _: &App, id: &str) -> Result<(), AdminError> {
    rotation::finish(db, act, &credential(id)).map(drop)
}

fn undo(db: &mut Change<'_>, act: &Act, _: &App, id: &str) -> Result<(), AdminError> {
    rotation::undo(db, act, &credential(id)).map(drop)
}

fn revoke(db: &mut Change<'_>, act: &Act, _: &App, id: &str) -> Result<(), AdminError> {
    credentials::revoke(db, act, &credential(id), RevocationReason::Other, None).map(drop)
}

fn approve(db: &mut Change<'_>, act: &Act, _: &App, id: &str) -> Result<(), AdminError> {
    grants::decide(db, act, &id.parse().unwrap(), GrantStep::Approve, None).map(drop)
}

fn deny(db: &mut Change<'_>, act: &Act, _: &App, id: &str) -> Result<(), AdminError> {
    grants::decide(db, act, &id.parse().unwrap(), GrantStep::Deny, None).map(drop)
}

fn wanted(now: Instant) -> NewGrant {
    NewGrant {
        realm: Realm::Sandbox,
        scope: "orders:read".parse().unwrap(),
        resource: None,
        purpose: "showing orders".to_owned(),
        lawful_basis: None,
        data_classes: vec!["orders".to_owned()],
        retention_days: 30,
        expires_at: now.plus(Duration::from_secs(24 * 3600)),
    }
}

/// An approved partner with a client.
async fn partner_and_client(node: &Arc<App>) -> (PartnerId, ClientId) {
    let second = operator();
    node.carry_out(operator(), move |db, act| {
        let text = || "Acme".to_owned();
        let new = NewPartner {
            name: text(),
            legal_name: text(),
            security_contact: text(),
        };
        let partner = partners::create(db, act, new)?.id;
        partners::step(db, act, &partner, PartnerStep::Approve, None)?;
        let asked = grants::request(db, act, &partner, wanted(act.now))?;
        let decides = Act {
            actor: second,
            ..act.clone()
        };
        grants::decide(db, &decides, &asked.id, GrantStep::Approve, None)?;
        let new = NewClient {
            realm: Realm::Sandbox,
            name: text(),
            scopes: ScopeSet::of(&["orders:read"]),
            default_scopes: None,
            token_ttl: None,
            expires_at: None,
            ip_allowlist: None,
            self_rotation: None,
        };
        let client = clients::create(db, act, &partner, new)?;
        Ok::<_, AdminError>((partner, client.id))
    })
    .await
    .unwrap()
}

async fn one_winner_each(engine: Engine) {
    let world = World::prepare(engine, &[]);
    world.run(&["migrate"]);
    let nodes = nodes(&world);
    let (partner, client) = partner_and_client(&nodes[0]).await;
    let (mut undone, rounds) = (0, rounds());
    for _ in 0..rounds {
        let (app, of, whose) = (Arc::clone(&nodes[0]), client.clone(), partner.clone());
        let made = nodes[0].carry_out(operator(), move |db, act| {
            let issued = credentials::issue(db, &app.master, act, &of, None)?;
            let asked = grants::request(db, act, &whose, wanted(act.now))?;
            Ok::<_, AdminError>((issued.credential.id.to_string(), asked.id.to_string()))
        });
        let (old, grant) = made.await.unwrap();
        assert_one_winner(&race(&nodes, vec![rotate, rotate, rotate], &old).await);
        let settled = race(&nodes, vec![finish, undo, revoke], &old).await;
        // Whoever undoes first leaves something that can still be revoked.
        let [finished, was_undone, revoked] = settled[..] else {
            panic!("{settled:?}")
        };
        assert!(
            finished ^ revoked || (was_undone && !finished && !revoked),
            "{settled:?}"
        );
        undone += usize::from(was_undone);
        assert_one_winner(&race(&nodes, vec![approve, deny, approve, deny], &grant).await);

        let left = format!(
            "SELECT id AS line FROM credentials WHERE client_id = '{client}' AND state <> 'revoked'"
        );
        let left = world.lines(&left);
        assert!(left.len() <= 1, "{left:?} after {settled:?}");
        for id in left {
            assert_one_winner(&race(&nodes, vec![revoke, revoke, revoke], &id).await);
        }
    }
    // What is on record agrees with what was won.
    let count = |query: String| world.lines(&query)[0].parse::<usize>().unwrap();
    let did = |action: &str| {
        count(format!(
            "SELECT CAST(COUNT(*) AS TEXT) AS line FROM audit_events WHERE action = '{action}'"
        ))
    };
    assert_eq!(did("credential.rotated"), rounds);
    assert_eq!(did("credential.rotation_undone"), undone);
    assert_eq!(
        did("scope_grant.approved") + did("scope_grant.denied"),
        rounds + 1
    );
    let ended = count(
        "SELECT CAST(COUNT(*) AS TEXT) AS line FROM credentials WHERE state = 'revoked'".to_owned(),
    );
    assert_eq!(
        ended,
        2 * rounds,
        "each round makes two credentials and ends both"
    );
    let entries = count(
        "SELECT CAST(COUNT(*) AS TEXT) AS line FROM revocations WHERE kind = 'credential'"
            .to_owned(),
    );
    assert_eq!(
        entries,
        2 * rounds,
        "each ended credential has one revocation entry"
    );
}

#[actix_web::test]
async fn of_a_thousand_races_each_has_one_winner_on_sqlite() {
    one_winner_each(Engine::Sqlite).await;
}

#[actix_web::test]
async fn of_a_thousand_races_each_has_one_winner_on_postgresql() {
    one_winner_each(Engine::Postgres).await;
}
