use super::*;
use crate::domain::event::EventKind;
use crate::domain::id::{EventId, PartnerId};
use crate::domain::instant::Instant;
use crate::domain::realm::Realm;
use crate::webhook::Attempt;
use proptest::prelude::*;

fn at() -> Instant {
    Instant::from_epoch_seconds(1_800_000_000)
}

fn lane(cursor: i64, settled: Vec<i64>) -> Lane {
    let tenant = Tenant::of_record(PartnerId::generate(at()), Realm::Sandbox);
    Lane::new(tenant, 1, cursor, settled, Moment::now())
}

fn message(seq: i64, way: Way) -> Message {
    Message {
        seq,
        event_id: EventId::generate(at()),
        kind: EventKind::OrderAccepted,
        created_at: at(),
        way,
    }
}

fn sent(nth: u64, seq: i64, class: Option<FailureClass>) -> Sent {
    Sent {
        nth,
        message: message(seq, Way::First),
        attempt: Attempt {
            class,
            status: None,
            took: Duration::ZERO,
            address: None,
            retry_after: None,
            body: None,
            crowded_out: false,
        },
        at: at(),
        chance: 0.5,
    }
}

fn endpoint() -> WebhookEndpointId {
    WebhookEndpointId::generate(at())
}

fn begin(lane: &mut Lane, seqs: &[i64]) {
    for seq in seqs {
        lane.begin(
            u64::try_from(*seq).unwrap(),
            &message(*seq, Way::First),
            Moment::now(),
        );
    }
}

#[test]
fn the_cursor_stays_below_what_is_on_its_way() {
    let (mut lane, id) = (lane(10, Vec::new()), endpoint());
    begin(&mut lane, &[11, 13]);
    assert!(lane.pass(14, false));
    lane.land(sent(13, 13, None));
    let batch = lane.batch(&id);
    assert_eq!((batch.cursor, batch.first.len()), (10, 1));
    lane.settled(&batch);
    lane.land(sent(11, 11, Some(FailureClass::Connect)));
    let batch = lane.batch(&id);
    // A failure has its row, so it is passed too.
    assert_eq!((batch.cursor, batch.marks.len()), (14, 1));
    assert!(batch.marks[0].failed);
    lane.settled(&batch);
    assert!(lane.is_idle() && !lane.has_news() && !lane.has_moved());
}

#[test]
fn what_is_on_record_above_the_cursor_is_not_sent_again() {
    let mut lane = lane(10, vec![12]);
    assert!(!lane.pass(11, true));
    begin(&mut lane, &[11]);
    assert!(lane.pass(12, true));
    assert!(!lane.pass(13, true));
    lane.land(sent(11, 11, None));
    assert_eq!(lane.batch(&endpoint()).cursor, 12);
}

#[test]
fn one_that_hangs_or_fails_has_a_smaller_share() {
    let mut lane = lane(0, Vec::new());
    let now = Moment::now();
    assert_eq!(lane.room(now, 100).first, CONCURRENCY);
    assert_eq!(lane.room(now, 3).first, 3);
    begin(&mut lane, &[1]);
    assert_eq!(lane.room(now, 100).first, CONCURRENCY - 1);
    let later = now + HANGS + Duration::from_secs(1);
    assert!(lane.is_ailing(later));
    assert_eq!(lane.room(later, 100).first, AILING_CONCURRENCY - 1);
    lane.land(sent(1, 1, Some(FailureClass::Timeout)));
    assert!(lane.is_ailing(now));
    begin(&mut lane, &[2]);
    lane.land(sent(2, 2, None));
    assert!(!lane.is_ailing(now));
}

#[test]
fn what_was_never_sent_says_nothing_about_the_endpoint() {
    let mut lane = lane(0, Vec::new());
    begin(&mut lane, &[1]);
    let mut crowded = sent(1, 1, Some(FailureClass::Timeout));
    crowded.attempt.crowded_out = true;
    lane.land(crowded);
    assert!(!lane.is_ailing(Moment::now()));
    let batch = lane.batch(&endpoint());
    assert_eq!((batch.marks.len(), batch.first.len()), (0, 1));
}

#[test]
fn further_attempts_have_a_share_that_new_ones_do_not_take() {
    let mut lane = lane(0, Vec::new());
    let now = Moment::now();
    lane.leave_waiting(100);
    let room = lane.room(now, 100);
    assert_eq!((room.first, room.again), (CONCURRENCY - AGAIN, CONCURRENCY));
    // None waits: all of it is for what is new.
    lane.leave_waiting(0);
    assert_eq!(lane.room(now, 100).first, CONCURRENCY);
}

#[test]
fn no_more_is_begun_than_may_be_sent_twice() {
    let mut lane = lane(0, Vec::new());
    let now = Moment::now();
    let most = i64::try_from(UNSETTLED).unwrap();
    for seq in 1..=most {
        begin(&mut lane, &[seq]);
        lane.land(sent(seq.unsigned_abs(), seq, None));
    }
    let later = now + Duration::from_secs(10);
    assert_eq!(lane.room(later, 1000), Room::default());
    let batch = lane.batch(&endpoint());
    // On its way to the database, and not there yet.
    assert_eq!(lane.room(later, 1000), Room::default());
    lane.settled(&batch);
    assert_eq!(lane.room(later, 1000).first, CONCURRENCY);
}

#[test]
fn a_node_whose_time_is_over_begins_nothing() {
    let mut lane = lane(0, Vec::new());
    lane.leaves = true;
    assert_eq!(lane.room(Moment::now(), 100), Room::default());
}

proptest! {
    /// Whatever lands in whichever order, and wherever the process dies: what is at or below the cursor
    /// on record has its row.
    #[test]
    fn nothing_is_passed_that_has_no_row(
        order in Just((1i64..=12).collect::<Vec<_>>()).prop_shuffle(),
        cuts in proptest::collection::vec(any::<bool>(), 12),
        writes in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let (mut lane, id) = (lane(0, Vec::new()), endpoint());
        begin(&mut lane, &(1..=12).collect::<Vec<_>>());
        let (mut rows, mut on_record) = (BTreeSet::new(), 0);
        for ((seq, cut), is_written) in order.into_iter().zip(cuts).zip(writes) {
            lane.land(sent(seq.unsigned_abs(), seq, None));
            if !cut {
                continue;
            }
            let batch = lane.batch(&id);
            if !is_written {
                // The process dies here.
                break;
            }
            rows.extend(batch.first.iter().map(|(row, _)| row.seq));
            on_record = batch.cursor;
            lane.settled(&batch);
            prop_assert!((1..=on_record).all(|seq| rows.contains(&seq)), "{on_record}: {rows:?}");
        }
        prop_assert!((1..=on_record).all(|seq| rows.contains(&seq)));
    }
}
