//! Buckets on a simulated clock, held against a model that counts with whole numbers alone.

use std::time::Duration;

use proptest::prelude::*;

use super::bucket::{Bucket, Trial};
use super::*;
use crate::domain::instant::Instant;
use crate::domain::limits::{Figures, Percent};

/// A nanosecond refills so much of a request, in units of which [`Model::WHOLE`] are one.
struct Model {
    per_minute: u128,
    burst: u128,
    level: u128,
    at: u64,
}

impl Model {
    const WHOLE: u128 = 60_000_000_000;

    fn full(per_minute: u32, burst: u32) -> Self {
        Self {
            per_minute: per_minute.into(),
            burst: burst.into(),
            level: u128::from(burst) * Self::WHOLE,
            at: 0,
        }
    }

    /// Whether a caller that stays within its rate may ask at a time; it does, if so.
    fn asks(&mut self, at: u64) -> bool {
        let refilled = self.level + u128::from(at - self.at) * self.per_minute;
        self.level = refilled.min(self.burst * Self::WHOLE);
        self.at = at;
        let may = self.level >= Self::WHOLE;
        if may {
            self.level -= Self::WHOLE;
        }
        may
    }
}

struct Partner {
    local: Local,
    id: PartnerId,
    clients: Vec<ClientId>,
    limits: Limits,
}

impl Partner {
    fn with(figures: Figures) -> Self {
        let at = Instant::from_epoch_seconds(0);
        let client = |_| ClientId::generate(Realm::Live, at);
        Self {
            local: Local::default(),
            id: PartnerId::generate(at),
            clients: (0..3).map(client).collect(),
            limits: Limits {
                figures,
                ..Limits::default()
            },
        }
    }

    fn ask(&self, client: usize, class: RouteClass) -> Ask<'_> {
        Ask {
            partner: &self.id,
            realm: Realm::Live,
            part: Part::Client(&self.clients[client % self.clients.len()]),
            class,
            limits: &self.limits,
        }
    }

    fn read(&self, client: usize, at: u64) -> Decision {
        self.local
            .decide(&self.ask(client, RouteClass::Read), Moment(at))
    }

    fn left(&self, class: RouteClass, at: u64) -> Vec<(LimitName, u64)> {
        let readings = self.local.look(&self.ask(0, class), Moment(at));
        readings.iter().map(|r| (r.limit, r.remaining)).collect()
    }
}

fn figures(requests_per_minute: u32, burst: u32) -> Figures {
    Figures {
        requests_per_minute,
        burst,
        ..Figures::default()
    }
}

fn percent(of: u32) -> Percent {
    Percent::new(of).unwrap()
}

/// In no window is more let through than a burst and what refills meanwhile, and 2 in a hundred.
fn assert_bounded(passed: &[u64], per_minute: u32, burst: u32) {
    for (nth, from) in passed.iter().enumerate() {
        for (count, to) in (1..).zip(&passed[nth..]) {
            let window = (to - from) as f64 / 60e9;
            let bound = f64::from(burst) + f64::from(per_minute) * window;
            assert!(
                f64::from(count) <= bound * 1.02,
                "{count} in {window} minutes at {per_minute} a minute and {burst} at once"
            );
        }
    }
}

/// How callers come: how long each waits after the one before, in parts of what one takes to refill.
fn arrivals() -> impl Strategy<Value = Vec<f64>> {
    let steady = (0.2..3.0, 1..200usize).prop_map(|(gap, many)| vec![gap; many]);
    let bursts = (1..60usize, 0.0..80.0).prop_map(|(size, pause)| {
        let burst = std::iter::once(pause).chain(std::iter::repeat_n(0.0, size));
        burst.cycle().take(300).collect()
    });
    let any = prop_oneof![
        Just(0.0),
        Just(1.0),
        Just(0.999_999),
        0.0..0.1,
        0.0..2.0,
        0.0..100.0,
    ];
    prop_oneof![steady, bursts, proptest::collection::vec(any, 1..300)]
}

fn rates() -> impl Strategy<Value = (u32, u32)> {
    let per_minute = prop_oneof![1..100u32, 100..10_000u32, 10_000..=Rate::HIGHEST];
    (per_minute, 1..50u32)
}

/// The moments of arrivals at a rate.
fn moments(gaps: &[f64], per_minute: u32) -> Vec<u64> {
    let interval = 60e9 / f64::from(per_minute);
    let mut at = 0u64;
    gaps.iter()
        .map(|gap| {
            at += (gap * interval).round() as u64;
            at
        })
        .collect()
}

proptest! {
    #[test]
    fn no_window_lets_more_through_than_its_burst_and_what_refills((per_minute, burst) in rates(), gaps in arrivals()) {
        let partner = Partner::with(figures(per_minute, burst));
        let mut passed = Vec::new();
        // Of whichever client they are: a partner's clients share what it has.
        for (nth, at) in moments(&gaps, per_minute).into_iter().enumerate() {
            if partner.read(nth, at).fits() {
                passed.push(at);
            }
        }
        assert_bounded(&passed, per_minute, burst);
    }

    #[test]
    fn who_comes_as_soon_as_it_may_gets_its_rate_and_no_more((per_minute, burst) in rates(), early in 0..3u64) {
        let partner = Partner::with(figures(per_minute, burst));
        let (mut at, mut passed) = (0u64, Vec::new());
        for nth in 0..200 {
            let decision = partner.read(nth, at);
            match decision.over {
                None => passed.push(at),
                // A little before its time it is refused; at its time it is not.
                Some(over) => {
                    let wait = over.retry_after.as_nanos() as u64;
                    prop_assert!(wait > 0);
                    prop_assert!(early == 0 || early >= wait || !partner.read(nth, at + wait - early).fits());
                    at += wait;
                    prop_assert!(partner.read(nth, at).fits());
                    passed.push(at);
                }
            }
        }
        assert_bounded(&passed, per_minute, burst);
        let had = f64::from(burst) + f64::from(per_minute) * at as f64 / 60e9;
        prop_assert!(passed.len() as f64 >= had * 0.98 - 1.0, "{} of {had}", passed.len());
    }

    #[test]
    fn who_stays_within_its_rate_is_never_refused((per_minute, burst) in rates(), gaps in arrivals()) {
        let partner = Partner::with(figures(per_minute, burst));
        let mut model = Model::full(per_minute, burst);
        for (nth, at) in moments(&gaps, per_minute).into_iter().enumerate() {
            if model.asks(at) {
                let decision = partner.read(nth, at);
                prop_assert!(decision.fits(), "{nth} at {at}: {decision:?}");
            }
        }
    }

    #[test]
    fn a_change_of_the_figures_gives_nothing_away(
        rates in proptest::collection::vec(rates(), 1..4),
        gaps in proptest::collection::vec((0.0..3.0, any::<bool>()), 1..200),
    ) {
        let highest = rates.iter().map(|(per_minute, _)| *per_minute).max().unwrap();
        let largest = rates.iter().map(|(_, burst)| *burst).max().unwrap();
        let rates: Vec<Rate> = rates.iter().map(|(per_minute, burst)| Rate::new(*per_minute, *burst)).collect();
        let mut bucket = Bucket::full(Rate::new(highest, largest), Moment(0));
        let (mut at, mut which, mut passed) = (0u64, 0, Vec::new());
        for (gap, changes) in gaps {
            at += (gap * 60e9 / f64::from(highest)) as u64;
            if let Trial::Fits(after) = bucket.weigh(Moment(at)) {
                bucket.charge(after, Moment(at));
                passed.push(at);
            }
            if changes {
                which += 1;
                bucket.adapt(rates[which % rates.len()], Moment(at));
            }
        }
        assert_bounded(&passed, highest, largest);
    }
}

#[test]
fn a_refused_request_drains_no_other_bucket() {
    let partner = Partner::with(Figures {
        writes_share: percent(10),
        client_share: percent(50),
        ..figures(600, 100)
    });
    let write = partner.ask(0, RouteClass::Write);
    for _ in 0..10 {
        assert!(partner.local.decide(&write, Moment(0)).fits());
    }
    let before = partner.left(RouteClass::Write, 0);
    assert_eq!(
        before,
        [
            (LimitName::Requests, 90),
            (LimitName::Writes, 0),
            (LimitName::ClientRequests, 40),
        ]
    );
    for _ in 0..1000 {
        let over = partner.local.decide(&write, Moment(0)).over.unwrap();
        assert_eq!(over.limit, LimitName::Writes);
        assert_eq!(over.retry_after, Duration::from_secs(1));
    }
    assert_eq!(partner.left(RouteClass::Write, 0), before);
    // Reads go on, and what another client has is its own.
    assert!(partner.read(0, 0).fits());
    assert!(partner.read(1, 0).fits());
}

#[test]
fn one_client_takes_its_share_and_all_together_what_the_partner_has() {
    let partner = Partner::with(Figures {
        client_share: percent(50),
        ..figures(60, 10)
    });
    let through = |client| (0..20).filter(|_| partner.read(client, 0).fits()).count();
    assert_eq!([through(0), through(1), through(2)], [5, 5, 0]);
    let over = partner.read(2, 0).over.unwrap();
    assert_eq!(over.limit, LimitName::Requests);
}

#[test]
fn tokens_and_requests_are_counted_apart() {
    let partner = Partner::with(Figures {
        tokens_per_minute: 2,
        ..figures(60, 3)
    });
    let token = partner.ask(0, RouteClass::Token);
    let through = || {
        let given = (0..9).filter(|_| partner.local.decide(&token, Moment(0)).fits());
        given.count()
    };
    assert_eq!(through(), 2);
    assert_eq!((0..9).filter(|_| partner.read(0, 0).fits()).count(), 3);
    let over = partner.local.decide(&token, Moment(0)).over.unwrap();
    assert_eq!(over.retry_after, Duration::from_secs(30));
}

#[test]
fn partners_and_realms_have_buckets_of_their_own() {
    let (one, other) = (Partner::with(figures(60, 1)), Partner::with(figures(60, 1)));
    let local = &one.local;
    assert!(one.read(0, 0).fits());
    assert!(!one.read(0, 0).fits());
    let sandbox = Ask {
        realm: Realm::Sandbox,
        ..one.ask(0, RouteClass::Read)
    };
    assert!(local.decide(&sandbox, Moment(0)).fits());
    let strange = other.ask(0, RouteClass::Read);
    assert!(local.decide(&strange, Moment(0)).fits());
}

#[test]
fn what_is_full_again_is_let_go_and_nothing_else() {
    let at = Instant::from_epoch_seconds(0);
    let local = Local::default();
    let limits = Limits {
        figures: figures(60, 10),
        ..Limits::default()
    };
    let partners: Vec<PartnerId> = (0..1000).map(|_| PartnerId::generate(at)).collect();
    let client = ClientId::generate(Realm::Live, at);
    let ask = |partner| Ask {
        partner,
        realm: Realm::Live,
        part: Part::Client(&client),
        class: RouteClass::Read,
        limits: &limits,
    };
    for partner in &partners {
        assert!(local.decide(&ask(partner), Moment(0)).fits());
    }
    for _ in 0..9 {
        assert!(local.decide(&ask(&partners[0]), Moment(0)).fits());
    }
    assert_eq!(local.sweep(Moment(0)), 1000);
    let second = Moment::at(Duration::from_secs(1));
    assert_eq!(local.sweep(second), 1);
    // It was not: one has refilled, and no more.
    assert!(local.decide(&ask(&partners[0]), second).fits());
    assert!(!local.decide(&ask(&partners[0]), second).fits());
    assert_eq!(local.sweep(Moment::at(Duration::from_secs(60))), 0);
}

#[test]
fn those_who_come_by_let_go_what_is_full() {
    let at = Instant::from_epoch_seconds(0);
    let partner = Partner::with(figures(60, 10));
    for _ in 0..1000 {
        let other = PartnerId::generate(at);
        let ask = Ask {
            partner: &other,
            ..partner.ask(0, RouteClass::Read)
        };
        partner.local.decide(&ask, Moment(0));
    }
    // Two rounds of one who asks twenty times a second.
    for nth in 0..800 {
        partner.read(0, nth * 50_000_000 + 1_000_000_000);
    }
    assert_eq!(partner.local.held(), 1);
}

#[test]
fn threads_that_ask_at_once_get_no_more_than_there_is() {
    let partner = Partner::with(figures(1, 1000));
    let passed: usize = std::thread::scope(|scope| {
        let asking = |nth| {
            let partner = &partner;
            move || (0..1000).filter(|_| partner.read(nth, 0).fits()).count()
        };
        let threads: Vec<_> = (0..4).map(|nth| scope.spawn(asking(nth))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(passed, 1000);
}
