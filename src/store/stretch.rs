//! How far a page looks for what fits its filters.
//!
//! No index serves most filters, and where nothing fits, a query reads all there is. So a page looks
//! through so many rows of what an index does serve, and then says where the next one goes on.

use std::cmp::Ordering;

use crate::domain::page::{Page, PageRequest};

/// How many rows a page looks through at most.
pub(super) const STRETCH: i64 = 10_000;

pub(super) fn oldest_first(one: &str, other: &str) -> Ordering {
    one.cmp(other)
}

pub(super) fn newest_first(one: &str, other: &str) -> Ordering {
    other.cmp(one)
}

/// Cuts what was found to a page. `end`: the last row that was looked at; `None`: there are no more.
pub(super) fn page<T>(
    asked: &PageRequest,
    rows: Vec<T>,
    end: Option<String>,
    id: impl Fn(&T) -> &str,
) -> Page<T> {
    let found = asked.page(rows, id);
    Page {
        next: found.next.or(end),
        ..found
    }
}

/// One page of the pages of several lists.
pub(super) fn merged<T>(
    asked: &PageRequest,
    lists: Vec<Page<T>>,
    order: fn(&str, &str) -> Ordering,
    id: impl Fn(&T) -> &str,
) -> Page<T> {
    let (mut rows, mut ends) = (Vec::new(), Vec::new());
    for list in lists {
        rows.extend(list.rows);
        ends.extend(list.next);
    }
    // What is behind the first of the ends was not looked for in every list.
    let end = ends.into_iter().min_by(|one, other| order(one, other));
    if let Some(end) = &end {
        rows.retain(|row| order(id(row), end).is_le());
    }
    rows.sort_by(|one, other| order(id(one), id(other)));
    page(asked, rows, end, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of one list after an id, as the store reads it: so many rows are looked at, and every second fits.
    fn stretch(list: &[u32], asked: &PageRequest) -> Page<String> {
        let ids = list.iter().map(|n| format!("{n:03}"));
        let mut left = ids.filter(|id| id.as_str() > asked.after());
        let looked: Vec<String> = left.by_ref().take(5).collect();
        let end = left.next().and(looked.last().cloned());
        let fits = |id: &String| id.parse::<u32>().unwrap().is_multiple_of(2);
        let rows = looked.into_iter().filter(fits).take(asked.limit + 1);
        page(asked, rows.collect(), end, String::as_str)
    }

    #[test]
    fn a_walk_over_several_lists_gives_every_row_once_and_in_order() {
        let lists: [Vec<u32>; 3] = [
            (0..14).map(|n| 3 * n).collect(),
            (0..66).map(|n| 3 * n + 1).collect(),
            Vec::new(),
        ];
        let mut expected: Vec<u32> = lists.concat();
        expected.retain(|n| n.is_multiple_of(2));
        expected.sort_unstable();
        for limit in [1, 2, 3, 100] {
            let (mut after, mut seen) = (None, Vec::new());
            loop {
                let asked = PageRequest { limit, after };
                let pages = lists.iter().map(|list| stretch(list, &asked)).collect();
                let found = merged(&asked, pages, oldest_first, String::as_str);
                assert!(found.rows.len() <= limit);
                seen.extend(found.rows.iter().map(|id| id.parse::<u32>().unwrap()));
                after = found.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, expected, "{limit}");
        }
    }
}
