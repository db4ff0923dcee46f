//! Where webhooks go, tried with names that stand for what we say: the guard looks at the address that is dialled.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onyx_auth::domain::webhook::FailureClass;
use onyx_auth::webhook::sign::Headers;
use onyx_auth::webhook::target::{BadTarget, Guard, Looking, Lookup};
use onyx_auth::webhook::{Attempt, Sender};

use crate::support::receiver::{Behaviour, Receiver};
use crate::support::world::free_address;

/// Answers what it was given, one after the other, and the last for ever.
#[derive(Clone)]
struct Names(Arc<Mutex<Vec<Vec<&'static str>>>>);

impl Lookup for Names {
    fn lookup(&self, _: String) -> Looking {
        let mut answers = self.0.lock().unwrap();
        let answer = match answers.len() {
            0 => Vec::new(),
            1 => answers[0].clone(),
            _ => answers.remove(0),
        };
        let answer: Vec<IpAddr> = answer.iter().map(|ip| ip.parse().unwrap()).collect();
        Box::pin(async move {
            match answer.is_empty() {
                true => Err(io::Error::other("no such name")),
                false => Ok(answer),
            }
        })
    }
}

/// A sender for which names stand for this, in turn.
fn sender(allow_loopback: bool, answers: &[&[&'static str]]) -> Sender {
    let answers = answers.iter().map(|ips| ips.to_vec()).collect();
    let names = Names(Arc::new(Mutex::new(answers)));
    Sender::new(Guard { allow_loopback }, Arc::new(names))
}

async fn post(sender: &Sender, url: &str) -> Attempt {
    let headers = Headers {
        id: "evt_1".to_owned(),
        timestamp: 1_800_000_000,
        signature: "v1,none".to_owned(),
    };
    sender.post(url, &headers, b"{}".to_vec(), true).await
}

#[actix_web::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let receiver = Receiver::start().await;
    let url = format!("https://rebind.example:{}/in", receiver.port());
    // Harmless when it was given, this machine when it is dialled.
    let rebound = sender(false, &[&["93.184.215.14"], &["127.0.0.1"]]);
    assert_eq!(rebound.check(&url).await, Ok(()));
    let attempt = post(&rebound, &url).await;
    assert_eq!(attempt.class, Some(FailureClass::Blocked));
    assert_eq!((attempt.status, attempt.address), (None, None));

    // The other way around: what was verified at a good address is not reached at a bad one.
    let rebound = sender(true, &[&["127.0.0.1"], &["10.0.0.1"]]);
    let verified = Receiver::start().await;
    let at = |receiver: &Receiver| format!("http://localhost:{}/in", receiver.port());
    assert_eq!(post(&rebound, &at(&verified)).await.class, None);
    let attempt = post(&rebound, &at(&receiver)).await;
    assert_eq!(attempt.class, Some(FailureClass::Blocked));
    assert!(receiver.received().is_empty());
}

#[actix_web::test]
async fn a_name_for_what_is_inside_is_blocked_however_it_is_disguised() {
    let receiver = Receiver::start().await;
    for bad in [
        &["127.0.0.1"][..],
        &["::1"],
        &["0.0.0.0"],
        &["10.1.2.3"],
        &["169.254.169.254"],
        &["::ffff:127.0.0.1"],
        &["::ffff:10.0.0.1"],
        &["::127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["64:ff9b:1::7f00:1"],
        &["2002:7f00:1::1"],
        &["2001:0:4136:e378:8000:63bf:80ff:fffe"],
        &["fd00:ec2::254"],
        &["fe80::1"],
        // One good address beside a bad one, either way around.
        &["93.184.215.14", "127.0.0.1"],
        &["127.0.0.1", "93.184.215.14"],
        &["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
    ] {
        let sender = sender(false, &[bad]);
        for host in ["inside.example", "inside.example."] {
            let url = format!("https://{host}:{}/in", receiver.port());
            let attempt = post(&sender, &url).await;
            assert_eq!(attempt.class, Some(FailureClass::Blocked), "{bad:?}");
            assert_eq!(attempt.address, None, "{bad:?}");
            assert_eq!(sender.check(&url).await, Err(BadTarget::Blocked), "{bad:?}");
        }
    }
    assert!(receiver.received().is_empty());
}

#[actix_web::test]
async fn an_address_in_the_url_is_checked_at_each_attempt() {
    let receiver = Receiver::start().await;
    let strict = sender(false, &[&["93.184.215.14"]]);
    for host in ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "2130706433"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/in", receiver.port());
            let attempt = post(&strict, &url).await;
            assert_eq!(attempt.class, Some(FailureClass::Blocked), "{url}");
        }
    }
    assert!(receiver.received().is_empty());
    // Where this machine is allowed, nothing else is by that.
    let local = sender(true, &[&["10.0.0.1"]]);
    for url in [
        "https://10.0.0.1/",
        "https://inside.example/",
        "http://localhost/",
    ] {
        let attempt = post(&local, url).await;
        assert_eq!(attempt.class, Some(FailureClass::Blocked), "{url}");
    }
}

#[actix_web::test]
async fn a_failure_says_how_far_it_came() {
    let local = sender(true, &[&["127.0.0.1"]]);
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let loopback = Some(IpAddr::from([127, 0, 0, 1]));

    let good = post(&local, &receiver.url("/in")).await;
    assert_eq!((good.class, good.status), (None, Some(200)));
    assert_eq!(good.address, loopback);
    assert_eq!(good.body.as_deref(), Some(&b""[..]));

    let nobody = sender(false, &[]);
    let attempt = post(&nobody, "https://nowhere.example/").await;
    assert_eq!(
        (attempt.class, attempt.address),
        (Some(FailureClass::Dns), None)
    );

    let closed = format!(
        "http://localhost:{}/",
        free_address().rsplit(':').next().unwrap()
    );
    let attempt = post(&local, &closed).await;
    assert_eq!(attempt.class, Some(FailureClass::Connect));
    assert_eq!(attempt.address, loopback);

    // A server that speaks no TLS.
    let url = format!("https://hooks.example:{}/in", receiver.port());
    let attempt = post(&local, &url).await;
    assert_eq!(attempt.class, Some(FailureClass::Tls));
    assert_eq!(attempt.address, loopback);

    receiver.behave(Behaviour::Redirect(other.url("/in")));
    let attempt = post(&local, &receiver.url("/in")).await;
    assert_eq!(
        (attempt.class, attempt.status),
        (Some(FailureClass::Status), Some(307))
    );
    assert!(other.received().is_empty());

    receiver.behave(Behaviour::Busy(429, 120));
    let attempt = post(&local, &receiver.url("/in")).await;
    assert_eq!(
        (attempt.class, attempt.status),
        (Some(FailureClass::Status), Some(429))
    );
    assert_eq!(attempt.retry_after, Some(Duration::from_secs(120)));
    assert!(!attempt.succeeded());
}

#[actix_web::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let local = sender(true, &[&["127.0.0.1"]]);
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Says("x".repeat(64 * 1024)));
    let attempt = post(&local, &receiver.url("/in")).await;
    assert_eq!(attempt.body.map(|body| body.len()), Some(64 * 1024));
    receiver.behave(Behaviour::Says("x".repeat(10_000_000)));
    let attempt = post(&local, &receiver.url("/in")).await;
    assert_eq!((attempt.class, attempt.body), (None, None));
}

#[actix_web::test]
async fn who_never_answers_is_given_up() {
    let local = sender(true, &[&["127.0.0.1"]]);
    let receiver = Receiver::start().await;
    receiver.behave(Behaviour::Hang);
    let attempt = post(&local, &receiver.url("/in")).await;
    assert_eq!(
        (attempt.class, attempt.status),
        (Some(FailureClass::Timeout), None)
    );
    assert_eq!(attempt.address, Some(IpAddr::from([127, 0, 0, 1])));
}
