//! Tokens that revocations name: what status lists are derived from.

use std::time::Duration;

use diesel::prelude::*;

use super::LIVES_AT_MOST;
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::domain::revocation::RevocationKind;
use crate::store::db::Db;
use crate::store::error::StoreError;
use crate::store::schema::issued_tokens;

/// The most rows that are read at a time.
const PAGE: i64 = 5_000;
/// The most subjects that are looked for by name. Where there are more, every token is looked at.
const NAMES: usize = 250;
/// How much time one look covers.
const STRETCH: Duration = Duration::from_secs(120);

/// Whom revocations name.
#[derive(Clone, Debug, Default)]
pub struct Named {
    tokens: Vec<String>,
    credentials: Vec<String>,
    clients: Vec<String>,
    /// Those whose grants are named, too.
    partners: Vec<String>,
    keys: Vec<String>,
    /// The highest number among the revocations: a token that knows it is concerned by none.
    last: i64,
}

impl Named {
    /// Adds the subject of a revocation.
    pub fn add(&mut self, seq: i64, kind: RevocationKind, id: &str) {
        let names = match kind {
            RevocationKind::Token => &mut self.tokens,
            RevocationKind::Credential => &mut self.credentials,
            RevocationKind::Client => &mut self.clients,
            RevocationKind::Partner | RevocationKind::Grant => &mut self.partners,
            RevocationKind::Key => &mut self.keys,
        };
        names.push(id.to_owned());
        self.last = self.last.max(seq);
    }

    fn len(&self) -> usize {
        [
            &self.tokens,
            &self.credentials,
            &self.clients,
            &self.partners,
            &self.keys,
        ]
        .iter()
        .map(|names| names.len())
        .sum()
    }
}

/// A token with its place on a status list, and all by which it can be revoked.
#[derive(Clone, Debug, Queryable)]
pub struct Listed {
    issued_at: Instant,
    pub jti: String,
    pub client_id: String,
    pub partner_id: Option<String>,
    pub credential_id: String,
    pub scope: String,
    pub kid: String,
    pub rsn: Option<i64>,
    pub status_list: Option<i64>,
    pub status_index: Option<i64>,
}

/// A stretch of time in which tokens were given out.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    from: Instant,
    /// `None`: until now, by whatever clock.
    to: Option<Instant>,
}

impl Window {
    /// From a moment on.
    pub fn since(from: Instant) -> Self {
        Self { from, to: None }
    }

    /// As long ago as a living token can have been given out, in stretches: one look at all of a busy
    /// server's tokens would take longer than the database lets a statement run.
    pub fn of_living(now: Instant) -> Vec<Self> {
        let begin = now.minus(LIVES_AT_MOST);
        let begins = (0..LIVES_AT_MOST.as_secs() / STRETCH.as_secs())
            .map(|nth| begin.plus(Duration::from_secs(nth * STRETCH.as_secs())));
        let mut windows: Vec<_> = begins
            .map(|from| Self {
                from,
                to: Some(from.plus(STRETCH)),
            })
            .collect();
        windows.push(Self::since(
            windows.last().and_then(|last| last.to).unwrap_or(begin),
        ));
        windows
    }
}

/// Hands over the tokens of a realm that may be among those named, and have a place on a list.
///
/// The key leads with the time, so this reads all of a window's tokens, whoever is named: an index
/// by each kind of name would cost every token more than it saves the few revocations.
pub fn named(
    db: &mut Db,
    realm: Realm,
    named: &Named,
    window: Window,
    mut each: impl FnMut(Listed),
) -> Result<(), StoreError> {
    let Window { mut from, to } = window;
    let mut after = String::new();
    loop {
        let page = page(db, realm, named, Window { from, to }, &after)?;
        let is_full = i64::try_from(page.len()).is_ok_and(|read| read >= PAGE);
        if let Some(last) = page.last() {
            from = last.issued_at;
            after.clone_from(&last.jti);
        }
        page.into_iter().for_each(&mut each);
        if !is_full {
            return Ok(());
        }
    }
}

fn page(
    db: &mut Db,
    realm: Realm,
    named: &Named,
    window: Window,
    after: &str,
) -> Result<Vec<Listed>, StoreError> {
    let from = window.from;
    let mut query = issued_tokens::table
        .filter(issued_tokens::issued_at.ge(from))
        .filter(
            issued_tokens::issued_at
                .gt(from)
                .or(issued_tokens::jti.gt(after)),
        )
        .filter(issued_tokens::realm.eq(realm))
        .filter(issued_tokens::rsn.lt(named.last))
        .order((issued_tokens::issued_at.asc(), issued_tokens::jti.asc()))
        .limit(PAGE)
        .select((
            issued_tokens::issued_at,
            issued_tokens::jti,
            issued_tokens::client_id,
            issued_tokens::partner_id,
            issued_tokens::credential_id,
            issued_tokens::scope,
            issued_tokens::kid,
            issued_tokens::rsn,
            issued_tokens::status_list,
            issued_tokens::status_index,
        ))
        .into_boxed();
    if let Some(to) = window.to {
        query = query.filter(issued_tokens::issued_at.lt(to));
    }
    if named.len() <= NAMES {
        query = query.filter(
            issued_tokens::client_id
                .eq_any(&named.clients)
                .or(issued_tokens::credential_id.eq_any(&named.credentials))
                .or(issued_tokens::jti.eq_any(&named.tokens))
                .or(issued_tokens::kid.eq_any(&named.keys))
                .or(issued_tokens::partner_id.eq_any(&named.partners)),
        );
    }
    Ok(query.load(db)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::id::{ClientId, CredentialId};
    use crate::domain::scope::ScopeSet;
    use crate::store::Store;
    use crate::store::issued_tokens::{IssuedToken, insert_all};

    fn at(seconds: u64) -> Instant {
        Instant::from_epoch_seconds(1_800_000_000).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn windows_leave_no_gap_from_the_oldest_living_token_on() {
        let windows = Window::of_living(at(0));
        assert_eq!(windows[0].from, at(0).minus(LIVES_AT_MOST));
        for (one, next) in windows.iter().zip(&windows[1..]) {
            assert_eq!(one.to, Some(next.from));
        }
        let last = windows.last().unwrap();
        assert!(last.to.is_none() && last.from <= at(0));
    }

    #[actix_web::test]
    async fn every_token_of_a_name_is_found_once_however_many_there_are_at_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("sqlite://{}/onyx.db", folder.path().display())).unwrap();
        store.migrate().unwrap();
        let (who, other) = (
            ClientId::generate(Realm::Live, at(0)),
            ClientId::generate(Realm::Live, at(1)),
        );
        let tokens: Vec<IssuedToken> = (0..13_000)
            .map(|nth| IssuedToken {
                // Thousands within a microsecond, so that pages end within one.
                issued_at: at(nth / 4_000),
                jti: format!("{:05}", (nth * 7_919) % 13_000),
                realm: Realm::Live,
                client_id: if nth % 10 == 0 { &other } else { &who }.clone(),
                partner_id: None,
                credential_id: CredentialId::generate(at(0)),
                scope: ScopeSet::of(&["orders:read"]),
                aud: String::new(),
                kid: "kid".to_owned(),
                expires_at: at(300),
                source_ip: None,
                rsn: Some(if nth % 3 == 0 { 5 } else { 4 }),
                status_list: Some(1),
                status_index: i64::try_from(nth).ok(),
            })
            .collect();
        let wanted: BTreeSet<i64> = (0..13_000).filter(|n| n % 10 != 0 && n % 3 != 0).collect();
        let rows = tokens.clone();
        let written = store.write(move |db| insert_all(db, &rows.iter().collect::<Vec<_>>()));
        written.await.unwrap();
        let found = async |names: Named| {
            let found = store.read(move |db| {
                let mut found = Vec::new();
                let window = Window::since(at(0));
                named(db, Realm::Live, &names, window, |token| found.push(token))?;
                Ok::<_, StoreError>(found)
            });
            found.await.unwrap()
        };
        let mut names = Named::default();
        names.add(5, RevocationKind::Client, who.as_str());
        let by_name = found(names.clone()).await;
        assert_eq!(by_name.len(), wanted.len());
        let places: BTreeSet<i64> = by_name.iter().filter_map(|t| t.status_index).collect();
        assert_eq!(places, wanted);
        // So many names that none is looked for: whoever asks judges every token.
        for nth in 0..NAMES {
            names.add(5, RevocationKind::Token, &format!("nobody's {nth}"));
        }
        let all = found(names).await;
        let mine = all.iter().filter(|token| token.client_id == who.as_str());
        assert_eq!(
            mine.filter_map(|t| t.status_index).collect::<BTreeSet<_>>(),
            wanted
        );
        assert!(all.iter().all(|token| token.rsn == Some(4)));
    }
}
