//! What a restore keeps of the database that it replaces: all that had ended, and no number twice.

use super::{Since, number, run};
use crate::domain::instant::Instant;
use crate::store::rewound::above;
use crate::store::{Db, StoreError};

/// A table whose records end.
struct Ending {
    table: &'static str,
    key: &'static str,
    /// The records that do not come back to life.
    ended: &'static str,
    /// Those of them that nothing follows.
    for_good: &'static str,
    /// Whether one counts that the backup does not know.
    unknown_too: bool,
    /// Whether those that have not ended are as the replaced database has them, too.
    others_too: bool,
}

const ENDINGS: &[Ending] = &[
    Ending {
        table: "partners",
        key: "id",
        ended: "state IN ('suspended', 'offboarded', 'rejected')",
        for_good: "state IN ('offboarded', 'rejected')",
        unknown_too: false,
        others_too: false,
    },
    Ending {
        table: "agreements",
        key: "id",
        ended: "state IN ('expired', 'terminated')",
        for_good: "state IN ('expired', 'terminated')",
        unknown_too: false,
        others_too: false,
    },
    Ending {
        table: "scope_grants",
        key: "id",
        ended: "state IN ('denied', 'revoked', 'expired')",
        for_good: "state IN ('denied', 'revoked', 'expired')",
        unknown_too: false,
        others_too: false,
    },
    Ending {
        table: "clients",
        key: "id",
        ended: "state IN ('suspended', 'revoked')",
        for_good: "state = 'revoked'",
        unknown_too: false,
        others_too: false,
    },
    // A replaced secret has ended with its overlap, though nothing says so but the time.
    Ending {
        table: "credentials",
        key: "id",
        ended: "(state = 'revoked' OR (state = 'rotated' AND accepts_until <= CURRENT_TIMESTAMP))",
        for_good: "state = 'revoked'",
        unknown_too: false,
        others_too: false,
    },
    // A link opens once, also where a backup knows nothing of that.
    Ending {
        table: "secret_deliveries",
        key: "id",
        ended: "state <> 'pending'",
        for_good: "state <> 'pending'",
        unknown_too: false,
        others_too: false,
    },
    // Nothing that was called off is sent by a restore.
    Ending {
        table: "webhook_replays",
        key: "id",
        ended: "state IN ('completed', 'cancelled')",
        for_good: "state IN ('completed', 'cancelled')",
        unknown_too: false,
        others_too: false,
    },
    // What was switched off, whoever did it, is not told of events again by a restore.
    Ending {
        table: "webhook_endpoints",
        key: "id",
        ended: "state IN ('disabled', 'deleted')",
        for_good: "state = 'deleted'",
        unknown_too: false,
        others_too: false,
    },
    // All of them, since both databases have them under one master key: what has signed its last signs no more,
    // what signs now goes on, and a key that was made and revoked since does not come in again from its file.
    Ending {
        table: "signing_keys",
        key: "kid",
        ended: "revoked_at IS NOT NULL",
        for_good: "revoked_at IS NOT NULL",
        unknown_too: true,
        others_too: true,
    },
];

/// What has an end of its own: the earlier one stands, where both know it.
const EXPIRING: [&str; 2] = ["clients", "credentials"];

/// The tokens that live, and the lists that their statuses are read from: both are only ever added to.
const STATUSES: [(&str, &str); 3] = [
    ("status_lists", "t.number = o.number OR t.id = o.id"),
    (
        "status_index_leases",
        "t.list = o.list AND t.first_index = o.first_index",
    ),
    (
        "issued_tokens",
        "t.issued_at = o.issued_at AND t.jti = o.jti",
    ),
];

/// What was kept.
pub(super) struct Kept {
    pub(super) feed_starts_after: i64,
    pub(super) ended: i64,
    pub(super) revocations: i64,
    pub(super) voided_invoices: i64,
}

/// Sets aside what must outlive the rows; answers the highest number that was given out.
pub(super) fn remember(db: &mut Db) -> Result<i64, StoreError> {
    for ending in ENDINGS {
        let (table, ended) = (ending.table, ending.ended);
        let kept = if ending.others_too { "TRUE" } else { ended };
        run(
            db,
            &format!("CREATE TEMPORARY TABLE old_{table} AS SELECT * FROM {table} WHERE {kept}"),
        )?;
    }
    for table in EXPIRING {
        run(
            db,
            &format!(
                "CREATE TEMPORARY TABLE old_ends_of_{table} AS \
                     SELECT id, expires_at FROM {table} WHERE expires_at IS NOT NULL; \
                 CREATE INDEX old_ends_of_{table}_by_id ON old_ends_of_{table} (id)"
            ),
        )?;
    }
    run(
        db,
        "CREATE TEMPORARY TABLE old_status_lists AS SELECT * FROM status_lists; \
         CREATE TEMPORARY TABLE old_status_index_leases AS SELECT * FROM status_index_leases; \
         CREATE TEMPORARY TABLE old_issued_tokens AS \
             SELECT * FROM issued_tokens WHERE expires_at > CURRENT_TIMESTAMP; \
         CREATE TEMPORARY TABLE old_sequences AS SELECT * FROM sequences WHERE name = 'status_lists'",
    )?;
    run(
        db,
        "CREATE TEMPORARY TABLE old_revocations AS SELECT * FROM revocations; \
         CREATE INDEX old_revocations_by_id ON old_revocations (id); \
         CREATE TEMPORARY TABLE old_event_counters AS SELECT * FROM event_counters; \
         CREATE TEMPORARY TABLE old_webhook_secrets AS SELECT * FROM webhook_secrets; \
         CREATE TEMPORARY TABLE old_invoices AS SELECT * FROM invoices WHERE state <> 'draft'; \
         CREATE TEMPORARY TABLE old_invoice_counters AS SELECT * FROM invoice_counters",
    )?;
    head(db)
}

fn head(db: &mut Db) -> Result<i64, StoreError> {
    let counters = "'revocations', 'revocations_purged', 'changes', 'changes_purged'";
    number(
        db,
        &format!("SELECT MAX(value) AS line FROM sequences WHERE name IN ({counters})"),
    )
}

/// Puts what was set aside over the rows of the backup, and moves the counters on. Status lists of
/// before are closed: nobody knows which of their places were given out since.
pub(super) fn carry(
    db: &mut Db,
    since: Since,
    before: i64,
    now: Instant,
) -> Result<Kept, StoreError> {
    let mut ended = 0;
    if since == Since::Kept {
        run(
            db,
            "UPDATE old_credentials SET replaced_by = NULL \
             WHERE replaced_by NOT IN (SELECT id FROM credentials)",
        )?;
        for ending in ENDINGS {
            ended += put_back(db, ending)?;
        }
        keep_earlier_ends(db)?;
        call_off_replays(db)?;
        keep_webhook_secrets(db)?;
        keep_statuses(db)?;
    }
    pass_event_numbers(db)?;
    let voided_invoices = void_lost_invoices(db)?;
    let floor = above(before.max(head(db)?), now);
    let revocations = renumber(db, since, floor)?;
    run(
        db,
        &format!(
            "DELETE FROM changes; \
             UPDATE sequences SET value = {floor} WHERE name IN ('changes', 'changes_purged', 'revocations_purged'); \
             UPDATE sequences SET value = {floor} + {revocations} WHERE name = 'revocations'; \
             UPDATE sequences SET value = value + {LISTS_PASSED} WHERE name = 'status_lists'; \
             UPDATE status_lists SET leased = size, closed_at = COALESCE(closed_at, CURRENT_TIMESTAMP); \
             DELETE FROM instance WHERE name IN ('backup', 'moved_at')"
        ),
    )?;
    Ok(Kept {
        feed_starts_after: floor,
        ended,
        revocations,
        voided_invoices,
    })
}

/// How many numbers of status lists are passed over: more than were given out since the backup.
const LISTS_PASSED: i64 = 1_000_000;

/// How many numbers of a partner's events are passed over: more than it was told since the backup, also where the
/// database that knew is lost. Four thousand restores fit into what `after_seq` takes.
const EVENTS_PASSED: i64 = 1_000_000;

/// Lets every partner's events go on above all numbers that were given out. Cursors from before are below what counts
/// as kept no more, so whoever has one is told.
fn pass_event_numbers(db: &mut Db) -> Result<(), StoreError> {
    let same = "o.partner_id = event_counters.partner_id AND o.realm = event_counters.realm";
    run(
        db,
        &format!(
            "INSERT INTO event_counters (partner_id, realm, value, purged) \
                 SELECT p.id, r.realm, 0, 0 FROM partners p \
                 CROSS JOIN (SELECT 'sandbox' AS realm UNION SELECT 'live') r \
                 WHERE NOT EXISTS ( \
                     SELECT 1 FROM event_counters c WHERE c.partner_id = p.id AND c.realm = r.realm); \
             UPDATE event_counters SET value = (SELECT o.value FROM old_event_counters o WHERE {same}) \
                 WHERE EXISTS ( \
                     SELECT 1 FROM old_event_counters o WHERE {same} AND o.value > event_counters.value); \
             UPDATE event_counters SET value = value + {EVENTS_PASSED}, purged = value + {EVENTS_PASSED}"
        ),
    )
}

/// Voids the invoices that partners got since the backup, and those that were voided since, and lets numbers go on
/// above theirs: no number names two invoices, none is left out, and what they billed is billed by the next as far as
/// the backup knows of it.
///
/// Where the backup gives a number to another invoice, as after a restore that knew of none, the backup's stands.
fn void_lost_invoices(db: &mut Db) -> Result<i64, StoreError> {
    let same = "o.partner_id = invoice_counters.partner_id AND o.realm = invoice_counters.realm";
    run(
        db,
        &format!(
            "DELETE FROM old_invoices WHERE partner_id NOT IN (SELECT id FROM partners) \
                 OR EXISTS (SELECT 1 FROM invoices i WHERE i.id = old_invoices.id AND i.state <> 'draft' \
                     AND (i.state = 'void' OR old_invoices.state <> 'void')) \
                 OR EXISTS (SELECT 1 FROM invoices i WHERE i.partner_id = old_invoices.partner_id \
                     AND i.realm = old_invoices.realm AND i.number = old_invoices.number AND i.id <> old_invoices.id); \
             UPDATE old_invoices SET state = 'void', reason = 'a backup from before it was restored', \
                 ended_at = CURRENT_TIMESTAMP, ended_by = 'host' WHERE state <> 'void'; \
             UPDATE invoice_lines SET voided = TRUE WHERE invoice_id IN (SELECT id FROM old_invoices); \
             INSERT INTO invoices SELECT * FROM old_invoices WHERE id NOT IN (SELECT id FROM invoices); \
             UPDATE invoices SET (number, state, reason, opened_at, due_at, ended_at, ended_by) = ( \
                     SELECT number, state, reason, opened_at, due_at, ended_at, ended_by FROM old_invoices o \
                     WHERE o.id = invoices.id) \
                 WHERE id IN (SELECT id FROM old_invoices); \
             INSERT INTO invoice_counters SELECT * FROM old_invoice_counters o \
                 WHERE partner_id IN (SELECT id FROM partners) AND NOT EXISTS ( \
                     SELECT 1 FROM invoice_counters WHERE {same}); \
             UPDATE invoice_counters SET value = (SELECT o.value FROM old_invoice_counters o WHERE {same}) \
                 WHERE EXISTS ( \
                     SELECT 1 FROM old_invoice_counters o WHERE {same} AND o.value > invoice_counters.value)"
        ),
    )?;
    number(db, "SELECT COUNT(*) AS line FROM old_invoices")
}

/// Puts back what ended; answers of how many records the backup did not know that.
fn put_back(db: &mut Db, ending: &Ending) -> Result<i64, StoreError> {
    let Ending {
        table,
        key,
        ended,
        for_good,
        unknown_too,
        others_too: _,
    } = ending;
    run(
        db,
        &format!(
            "DELETE FROM old_{table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {for_good})"
        ),
    )?;
    if !unknown_too {
        run(
            db,
            &format!("DELETE FROM old_{table} WHERE {key} NOT IN (SELECT {key} FROM {table})"),
        )?;
    }
    let news = number(
        db,
        &format!(
            "SELECT COUNT(*) AS line FROM old_{table} \
                 WHERE {ended} AND {key} NOT IN (SELECT {key} FROM {table} WHERE {ended})"
        ),
    )?;
    run(
        db,
        &format!(
            "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM old_{table}); \
             INSERT INTO {table} SELECT * FROM old_{table}"
        ),
    )?;
    Ok(news)
}

/// Lets nothing end later than it was to: it may have ended meanwhile, or been given an hour since it leaked.
fn keep_earlier_ends(db: &mut Db) -> Result<(), StoreError> {
    for table in EXPIRING {
        let earlier = format!(
            "SELECT o.expires_at FROM old_ends_of_{table} o WHERE o.id = {table}.id \
             AND ({table}.expires_at IS NULL OR o.expires_at < {table}.expires_at)"
        );
        run(
            db,
            &format!("UPDATE {table} SET expires_at = ({earlier}) WHERE EXISTS ({earlier})"),
        )?;
    }
    Ok(())
}

/// Lets what a replay that was called off had still to send go with it.
fn call_off_replays(db: &mut Db) -> Result<(), StoreError> {
    run(
        db,
        "UPDATE webhook_deliveries SET state = 'cancelled', next_attempt_at = NULL \
             WHERE state = 'retrying' \
             AND replay_id IN (SELECT id FROM webhook_replays WHERE state = 'cancelled')",
    )
}

/// Keeps the records of tokens that live, and the lists that they name: a list shows who was revoked by what is on
/// record of its tokens, and is retired by the last of its leases.
///
/// Where the backup has another list of a number, as after a restore that knew of none, the backup's stands.
fn keep_statuses(db: &mut Db) -> Result<(), StoreError> {
    for (table, same) in STATUSES {
        run(
            db,
            &format!(
                "INSERT INTO {table} SELECT * FROM old_{table} o \
                 WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE {same})"
            ),
        )?;
    }
    run(
        db,
        "UPDATE sequences SET value = (SELECT o.value FROM old_sequences o) \
             WHERE name = 'status_lists' AND value < (SELECT o.value FROM old_sequences o)",
    )
}

/// Lets endpoints sign with what they signed with last: it is what receivers hold, and what was rotated out
/// may have leaked. Deleted ones keep nothing.
fn keep_webhook_secrets(db: &mut Db) -> Result<(), StoreError> {
    run(
        db,
        "DELETE FROM webhook_secrets WHERE endpoint_id IN (SELECT endpoint_id FROM old_webhook_secrets) \
             OR endpoint_id IN (SELECT id FROM webhook_endpoints WHERE state = 'deleted'); \
         INSERT INTO webhook_secrets SELECT * FROM old_webhook_secrets \
             WHERE endpoint_id IN (SELECT id FROM webhook_endpoints WHERE state <> 'deleted')",
    )
}

/// Tells every revocation again, under numbers that are above every token's.
fn renumber(db: &mut Db, since: Since, floor: i64) -> Result<i64, StoreError> {
    if since == Since::Forgotten {
        run(db, "DELETE FROM old_revocations")?;
    }
    run(
        db,
        &format!(
            "INSERT INTO old_revocations SELECT * FROM revocations r \
                 WHERE NOT EXISTS (SELECT 1 FROM old_revocations o WHERE o.realm = r.realm AND o.kind = r.kind \
                     AND o.id = r.id AND COALESCE(o.scope, '') = COALESCE(r.scope, '') \
                     AND o.revoked_at = r.revoked_at); \
             DELETE FROM revocations; \
             INSERT INTO revocations \
                 SELECT {floor} + row_number() OVER (ORDER BY seq, id), realm, kind, id, scope, revoked_at, \
                     expires_at, reason, actor \
                 FROM old_revocations"
        ),
    )?;
    number(db, "SELECT COUNT(*) AS line FROM revocations")
}
