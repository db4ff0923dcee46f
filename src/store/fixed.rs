//! Statements that stay prepared.
//!
//! diesel prepares an UPDATE, and an INSERT that updates on a conflict, anew each time it runs: which columns
//! they set can differ from one time to the next. What runs with every order, or by the second while tokens wait, is
//! written out as one text, which a connection prepares once; each value is still bound, under its type.

/// Declares a statement: its text in pieces, with the values that are bound between them; with a lifetime, if some of
/// them are borrowed.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? $(-> $row:ty)? {
        $($text:literal $([$field:ident: $sql:ty = $rust:ty])?)+
    }) => {
        $(#[$doc])*
        struct $name$(<$life>)? {
            $($($field: $rust,)?)+
        }

        const _: () = {
            /// What the prepared statement is found by.
            struct Id;

            impl$(<$life>)? ::diesel::query_builder::QueryId for $name$(<$life>)? {
                type QueryId = Id;
                const HAS_STATIC_QUERY_ID: bool = true;
            }
        };

        $crate::store::fixed::fixed!(@query $name$(<$life>)? $(-> $row)?);

        impl<$($life,)? DB> ::diesel::query_builder::QueryFragment<DB> for $name$(<$life>)?
        where
            DB: ::diesel::backend::Backend
                $($(+ ::diesel::sql_types::HasSqlType<$sql>)?)+,
            $($($rust: ::diesel::serialize::ToSql<$sql, DB>,)?)+
        {
            fn walk_ast<'b>(
                &'b self,
                mut out: ::diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> ::diesel::QueryResult<()> {
                $(
                    out.push_sql($text);
                    $(out.push_bind_param::<$sql, _>(&self.$field)?;)?
                )+
                Ok(())
            }
        }

        impl<$($life,)? Conn> ::diesel::RunQueryDsl<Conn> for $name$(<$life>)? {}
    };
    (@query $name:ident$(<$life:lifetime>)?) => {};
    (@query $name:ident$(<$life:lifetime>)? -> $row:ty) => {
        impl$(<$life>)? ::diesel::query_builder::Query for $name$(<$life>)? {
            type SqlType = $row;
        }
    };
}
pub(super) use fixed;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use diesel::connection::{InstrumentationEvent, SimpleConnection};
    use diesel::prelude::*;
    use diesel::sql_types::BigInt;

    fixed! {
        Raise<'a> -> BigInt {
            "UPDATE numbers SET n = n + " [by: BigInt = &'a i64]
            " WHERE n < " [below: BigInt = i64]
            " RETURNING n"
        }
    }

    #[test]
    fn an_update_is_prepared_once_and_takes_other_values_each_time() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        conn.batch_execute(
            "CREATE TABLE numbers (n BIGINT NOT NULL); INSERT INTO numbers VALUES (1)",
        )
        .unwrap();
        let kept = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&kept);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::CacheQuery { .. } = event {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        for (by, below, n) in [(2, 9, Some(3)), (5, 9, Some(8)), (5, 8, None)] {
            let raised: Option<i64> = Raise { by: &by, below }
                .get_result(&mut conn)
                .optional()
                .unwrap();
            assert_eq!(raised, n);
        }
        assert_eq!(kept.load(Ordering::Relaxed), 1);
    }
}
