//! Statements that stay prepared.
//!
//! diesel prepares an UPDATE, and an INSERT that updates on a conflict, anew each time it runs: which columns
//! they set can differ from one time to the next. What runs with every order, or by the second while tokens wait, is
//! written out as one text, which a connection prepares once; each value is still bound, under its type.

/// Declares a statement: its text in pieces, with the values that are bound between them.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident $(-> $row:ty)? {
        $($text:literal $([$field:ident: $sql:ty = $rust:ty])?)+
    }) => {
        $(#[$doc])*
        struct $name<'a> {
            $($($field: $rust,)?)+
        }

        impl ::diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        $(impl ::diesel::query_builder::Query for $name<'_> {
            type SqlType = $row;
        })?

        impl<'a, DB> ::diesel::query_builder::QueryFragment<DB> for $name<'a>
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

        impl<Conn> ::diesel::RunQueryDsl<Conn> for $name<'_> {}
    };
}
pub(super) use fixed;
