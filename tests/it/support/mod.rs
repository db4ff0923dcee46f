//! What the stories stand on.

pub mod allowance;
pub mod browser;
pub mod files;
pub mod governance;
pub mod https;
pub mod listener;
pub mod mesh;
pub mod proxy;
pub mod receiver;
pub mod recipient;
pub mod redis;
pub mod schema;
pub mod shop;
pub mod subscriber;
pub mod world;

/// insta's `assert_snapshot!` with an inline snapshot that holds in every world of a loop.
macro_rules! assert_snapshot {
    ($($snapshot:tt)*) => {
        insta::allow_duplicates! { insta::assert_snapshot!($($snapshot)*) }
    };
}
pub(crate) use assert_snapshot;
