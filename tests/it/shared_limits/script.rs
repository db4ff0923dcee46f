//! The script decides as a node alone does.

use std::time::Duration;

use onyx_auth::domain::id::{ClientId, PartnerId};
use onyx_auth::domain::instant::Instant as Day;
use onyx_auth::domain::limits::{Figures, Limits, Percent, RouteClass};
use onyx_auth::domain::realm::Realm;
use onyx_auth::limits::{Ask, Local, Moment, Part};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::redis::Redis;

/// The script with a clock of the caller's: its last two arguments are what TIME would say. Keys outlive it, since
/// Redis lets them end by its own.
fn on_a_clock() -> redis::Script {
    let mut code = include_str!("../../../src/limits/gcra.lua").to_owned();
    for (real, simulated) in [
        ("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}"),
        ("math.ceil(level / 1000000) + 1", "3600000"),
    ] {
        assert_eq!(code.matches(real).count(), 1, "{real}");
        code = code.replace(real, simulated);
    }
    redis::Script::new(&code)
}

/// What must hold, told without any state: a bucket holds what came in and has not flowed off, which is the most
/// that any stretch of time up to now has left over.
#[derive(Default)]
struct Model {
    let_through: Vec<u64>,
}

impl Model {
    fn level(&self, interval: u64, now: u64) -> u64 {
        let left_over = |(nth, since): (usize, &u64)| {
            let came = (self.let_through.len() - nth) as u64 * interval;
            came.saturating_sub((now - since) * 1000)
        };
        self.let_through
            .iter()
            .enumerate()
            .map(left_over)
            .max()
            .unwrap_or(0)
    }
}

/// The pauses between requests, in microseconds: steady, in bursts, and just short of an interval.
fn arrivals(interval: u64) -> impl Strategy<Value = Vec<u64>> {
    let just = interval / 1000;
    let pause = prop_oneof![
        4 => Just(0),
        2 => Just(just.saturating_sub(1)),
        2 => Just(just),
        2 => Just(just + 1),
        2 => 0..=just * 3,
        1 => Just(just * 40),
    ];
    prop::collection::vec(pause, 1..80)
}

#[test]
fn the_script_lets_through_what_the_model_and_one_node_alone_do() {
    let redis = Redis::start();
    let connection = std::cell::RefCell::new(redis.connection().unwrap());
    let script = on_a_clock();
    let partner = PartnerId::generate(Day::from_epoch_seconds(1));
    let client = ClientId::generate(Realm::Live, Day::from_epoch_seconds(1));
    let figures = (1u32..2_000_000, 1u32..30, 1u32..=100).prop_flat_map(|(rate, burst, share)| {
        let figures = Figures {
            requests_per_minute: rate,
            burst,
            client_share: Percent::new(share).unwrap(),
            ..Figures::default()
        };
        let whole = figures.requests().interval();
        (Just(figures), arrivals(whole))
    });
    let mut runner = TestRunner::new(Config::with_cases(150));
    let held = runner.run(&figures, |(figures, pauses)| {
        let mut connection = connection.borrow_mut();
        let () = redis::cmd("FLUSHDB").query(&mut *connection).unwrap();
        let limits = Limits {
            figures,
            ..Limits::default()
        };
        let ask = Ask {
            partner: &partner,
            realm: Realm::Live,
            part: Part::Client(&client),
            class: RouteClass::Read,
            limits: &limits,
        };
        let rates: Vec<_> = limits.figures.rates(RouteClass::Read).collect();
        let (alone, began) = (Local::default(), 1_800_000_000_000_000_u64);
        let mut models: Vec<Model> = rates.iter().map(|_| Model::default()).collect();
        let mut now = began;
        for pause in pauses {
            now += pause;
            let mut call = script.prepare_invoke();
            for (name, rate) in &rates {
                call.key(name.as_str());
                call.arg(rate.interval()).arg(rate.burst().get()).arg(1);
            }
            call.arg(now / 1_000_000).arg(now % 1_000_000);
            let answer: Vec<u64> = call.invoke(&mut *connection).unwrap();
            let of_bucket =
                |(model, (_, rate)): (&Model, &(_, onyx_auth::domain::limits::Rate))| {
                    let interval = rate.interval();
                    (
                        model.level(interval, now),
                        interval,
                        u64::from(rate.burst().get()),
                    )
                };
            let levels: Vec<_> = models.iter().zip(&rates).map(of_bucket).collect();
            let fits = levels
                .iter()
                .all(|(level, interval, burst)| level + interval <= interval * burst);
            prop_assert_eq!(answer[0] == 1, fits, "at {}: {:?}", now - began, levels);
            if fits {
                models
                    .iter_mut()
                    .for_each(|model| model.let_through.push(now));
            }
            for ((level, (model, (_, rate))), said) in levels
                .iter()
                .zip(models.iter().zip(&rates))
                .zip(&answer[1..])
            {
                let level = if fits {
                    model.level(level.1, now)
                } else {
                    level.0
                };
                prop_assert_eq!(*said, level, "{:?}", rate);
            }
            let decision = alone.decide(&ask, Moment::at(Duration::from_micros(now - began)));
            prop_assert_eq!(decision.fits(), fits);
            let remaining = levels
                .iter()
                .zip(&answer[1..])
                .map(|((_, interval, burst), said)| (interval * burst - said) / interval);
            let read = decision.readings.iter().map(|reading| reading.remaining);
            prop_assert_eq!(read.collect::<Vec<_>>(), remaining.collect::<Vec<_>>());
        }
        // In any window no more than its burst and what flows off in it.
        for (model, (_, rate)) in models.iter().zip(&rates) {
            let (interval, burst) = (rate.interval(), u64::from(rate.burst().get()));
            for (nth, from) in model.let_through.iter().enumerate() {
                for (last, to) in model.let_through.iter().enumerate().skip(nth) {
                    let most = burst + (to - from) * 1000 / interval;
                    let within = (last - nth) as u64 + 1;
                    prop_assert!(within <= most, "{} in {} us", within, to - from);
                }
            }
        }
        Ok(())
    });
    held.unwrap();
}

#[test]
fn a_redis_whose_clock_is_behind_bars_nobody() {
    let redis = Redis::start();
    let mut connection = redis.connection().unwrap();
    let script = on_a_clock();
    let mut ask = |now: u64| -> bool {
        let mut call = script.prepare_invoke();
        call.key("k")
            .arg(1_000_000_000_u64)
            .arg(2)
            .arg(1)
            .arg(now)
            .arg(0);
        let answer: Vec<u64> = call.invoke(&mut connection).unwrap();
        answer[0] == 1
    };
    assert_eq!([1000, 1000, 1000].map(&mut ask), [true, true, false]);
    // An hour back: full it stays, and flows off as ever, whether or not anything fits.
    assert_eq!(
        [1000 - 900, 1000 - 900, 1000 - 899].map(&mut ask),
        [false, false, true]
    );
}

#[test]
fn a_change_of_limits_gives_nothing_away() {
    let redis = Redis::start();
    let mut connection = redis.connection().unwrap();
    let script = on_a_clock();
    let second = 1_000_000_000_u64;
    // A bucket's interval and burst, drained, and what it lets through by another rate: at once, and a while later.
    for (nth, (before, after, later)) in [
        // A larger burst fills up at its own rate.
        ((second, 20_u64), (second, 200_u64), (10, 10)),
        // Whoever is slowed down has no more than it had.
        ((second / 10, 100), (10 * second, 100), (10, 1)),
        // A smaller one is no larger than it is.
        ((second, 200), (second, 2), (10, 2)),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("bucket-{nth}");
        let mut ask = |(interval, burst): (u64, u64), now: u64| {
            let mut call = script.prepare_invoke();
            call.key(&key).arg(interval).arg(burst).arg(1);
            call.arg(1_800_000_000 + now).arg(0);
            let answer: Vec<u64> = call.invoke(&mut connection).unwrap();
            answer[0] == 1
        };
        while ask(before, 0) {}
        assert!(!ask(after, 0), "{nth}");
        let (wait, wanted) = later;
        let mut through = 0;
        while ask(after, wait) {
            through += 1;
        }
        assert_eq!(through, wanted, "{nth}");
    }
}
