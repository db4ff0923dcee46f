//! What is written down of a token before it is answered.

use std::collections::BTreeMap;

use crate::domain::instant::Instant;
use crate::journal::Row;
use crate::store::credential_uses;
use crate::store::issued_tokens::{self, IssuedToken};
use crate::store::{Db, StoreError};

/// A token's record; and where its credential is not known to have been used before, that it was now.
///
/// A rotation can be undone, and a lost successor replaced, only while it is unused: so the
/// first use is as durable as the token.
#[derive(Clone, Debug)]
pub struct TokenRecord {
    /// The token.
    pub token: IssuedToken,
    /// When its credential was used for what may be the first time.
    pub first_use: Option<Instant>,
}

impl Row for TokenRecord {
    const JOURNAL: &'static str = "tokens";

    fn write_all(db: &mut Db, rows: &[&Self]) -> Result<(), StoreError> {
        let tokens: Vec<&IssuedToken> = rows.iter().map(|row| &row.token).collect();
        issued_tokens::insert_all(db, &tokens)?;
        let first: BTreeMap<_, _> = rows
            .iter()
            .filter_map(|row| Some((&row.token.credential_id, row.first_use?)))
            .collect();
        credential_uses::mark_first(db, &first)
    }
}
