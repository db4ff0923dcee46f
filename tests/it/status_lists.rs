//! Token Status Lists: every token has a place of its own, and the list says whether it was revoked.

mod places;
mod showing;

use std::io::Read;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;

use crate::support::world::{Answer, World, claims};

const SIZE: usize = 1 << 20;

/// A token's place: the list's address, and the index.
fn place(token: &str) -> (String, usize) {
    let place = &claims(token)["status"]["status_list"];
    assert_eq!(place.as_object().unwrap().len(), 2, "{place}");
    let index = place["idx"].as_u64().unwrap();
    (
        place["uri"].as_str().unwrap().to_owned(),
        index.try_into().unwrap(),
    )
}

/// The path of an address, so that any node can be asked.
fn path(world: &World, uri: &str) -> String {
    let base = world.setting("ONYX_BASE_URL");
    uri.strip_prefix(base).unwrap().to_owned()
}

async fn fetch(world: &World, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = world.request(Method::GET, &path(world, uri));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

/// The entries of a list, inflated.
fn entries(jwt: &str) -> Vec<u8> {
    let list = &claims(jwt)["status_list"];
    assert_eq!(list["bits"], 1);
    let packed = URL_SAFE_NO_PAD
        .decode(list["lst"].as_str().unwrap())
        .unwrap();
    let mut entries = Vec::new();
    let mut inflated = flate2::read::ZlibDecoder::new(packed.as_slice());
    inflated.read_to_end(&mut entries).unwrap();
    entries
}

/// Whether a token's list says that it is revoked.
pub(crate) async fn is_revoked(world: &World, token: &str) -> bool {
    let (uri, index) = place(token);
    let answer = fetch(world, &uri, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let entries = entries(&answer.text);
    assert!(index < entries.len() * 8);
    entries[index / 8] >> (index % 8) & 1 == 1
}

/// Waits until a token's list says that it is revoked.
pub(crate) async fn until_revoked(world: &World, token: &str, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_revoked(world, token).await {
        assert!(Instant::now() < deadline, "not shown: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
