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
