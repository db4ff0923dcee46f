//! Pages of a list.

use clap::Args;

/// Which page of a list.
#[derive(Args, Clone, Debug)]
pub(super) struct Paging {
    /// How many rows, 1 to 100
    #[arg(long, default_value_t = 100)]
    limit: u8,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

impl Paging {
    /// The path of this page, with filters that are set.
    pub(super) fn of(&self, path: &str, filters: &[(&str, Option<&str>)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &self.limit.to_string());
        if let Some(cursor) = &self.cursor {
            query.append_pair("cursor", cursor);
        }
        for (name, value) in filters {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        format!("{path}?{}", query.finish())
    }
}
