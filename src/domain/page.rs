//! Pages of a list, walked by the last id seen.

/// How many rows, and after which one.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// 1 to 100.
    pub limit: usize,
    /// The last id of the page before; `None` for the first page.
    pub after: Option<String>,
}

/// Rows in the order of their making, and whether there are more.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The id after which the next page starts; `None` on the last.
    pub next: Option<String>,
}

impl PageRequest {
    /// How many rows to read, so that one more tells whether there is a next page.
    pub fn probe(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(100) + 1
    }

    /// The start of the id range; ids are ASCII, so the empty text is before all.
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or("")
    }

    /// The page of a list that is at hand whole, in its order. `None`: nothing in it has the id that it starts after.
    pub fn of_all<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> &str) -> Option<Page<T>> {
        if let Some(after) = &self.after {
            let last = rows.iter().position(|row| id(row) == after)?;
            rows.drain(..=last);
        }
        Some(self.page(rows, id))
    }

    /// Cuts what was read to the page, and names the next one's start.
    pub fn page<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> &str) -> Page<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = if more {
            rows.last().map(|row| id(row).to_owned())
        } else {
            None
        };
        Page { rows, next }
    }
}
