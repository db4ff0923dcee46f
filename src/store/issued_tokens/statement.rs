//! How tokens become rows: as few statements as there can be, each prepared once.
//!
//! Written as text, because what diesel builds from a table's columns it walks through anew for
//! each column of each row: that cost as much as SQLite's own work.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};
use diesel::sqlite::{Sqlite, SqliteConnection};

use super::IssuedToken;
use crate::store::columns::Stamp;

const INTO: &str = "INSERT INTO issued_tokens (issued_at, jti, realm, client_id, partner_id, \
    credential_id, scope, aud, kid, expires_at, source_ip, rsn, status_list, status_index) ";

/// Writes tokens with statements of sixteen rows, of four, and of one.
pub(super) fn on_sqlite(conn: &mut SqliteConnection, tokens: &[&IssuedToken]) -> QueryResult<()> {
    let (sixteens, rest) = tokens.as_chunks::<16>();
    let (fours, ones) = rest.as_chunks::<4>();
    for tokens in sixteens {
        Values::of(tokens).execute(conn)?;
    }
    for tokens in fours {
        Values::of(tokens).execute(conn)?;
    }
    for token in ones {
        Values::of(&[token]).execute(conn)?;
    }
    Ok(())
}

/// One statement of so many rows.
struct Values<'a, const ROWS: usize>([Row<'a>; ROWS]);

struct Row<'a> {
    token: &'a IssuedToken,
    issued_at: Stamp,
    expires_at: Stamp,
}

impl<'a, const ROWS: usize> Values<'a, ROWS> {
    fn of(tokens: &[&'a IssuedToken; ROWS]) -> Self {
        Self(tokens.map(|token| Row {
            token,
            issued_at: Stamp::of(token.issued_at),
            expires_at: Stamp::of(token.expires_at),
        }))
    }
}

impl<const ROWS: usize> QueryId for Values<'_, ROWS> {
    type QueryId = Values<'static, ROWS>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const ROWS: usize> QueryFragment<Sqlite> for Values<'_, ROWS> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(INTO);
        let mut before = "VALUES (";
        for row in &self.0 {
            let token = row.token;
            out.push_sql(before);
            out.push_bind_param::<Timestamp, _>(&row.issued_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&token.jti)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(token.realm.as_str())?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(token.client_id.as_str())?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&token.partner_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(token.credential_id.as_str())?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(token.scope.as_str())?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&token.aud)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&token.kid)?;
            out.push_sql(", ");
            out.push_bind_param::<Timestamp, _>(&row.expires_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&token.source_ip)?;
            for number in [&token.rsn, &token.status_list, &token.status_index] {
                out.push_sql(", ");
                out.push_bind_param::<Nullable<BigInt>, _>(number)?;
            }
            before = "), (";
        }
        out.push_sql(")");
        Ok(())
    }
}

impl<const ROWS: usize> RunQueryDsl<SqliteConnection> for Values<'_, ROWS> {}

#[cfg(feature = "postgres")]
pub(super) use postgres::on_postgres;

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::pg::{Pg, PgConnection};
    use diesel::sql_types::Array;

    use super::*;
    use crate::domain::instant::Instant;

    /// Writes tokens with one statement, whose parameters are the columns: one for each value
    /// would have the server read and plan a text that grows with the batch.
    pub(in crate::store::issued_tokens) fn on_postgres(
        conn: &mut PgConnection,
        tokens: &[&IssuedToken],
    ) -> QueryResult<()> {
        Columns::of(tokens).execute(conn).map(|_| ())
    }

    struct Columns<'a> {
        issued_at: Vec<Instant>,
        jti: Vec<&'a str>,
        realm: Vec<&'a str>,
        client_id: Vec<&'a str>,
        partner_id: Vec<Option<&'a str>>,
        credential_id: Vec<&'a str>,
        scope: Vec<&'a str>,
        aud: Vec<&'a str>,
        kid: Vec<&'a str>,
        expires_at: Vec<Instant>,
        source_ip: Vec<Option<&'a str>>,
        rsn: Vec<Option<i64>>,
        status_list: Vec<Option<i64>>,
        status_index: Vec<Option<i64>>,
    }

    impl<'a> Columns<'a> {
        fn of(tokens: &[&'a IssuedToken]) -> Self {
            fn column<'a, T>(
                tokens: &[&'a IssuedToken],
                of: impl Fn(&'a IssuedToken) -> T,
            ) -> Vec<T> {
                tokens.iter().map(|token| of(token)).collect()
            }
            Self {
                issued_at: column(tokens, |token| token.issued_at),
                jti: column(tokens, |token| token.jti.as_str()),
                realm: column(tokens, |token| token.realm.as_str()),
                client_id: column(tokens, |token| token.client_id.as_str()),
                partner_id: column(tokens, |token| {
                    token.partner_id.as_ref().map(|id| id.as_str())
                }),
                credential_id: column(tokens, |token| token.credential_id.as_str()),
                scope: column(tokens, |token| token.scope.as_str()),
                aud: column(tokens, |token| token.aud.as_str()),
                kid: column(tokens, |token| token.kid.as_str()),
                expires_at: column(tokens, |token| token.expires_at),
                source_ip: column(tokens, |token| token.source_ip.as_deref()),
                rsn: column(tokens, |token| token.rsn),
                status_list: column(tokens, |token| token.status_list),
                status_index: column(tokens, |token| token.status_index),
            }
        }
    }

    impl QueryId for Columns<'_> {
        type QueryId = Columns<'static>;
        const HAS_STATIC_QUERY_ID: bool = true;
    }

    impl QueryFragment<Pg> for Columns<'_> {
        fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
            out.push_sql(INTO);
            out.push_sql("SELECT * FROM unnest(");
            out.push_bind_param::<Array<Timestamp>, _>(&self.issued_at)?;
            for column in [&self.jti, &self.realm, &self.client_id] {
                out.push_sql(", ");
                out.push_bind_param::<Array<Text>, _>(column)?;
            }
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(&self.partner_id)?;
            for column in [&self.credential_id, &self.scope, &self.aud, &self.kid] {
                out.push_sql(", ");
                out.push_bind_param::<Array<Text>, _>(column)?;
            }
            out.push_sql(", ");
            out.push_bind_param::<Array<Timestamp>, _>(&self.expires_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(&self.source_ip)?;
            for column in [&self.rsn, &self.status_list, &self.status_index] {
                out.push_sql(", ");
                out.push_bind_param::<Array<Nullable<BigInt>>, _>(column)?;
            }
            out.push_sql(")");
            Ok(())
        }
    }

    impl RunQueryDsl<PgConnection> for Columns<'_> {}
}
