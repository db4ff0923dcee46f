//! The master key opens what the database holds, and every realm can sign.

use super::Report;
use crate::causes::Causes;
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::realm::Realm;
use crate::keys::{KeyRing, MasterKey, file};
use crate::store::{Store, StoreError, instance, signing_keys};

/// The keys that are published now, by realm and name; `None` where that cannot be told.
pub(super) async fn examine(
    settings: &Settings,
    store: &Store,
    clock: &Clock,
    report: &mut Report,
) -> Option<Vec<(Realm, String)>> {
    // What is wrong with the file was told before.
    let content = file::read(&settings.master_key_file).ok()?;
    let Some(master) = MasterKey::parse(&content) else {
        report.ill("master key", "the file does not hold 32 bytes as base64");
        return None;
    };
    let now = clock.now();
    let read = store.read(move |db| {
        let known = instance::get(db, instance::Fact::MasterKeyFingerprint)?;
        Ok::<_, StoreError>((known, signing_keys::published(db, now)?))
    });
    let (known, keys) = match read.await {
        Ok(read) => read,
        Err(error) => {
            report.ill("signing keys", Causes(&error).to_string());
            return None;
        }
    };
    if known.is_some_and(|known| !master.is_known_as(&known)) {
        report.ill(
            "master key",
            "is not the one that this database was made with",
        );
        return None;
    }
    report.well("master key", "is the one that this database was made with");
    let published = keys
        .iter()
        .map(|key| (key.realm, key.kid.clone()))
        .collect();
    let ring = KeyRing::default();
    if let Err(error) = ring.load(&master, keys) {
        report.ill("signing keys", error.to_string());
        return Some(published);
    }
    let silent: Vec<&str> = Realm::ALL
        .iter()
        .filter(|realm| ring.signer(**realm, settings.signing_alg, now).is_none())
        .map(|realm| realm.as_str())
        .collect();
    if silent.is_empty() {
        report.well("signing keys", "every realm can sign");
    } else {
        let detail = format!(
            "no {} key signs for {}: the next start makes one",
            settings.signing_alg,
            silent.join(", ")
        );
        report.ill("signing keys", detail);
    }
    Some(published)
}
