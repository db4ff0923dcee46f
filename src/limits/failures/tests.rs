//! On a clock of the tests' own.

use super::*;
use proptest::prelude::*;

const HOUR: i64 = 3600 * 1000;

/// So many milliseconds on.
fn at(millis: i64) -> Instant {
    Instant::from_epoch_seconds(1_800_000_000).plus(Duration::from_millis(millis.unsigned_abs()))
}

fn ip(n: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + n).to_be_bytes())
}

fn knock(failures: &Failures, id: &str, from: IpAddr, millis: i64) -> Knock {
    failures.knock(Realm::Live, id, Some(from), at(millis))
}

/// Guesses once, if it may; the wait in milliseconds, if it must.
fn guess(failures: &Failures, id: &str, from: IpAddr, millis: i64) -> Option<u128> {
    let knock = knock(failures, id, from, millis);
    if let Some(block) = knock.must_wait() {
        return Some(block.left.as_millis());
    }
    failures.failed(&knock, at(millis));
    None
}

fn succeed(failures: &Failures, id: &str, from: IpAddr, partner: &str, millis: i64) -> bool {
    let knock = knock(failures, id, from, millis);
    assert_eq!(knock.must_wait(), None);
    failures.succeeded(&knock, Some(partner))
}

#[test]
fn ten_failures_block_a_client_id_for_a_second_and_then_twice_as_long_each_time() {
    let failures = Failures::new(1);
    for n in 0..10 {
        // From everywhere, so that no address counts.
        assert_eq!(guess(&failures, "cl", ip(n), 0), None);
    }
    let mut now = 0;
    for length in [1i64, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        let length = length * 1000;
        assert_eq!(
            guess(&failures, "cl", ip(100), now),
            Some(length.unsigned_abs().into())
        );
        assert_eq!(guess(&failures, "cl", ip(101), now + length - 1), Some(1));
        now += length;
        assert_eq!(guess(&failures, "cl", ip(102), now), None, "{length}");
    }
}

#[test]
fn failures_far_apart_block_nobody_and_blocks_are_forgiven() {
    let failures = Failures::new(1);
    for n in 0..1000 {
        assert_eq!(guess(&failures, "cl", ip(1), n * 31_000), None);
    }
    let after = 1000 * 31_000;
    for n in 0..11 {
        let second = after + if n < 10 { 0 } else { 1000 };
        assert_eq!(guess(&failures, "other", ip(n), second), None);
    }
    assert_eq!(guess(&failures, "other", ip(50), after + 1000), Some(2000));
    // All is forgiven after an hour: ten failures, and a second.
    let later = after + HOUR;
    for n in 0..10 {
        assert_eq!(guess(&failures, "other", ip(n), later), None);
    }
    assert_eq!(guess(&failures, "other", ip(50), later), Some(1000));
}

#[test]
fn asking_while_blocked_prolongs_nothing() {
    let failures = Failures::new(1);
    for n in 0..10 {
        guess(&failures, "cl", ip(n), 0);
    }
    for n in 0..1000 {
        let left = guess(&failures, "cl", ip(7), n);
        assert_eq!(left, Some((1000 - n).unsigned_abs().into()));
    }
    let knock = knock(&failures, "cl", ip(7), 1000);
    assert_eq!(knock.must_wait(), None);
}

#[test]
fn an_address_is_blocked_for_made_up_ids_as_for_others() {
    let failures = Failures::new(1);
    for n in 0..50 {
        assert_eq!(guess(&failures, &format!("cl{n}"), ip(1), 0), None);
    }
    let blocked = knock(&failures, "another", ip(1), 0).must_wait().unwrap();
    assert_eq!(
        (blocked.subject, blocked.left),
        (Subject::Address, Duration::from_secs(1))
    );
    assert_eq!(guess(&failures, "another", ip(2), 0), None);
}

#[test]
fn an_ipv6_customer_is_one_address_and_a_mapped_address_its_own() {
    let failures = Failures::new(1);
    for n in 0..50 {
        let from = format!("2001:db8:1:2:{n:x}::{n:x}").parse().unwrap();
        guess(&failures, &format!("cl{n}"), from, 0);
    }
    let waits = |from: &str| guess(&failures, "cl", from.parse().unwrap(), 0).is_some();
    assert!(waits("2001:db8:1:2:ffff::1"));
    assert!(!waits("2001:db8:1:3::1"));
    assert_eq!(
        network("::ffff:192.0.2.1".parse().unwrap()),
        network("192.0.2.1".parse().unwrap())
    );
}

#[test]
fn what_many_partners_share_is_no_address_to_block() {
    let failures = Failures::new(1);
    let flood = |from: IpAddr| {
        for n in 0..200 {
            guess(&failures, &format!("made-up-{from}-{n}"), from, 0);
        }
        guess(&failures, "new", from, 0)
    };
    // A partner gains nothing by making clients.
    for n in 0..30 {
        assert!(!succeed(
            &failures,
            &format!("one-{n}"),
            ip(1),
            "partner 1",
            0
        ));
    }
    assert_eq!(flood(ip(1)), Some(1000));
    for n in 1..=3 {
        let shared = succeed(&failures, "cl", ip(2), &format!("partner {n}"), 0);
        assert_eq!(shared, n == 3);
    }
    assert!(!succeed(&failures, "cl", ip(2), "partner 4", 0));
    assert_eq!(flood(ip(2)), None);
    // An id is, wherever it is failed at.
    for _ in 0..10 {
        guess(&failures, "broken", ip(2), 0);
    }
    assert_eq!(guess(&failures, "broken", ip(2), 0), Some(1000));
}

#[test]
fn what_is_on_record_from_before_lets_in_one_client_at_one_address_of_one_realm() {
    let failures = Failures::new(1);
    failures.worked_before(Realm::Live, "partner's", ip(1));
    let waits = |realm, id: &str, from: u32| {
        let knock = failures.knock(realm, id, Some(ip(from)), at(0));
        knock.must_wait().is_some()
    };
    for n in 0..50 {
        guess(&failures, &format!("cl{n}"), ip(1), 0);
    }
    assert!(!waits(Realm::Live, "partner's", 1));
    assert!(waits(Realm::Live, "another", 1));
    assert!(waits(Realm::Sandbox, "partner's", 1));
    for n in 0..10 {
        guess(&failures, "partner's", ip(100 + n), 0);
    }
    assert!(!waits(Realm::Live, "partner's", 1));
    assert!(waits(Realm::Live, "partner's", 2));
}

#[test]
fn realms_do_not_share_what_is_counted() {
    let failures = Failures::new(1);
    for n in 0..10 {
        guess(&failures, "cl", ip(n), 0);
    }
    let elsewhere = failures.knock(Realm::Sandbox, "cl", Some(ip(1)), at(0));
    assert_eq!(elsewhere.must_wait(), None);
}

#[test]
fn a_clock_that_is_set_back_blocks_nobody_for_longer_than_the_longest_block() {
    let failures = Failures::new(1);
    for n in 0..10 {
        guess(&failures, "cl", ip(n), 30 * 24 * HOUR);
    }
    assert!(guess(&failures, "cl", ip(1), 30 * 24 * HOUR).is_some());
    assert_eq!(guess(&failures, "cl", ip(1), 0), None);
    // And counts on from there.
    for _ in 0..9 {
        guess(&failures, "cl", ip(1), 0);
    }
    assert!(guess(&failures, "cl", ip(1), 0).is_some());
}

#[test]
fn a_flood_of_ids_evicts_no_block_and_makes_no_one_freer() {
    let failures = Failures::with_room(64, 64);
    let room = i64::try_from(failures.clients.room()).unwrap();
    assert_eq!(room, 64);
    let mut now = 0;
    let mut longest = 0;
    // Somebody who has earned a long block.
    while longest < 60_000 {
        match guess(&failures, "guesser", ip(1), now) {
            Some(left) => {
                longest = longest.max(left);
                now += i64::try_from(left).unwrap();
            }
            None => continue,
        }
    }
    guess(&failures, "guesser", ip(9), now);
    let before = guess(&failures, "guesser", ip(9), now);
    assert!(before.is_some());
    for n in 0..20_000u32 {
        guess(&failures, &format!("made up {n}"), ip(1000 + n), now);
    }
    assert_eq!(guess(&failures, "guesser", ip(9), now), before);
    // Whoever comes into a full table has no ten attempts in it.
    let tries = (0..10).take_while(|_| guess(&failures, "late", ip(8), now).is_none());
    assert!(tries.count() < 10);
}

/// What happens to a client id, told by a plain list of failures.
#[derive(Default)]
struct Model {
    failures: f64,
    strikes: u32,
    last: i64,
    until: i64,
}

impl Model {
    fn guess(&mut self, now: i64) -> Option<u128> {
        if now < self.until {
            return Some(u128::try_from(self.until - now).unwrap());
        }
        let quiet = now - self.last;
        // Whole failures are forgiven, and the rest of the time is kept.
        let forgiven = quiet / 30_000;
        self.last += forgiven * 30_000;
        self.failures = (self.failures - forgiven as f64).max(0.0);
        let eased = (now - self.until) / 900_000;
        self.strikes = self.strikes.saturating_sub(u32::try_from(eased).unwrap());
        self.until += eased * 900_000;
        self.failures += 1.0;
        if self.failures >= 10.0 {
            self.failures = 9.0;
            self.strikes += 1;
            self.until = now + (1000 << (self.strikes - 1).min(20)).min(900_000);
            self.last = self.until;
        }
        None
    }
}

const IDS: [&str; 4] = ["partner's", "made up", "another", "one more"];

proptest! {
    #[test]
    fn a_client_id_is_blocked_as_the_model_says(
        steps in prop::collection::vec((0usize..3, prop_oneof![
            8 => 0i64..2_000, 2 => 0i64..60_000, 1 => 0i64..4_000_000,
        ]), 1..400)
    ) {
        let failures = Failures::with_room(1024, 1024);
        let mut models: [Model; 3] = Default::default();
        let mut now = 0;
        for (nth, (id, gap)) in steps.into_iter().enumerate() {
            now += gap;
            let from = ip(u32::try_from(nth).unwrap());
            let told = guess(&failures, &format!("cl{id}"), from, now);
            // A record begins with its first failure.
            let model = &mut models[id];
            if model.last == 0 && model.failures == 0.0 && model.strikes == 0 {
                (model.last, model.until) = (now, model.until);
            }
            prop_assert_eq!(told, model.guess(now));
        }
    }

    /// Whatever others do, at its own address too, and whatever it does wrong itself.
    #[test]
    fn who_was_right_before_is_never_locked_out(
        attacks in prop::collection::vec((0u32..40, 0usize..4, 0i64..3_000, any::<bool>()), 1..2_000)
    ) {
        let failures = Failures::with_room(128, 128);
        succeed(&failures, "partner's", ip(7), "partner", 0);
        let mut now = 0;
        for (from, id, gap, mistake) in attacks {
            now += gap;
            guess(&failures, IDS[id], ip(from), now);
            let own = knock(&failures, "partner's", ip(7), now);
            prop_assert_eq!(own.must_wait(), None);
            if mistake {
                failures.failed(&own, at(now));
            } else {
                failures.succeeded(&own, Some("partner"));
            }
        }
    }

    /// What is said to who was never right does not tell whether there is such a client, nor whether it works.
    #[test]
    fn a_client_that_works_is_blocked_as_one_that_does_not_exist(
        attacks in prop::collection::vec((0u32..40, 0usize..4, 0i64..3_000), 1..2_000)
    ) {
        let (with, without) = (Failures::with_room(1024, 1024), Failures::with_room(1024, 1024));
        let mut now = 0;
        for (from, id, gap) in attacks {
            now += gap;
            let own = knock(&with, "partner's", ip(1000), now);
            with.succeeded(&own, Some("partner"));
            let told = [&with, &without].map(|failures| guess(failures, IDS[id], ip(from), now));
            prop_assert_eq!(told[0], told[1]);
        }
    }

    /// However many come at a client id, from however many addresses: who is looked at is few.
    #[test]
    fn guesses_that_are_looked_at_are_few(gaps in prop::collection::vec(1i64..500, 5_000..6_000)) {
        let failures = Failures::with_room(1024, 1024);
        let (mut now, mut looked_at) = (0, 0);
        for (nth, gap) in gaps.into_iter().enumerate() {
            now += gap;
            let from = ip(u32::try_from(nth).unwrap());
            looked_at += i32::from(guess(&failures, "cl", from, now).is_none());
        }
        // Ten at once, ten while the blocks grow, and one in each quarter of an hour.
        prop_assert!(looked_at <= 10 + 10 + i32::try_from(now / 900_000).unwrap() + 1, "{}", looked_at);
    }
}

#[test]
fn those_of_whom_nobody_knows_where_they_are_are_one_address() {
    let failures = Failures::new(1);
    let knock = |id: &str| failures.knock(Realm::Live, id, None, at(0));
    let mut guesses = 0;
    while knock(&format!("cl{guesses}")).must_wait().is_none() {
        failures.failed(&knock(&format!("cl{guesses}")), at(0));
        guesses += 1;
        assert!(guesses < 1000, "nobody is ever blocked");
    }
    // Being unknown is no place where a client was right before.
    let known = Failures::new(1);
    known.succeeded(&known.knock(Realm::Live, "cl", None, at(0)), Some("one"));
    for _ in 0..10 {
        known.failed(&known.knock(Realm::Live, "cl", None, at(0)), at(0));
    }
    assert!(
        known
            .knock(Realm::Live, "cl", None, at(0))
            .must_wait()
            .is_some()
    );
    // A proxy that never says is an address that many share.
    for partner in ["two", "three"] {
        known.succeeded(
            &known.knock(Realm::Live, partner, None, at(0)),
            Some(partner),
        );
    }
    for n in 0..100 {
        known.failed(
            &known.knock(Realm::Live, &format!("x{n}"), None, at(0)),
            at(0),
        );
    }
    assert!(
        known
            .knock(Realm::Live, "other", None, at(0))
            .must_wait()
            .is_none()
    );
}
