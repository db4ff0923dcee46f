//! Rates that several nodes share, in Redis or Valkey: one round trip a decision, by an atomic script.
//!
//! It says nothing of partners and limits: see `sharing`.
//!
//! No request waits for it longer than [`WAIT`], and while it is away none waits at all: a decision that gets no
//! answer lets go of the connection, and only the watcher makes another. Meanwhile there is no
//! decision here, and a node goes by its share. One that is late now and then is not taken up at each good answer,
//! or requests would wait in vain again and again: see [`Shared::watch`].

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::telemetry::{observe, telemetry};

/// How long a request waits for a decision.
pub const WAIT: Duration = Duration::from_millis(40);
/// How long the watcher waits for a connection, and for an answer on it.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the watcher looks whether a connection still answers.
const LOOK: Duration = Duration::from_millis(500);
/// How long it waits before it tries again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How many decisions in a row a new connection answers in time before requests ask on it.
const TRIALS: u32 = 5;
/// How long a connection holds before Redis is called back.
const STEADY: Duration = Duration::from_secs(5);

const SCRIPT: &str = include_str!("gcra.lua");

/// A Redis or Valkey.
pub struct Shared {
    client: Client,
    script: Script,
    /// What keys begin with: installations that use one Redis do not meet.
    prefix: String,
    /// `None`: it is away.
    connection: ArcSwapOption<MultiplexedConnection>,
    lost: Notify,
    /// Why the last connection was let go.
    why: Mutex<String>,
}

/// A bucket and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name among those of the same tenant.
    pub name: String,
    /// How long one request takes to flow off: the time of a rate's period by its requests.
    pub interval: Duration,
    /// How many fit in.
    pub burst: u32,
    /// How many are asked for; 0 only looks.
    pub cost: u32,
}

/// How a bucket stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// How many more there is room for.
    pub left: u32,
    /// How long until it is empty, and its whole burst is there.
    pub empty_in: Duration,
    /// How long until there is room for what was asked for; zero: there is, or was.
    pub room_in: Duration,
    /// How long until there is room for one; zero: there is.
    pub next_in: Duration,
}

/// What was decided about all buckets together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub admitted: bool,
    /// In the order of asking.
    pub levels: Vec<Level>,
}

impl Shared {
    /// One at a URL, for the installation of this name. Nothing is connected yet: see [`Shared::watch`].
    pub fn at(url: &str, installation: &str) -> Result<Self, RedisError> {
        let hash = digest(&SHA256, installation.as_bytes());
        let first = hash.as_ref().get(..4).unwrap_or_default();
        telemetry().rates.shared.set(0.0);
        Ok(Self {
            client: Client::open(url)?,
            script: Script::new(SCRIPT),
            prefix: format!("onyx:{}", crate::keys::hex(first)),
            connection: ArcSwapOption::empty(),
            lost: Notify::new(),
            why: Mutex::default(),
        })
    }

    /// Whether it answered last.
    pub fn is_there(&self) -> bool {
        self.connection.load().is_some()
    }

    /// Decides about all of a request's buckets at once: all are charged, or none is. `None`: it is away.
    ///
    /// `whose` the buckets are goes into every key between braces, so that a cluster keeps them together.
    pub async fn decide(&self, whose: &str, buckets: &[Bucket]) -> Option<Verdict> {
        let connection = self.connection.load_full()?;
        let started = Instant::now();
        let answer = timeout(WAIT, self.ask(&connection, whose, buckets)).await;
        observe(&telemetry().rates.duration, started.elapsed());
        let why = match answer {
            Ok(Ok(answer)) => match read(&answer, buckets) {
                Some(verdict) => return Some(verdict),
                None => "an answer that is none".to_owned(),
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", WAIT.as_millis()),
        };
        self.let_go(&connection, why);
        None
    }

    async fn ask(
        &self,
        connection: &MultiplexedConnection,
        whose: &str,
        buckets: &[Bucket],
    ) -> Result<Vec<i64>, RedisError> {
        let mut call = self.script.prepare_invoke();
        for bucket in buckets {
            call.key(format!("{}:{{{whose}}}:{}", self.prefix, bucket.name))
                .arg(nanos(bucket.interval))
                .arg(bucket.burst)
                .arg(bucket.cost);
        }
        call.invoke_async(&mut connection.clone()).await
    }

    /// Lets go of a connection, and has the watcher make another. Of many who notice one does it.
    fn let_go(&self, connection: &Arc<MultiplexedConnection>, why: String) {
        let held = self.connection.compare_and_swap(connection, None);
        if held
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, connection))
        {
            telemetry().rates.shared.set(0.0);
            telemetry().rates.lost.inc();
            log::debug!("shared rates: a connection was let go: {why}");
            *self.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
            self.lost.notify_one();
        }
    }

    /// Keeps a connection, until it is stopped. What is away is said once, and that it is back.
    ///
    /// Only one that holds for a while is a return. Of others each is tried for later than the one before, so that a
    /// Redis that answers in about the time that requests wait for it neither fills the log nor has each of them wait.
    pub async fn watch(self: Arc<Self>) {
        let (mut is_away, mut pause, mut made) = (false, Duration::ZERO, Instant::now());
        loop {
            if let Some(connection) = self.connection.load_full() {
                if self.still_answers(&connection).await && made.elapsed() >= STEADY {
                    if is_away {
                        log::info!("Redis is back: nodes share rates again");
                    }
                    (is_away, pause) = (false, Duration::ZERO);
                }
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            match self.take_up().await {
                Ok(connection) => {
                    self.connection.store(Some(Arc::new(connection)));
                    telemetry().rates.shared.set(1.0);
                    made = Instant::now();
                }
                Err(error) => {
                    if !is_away {
                        self.say_away(&error);
                    }
                    is_away = true;
                }
            }
        }
    }

    /// Waits for the next look at a connection, or until somebody lets go of it; answers whether it answers then.
    async fn still_answers(&self, connection: &Arc<MultiplexedConnection>) -> bool {
        if timeout(LOOK, self.lost.notified()).await.is_ok() {
            return false;
        }
        // On a node without requests nobody else would notice.
        let why = match timeout(PATIENCE, self.probe(connection)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        self.let_go(connection, why);
        false
    }

    fn say_away(&self, error: &RedisError) {
        let before = self.why.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if before.is_empty() {
            "nothing yet"
        } else {
            before.as_str()
        };
        log::warn!(
            "Redis is away ({error}; before that: {before}): this node goes by its share of the rates"
        );
    }

    /// A connection for requests: one that is in time by luck is not.
    async fn take_up(&self) -> Result<MultiplexedConnection, RedisError> {
        let connection = self.connect().await?;
        for _ in 1..TRIALS {
            self.try_out(&connection).await?;
        }
        Ok(connection)
    }

    /// A connection on which decisions can be made: tried with one, since a Redis may answer that takes no writes.
    pub async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = &self.client;
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        self.script.load_async(&mut connection.clone()).await?;
        self.try_out(&connection).await?;
        Ok(connection)
    }

    /// Makes a decision of its own. One that answers too late for requests is as good as none.
    async fn try_out(&self, connection: &MultiplexedConnection) -> Result<(), RedisError> {
        match timeout(WAIT, self.probe(connection)).await {
            Ok(answered) => answered,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    /// The policy by which it forgets what it was told to keep, where it may say so and has one.
    pub async fn evicts(mut connection: MultiplexedConnection) -> Option<String> {
        let asked = redis::cmd("INFO").arg("memory").to_owned();
        let told: String = asked.query_async(&mut connection).await.ok()?;
        let policy = told
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))?;
        (policy.trim() != "noeviction").then(|| policy.trim().to_owned())
    }

    async fn probe(&self, connection: &MultiplexedConnection) -> Result<(), RedisError> {
        let bucket = Bucket {
            name: "probe".to_owned(),
            interval: Duration::from_millis(1),
            burst: 1,
            cost: 1,
        };
        self.ask(connection, "onyx", &[bucket]).await.map(|_| ())
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// What the script answered: whether there was room, and the level of each bucket in nanoseconds.
fn read(answer: &[i64], buckets: &[Bucket]) -> Option<Verdict> {
    let (admitted, levels) = answer.split_first()?;
    if levels.len() != buckets.len() {
        return None;
    }
    let admitted = *admitted == 1;
    let level = |(level, bucket): (&i64, &Bucket)| {
        let level = u64::try_from(*level).ok()?;
        let interval = nanos(bucket.interval).max(1);
        let room = (interval * u64::from(bucket.burst)).saturating_sub(level);
        let wanted = interval * u64::from(bucket.cost);
        let missing = if admitted {
            0
        } else {
            wanted.saturating_sub(room)
        };
        Some(Level {
            left: u32::try_from(room / interval).ok()?,
            empty_in: Duration::from_nanos(level),
            room_in: Duration::from_nanos(missing),
            next_in: Duration::from_nanos(interval.saturating_sub(room)),
        })
    };
    let levels = levels.iter().zip(buckets).map(level);
    Some(Verdict {
        admitted,
        levels: levels.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(cost: u32) -> Bucket {
        Bucket {
            name: "all".to_owned(),
            interval: Duration::from_nanos(10),
            burst: 5,
            cost,
        }
    }

    #[test]
    fn an_answer_is_read_with_what_was_asked() {
        let two = [bucket(1), bucket(2)];
        let level = |left, empty_in, room_in, next_in| Level {
            left,
            empty_in: Duration::from_nanos(empty_in),
            room_in: Duration::from_nanos(room_in),
            next_in: Duration::from_nanos(next_in),
        };
        let verdict = read(&[1, 10, 50], &two).unwrap();
        assert_eq!(
            (verdict.admitted, verdict.levels),
            (true, vec![level(4, 10, 0, 0), level(0, 50, 0, 10)])
        );
        let verdict = read(&[0, 40, 41], &two).unwrap();
        assert_eq!(
            (verdict.admitted, verdict.levels),
            (false, vec![level(1, 40, 0, 0), level(0, 41, 11, 1)])
        );
        for bad in [&[][..], &[1], &[1, 2], &[1, 2, 3, 4], &[1, -1, 0]] {
            assert_eq!(read(bad, &two), None, "{bad:?}");
        }
    }

    #[test]
    fn a_redis_is_named_by_a_url() {
        for good in [
            "redis://cache:6379",
            "rediss://u:p@cache/1",
            "valkey://cache",
            "unix:///run/redis.sock",
        ] {
            assert!(Shared::at(good, "https://a.example").is_ok(), "{good}");
        }
        assert!(Shared::at("http://cache", "https://a.example").is_err());
        let prefix = |name| Shared::at("redis://cache", name).unwrap().prefix;
        assert_ne!(prefix("https://a.example"), prefix("https://b.example"));
    }
}
