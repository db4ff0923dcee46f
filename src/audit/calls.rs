//! Partners' calls on their way into the request log.

use crate::journal::Row;
use crate::store::request_log::{self, Call};
use crate::store::{Db, StoreError};

impl Row for Call {
    const JOURNAL: &'static str = "request_log";

    fn write_all(db: &mut Db, rows: &[&Self]) -> Result<(), StoreError> {
        request_log::insert_all(db, rows)
    }
}
