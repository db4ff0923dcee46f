//! `GET /{realm}/oauth2/revocations`, as a poll and as Server-Sent Events.

use std::time::Duration;

use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use rand::RngExt;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::Instant as Moment;
use utoipa::ToSchema;

use crate::app::App;
use crate::domain::revocation::RevocationKind;
use crate::http::extract::Follower;
use crate::http::list::Parameters;
use crate::http::problem::{Problem, ProblemView};
use crate::revocation::feed::{Lost, Told};
use crate::revocation::seats::Seat;
use crate::store::revocations;

/// The most entries of one answer.
const PAGE: usize = 1000;
/// The longest that a poll waits.
const LONGEST_WAIT: u64 = 60;
/// How often a stream says that it is alive, and how fresh its news is.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How often a listener looks whether this node still hears its database.
const GLANCE: Duration = Duration::from_secs(1);
/// When listeners are to come back from a process that stops, in milliseconds.
const RETRIES: std::ops::Range<u32> = 50..1000;
/// How soon the second heartbeat follows the first: only a clock that moves is news to whoever comes
/// from another node.
const SECOND_BEAT: Duration = Duration::from_secs(2);

/// A poll's answer.
#[derive(Serialize, ToSchema)]
#[schema(as = RevocationPageView)]
pub struct Poll<'a> {
    /// To be sent as `after` next time.
    cursor: i64,
    /// When this node last heard from the database, in seconds since 1970.
    as_of: i64,
    /// Whether there is more to be had at once.
    more: bool,
    #[schema(value_type = Vec<RevocationView>)]
    entries: Vec<&'a RawValue>,
}

/// A revocation. A token of its subject is dead if its `rsn` is below `seq`; one that a revoked key
/// signed, in any case. Times are in seconds since 1970.
#[derive(Debug, ToSchema)]
#[schema(as = Revocation)]
pub struct RevocationView {
    /// Its number, in the order of commit.
    pub seq: u64,
    pub kind: RevocationKind,
    /// The subject: a `jti`, a `kid`, or an id.
    pub id: String,
    /// The scope, for `grant`; absent otherwise.
    pub scope: Option<String>,
    pub revoked_at: i64,
    /// From then on no token that it concerns can be alive.
    pub expires_at: i64,
}

/// What a heartbeat carries.
#[derive(Serialize)]
struct Heartbeat {
    cursor: i64,
    as_of: i64,
}

/// Tells what was revoked after a cursor; with nothing new it waits for up to `wait` seconds.
#[utoipa::path(
    get, path = "/{realm}/oauth2/revocations", operation_id = "revocations_poll", tag = "revocations",
    params(
        ("after" = Option<u64>, Query, description = "A `cursor` of an earlier answer. Without it: every entry that is alive."),
        ("wait" = Option<u64>, Query, description = "Seconds to wait for news, 0 to 60.", maximum = 60),
    ),
    responses(
        (status = 200, description = "The entries, in order", body = Poll),
        (status = 410, description = "The cursor is too old, or of a feed before this one (`cursor_gone`): start without", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn poll(
    who: Follower,
    request: HttpRequest,
    mut query: Parameters,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let after = query.whole("after")?;
    let wait = query.whole("wait")?.unwrap_or(0);
    query.finish()?;
    if wait > LONGEST_WAIT {
        return Err(Problem::bad_parameter("wait must be from 0 to 60 seconds"));
    }
    let mut news = app.feed.listen(who.realm).ok_or_else(Problem::not_found)?;
    // Whoever has no cursor yet wants one at once, with whatever there is; who asks for the head alone, no news.
    let waits = after.is_some() && request.method() != Method::HEAD;
    let wait = if waits { wait } else { 0 };
    // Whoever is answered at once takes no seat.
    let _seat = (wait > 0).then(|| seat(&app, &who)).transpose()?;
    // No longer than its token lives.
    let lives = who.lives_for(app.clock.now());
    if wait > 0 && lives.is_zero() {
        // Answered at once, it would ask again at once.
        return Err(who.is_over());
    }
    let wait = Duration::from_secs(wait).min(lives);
    let deadline = Moment::now() + wait;
    let after = start(&app, after, deadline).await?;
    loop {
        let (told, cursor) = app.feed.after(who.realm, after, PAGE);
        let waited = told.is_empty() && !woken(&app, &mut news, deadline).await;
        if waited {
            // It may have been revoked meanwhile. Whoever is told something is told that, too.
            who.check(app.clock.now())?;
        }
        if !told.is_empty() || waited {
            let answer = Poll {
                cursor,
                as_of: app.as_of(),
                more: told.len() == PAGE && !app.feed.after(who.realm, cursor, 1).0.is_empty(),
                entries: told.iter().map(|told| &*told.json).collect(),
            };
            return Ok(HttpResponse::Ok().json(answer));
        }
        // Woken, perhaps by a feed that began anew.
        check(&app, after).await?;
    }
}

/// Waits for news until a deadline. `false`: there was none.
async fn woken(app: &App, news: &mut watch::Receiver<i64>, deadline: Moment) -> bool {
    tokio::select! {
        changed = news.changed() => changed.is_ok(),
        () = tokio::time::sleep_until(deadline) => false,
        () = app.feed.closed() => false,
    }
}

/// Tells the same as Server-Sent Events (WHATWG HTML §9.2).
///
/// `revocation` with an entry, `heartbeat`
/// with the cursor and `as_of`. `Last-Event-ID`, or `after`, resumes.
#[utoipa::path(
    get, path = "/{realm}/oauth2/revocations/stream", operation_id = "revocations_stream", tag = "revocations",
    params(
        ("after" = Option<u64>, Query, description = "Where to go on from, for those who cannot send Last-Event-ID."),
        ("Last-Event-ID" = Option<u64>, Header, description = "The id of the last event that came."),
    ),
    responses(
        (status = 200, description = "Events without end: until the token expires or is revoked, or the server stops", body = String, content_type = "text/event-stream"),
        (status = 410, description = "The cursor is too old, or of a feed before this one (`cursor_gone`): start without", body = ProblemView, content_type = "application/problem+json"),
    )
)]
pub async fn stream(
    who: Follower,
    request: HttpRequest,
    mut query: Parameters,
    app: web::Data<App>,
) -> Result<HttpResponse, Problem> {
    let seat = seat(&app, &who)?;
    let after = query.whole("after")?;
    query.finish()?;
    let after = match request.headers().get("last-event-id") {
        None => after,
        Some(id) => Some(last_event_id(id)?),
    };
    let news = app.feed.listen(who.realm).ok_or_else(Problem::not_found)?;
    let cursor = start(&app, after, Moment::now() + HEARTBEAT).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/event-stream");
    // nginx would otherwise gather events before it passes them on.
    answer.insert_header(("X-Accel-Buffering", "no"));
    if request.method() == Method::HEAD {
        // Ended with its head (RFC 9110 §9.3.2): a body that nobody reads would hold seat and connection.
        let nothing = stream::empty::<Result<Bytes, actix_web::Error>>();
        return Ok(answer.streaming(nothing));
    }
    let listener = Listener {
        who,
        app,
        news,
        cursor,
        // At once: whoever connects wants to know how fresh the news is.
        heartbeat: Moment::now(),
        pause: SECOND_BEAT,
        ended: false,
        _seat: seat,
    };
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, actix_web::Error>(event), listener))
    });
    Ok(answer.streaming(Box::pin(events)))
}

/// One who listens to a stream.
struct Listener {
    who: Follower,
    app: web::Data<App>,
    news: watch::Receiver<i64>,
    cursor: i64,
    /// When the next heartbeat is due, and how long after it the one that follows.
    heartbeat: Moment,
    pause: Duration,
    /// Whether its token is good no more, or the process ends.
    ended: bool,
    _seat: Seat,
}

impl Listener {
    /// The next bytes to be sent. `None`: the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // A feed that began anew ends its streams: whoever comes back is told. So does a node that
            // hears nothing: another may.
            if self.ended
                || self.app.feed.check(self.cursor).is_err()
                || self.app.directory.check_news().is_err()
            {
                return None;
            }
            // A revoked or expired token ends its stream, once it has told what was revoked until
            // then: with a signing key, all followers are cut off at once, and must know why.
            self.ended = !self.who.may_go_on(self.app.clock.now());
            let (told, cursor) = self.app.feed.after(self.who.realm, self.cursor, PAGE);
            self.cursor = cursor;
            if !told.is_empty() {
                return Some(revocation_events(&told));
            }
            if self.ended {
                return None;
            }
            if Moment::now() >= self.heartbeat {
                self.heartbeat = Moment::now() + self.pause;
                self.pause = HEARTBEAT;
                return heartbeat_event(cursor, self.app.as_of());
            }
            let end = Moment::now() + self.who.lives_for(self.app.clock.now());
            let wake = self.heartbeat.min(end).min(Moment::now() + GLANCE);
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                () = tokio::time::sleep_until(wake) => {}
                () = self.app.feed.closed() => {
                    // The end is the sign to come back, to another node; not all in one moment.
                    self.ended = true;
                    let pause = rand::rng().random_range(RETRIES);
                    return Some(format!("retry: {pause}\n\n").into());
                }
            }
        }
    }
}

fn revocation_events(told: &[Told]) -> Bytes {
    let events: String = told
        .iter()
        .map(|told| {
            format!(
                "event: revocation\nid: {}\ndata: {}\n\n",
                told.seq, told.json
            )
        })
        .collect();
    events.into()
}

fn heartbeat_event(cursor: i64, as_of: i64) -> Option<Bytes> {
    let data = serde_json::to_string(&Heartbeat { cursor, as_of }).ok()?;
    Some(format!("event: heartbeat\nid: {cursor}\ndata: {data}\n\n").into())
}

fn seat(app: &App, who: &Follower) -> Result<Seat, Problem> {
    app.feed.seat(who.realm, &who.client_id).ok_or_else(|| {
        let detail = "as many listen to revocations as may, or half of those with this client's tokens; try again, or try another node";
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_listeners",
            detail,
        )
        .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    })
}

fn last_event_id(id: &HeaderValue) -> Result<u64, Problem> {
    let number = id.to_str().ok().and_then(|id| id.parse().ok());
    number.ok_or_else(|| Problem::bad_parameter("Last-Event-ID must be the id of an event"))
}

/// Where a listener starts. Without a cursor: before every entry that is alive.
async fn start(app: &App, after: Option<u64>, until: Moment) -> Result<i64, Problem> {
    let Some(after) = after else {
        return Ok(app.feed.oldest());
    };
    let after = i64::try_from(after)
        .map_err(|_| Problem::bad_parameter("after must be a cursor of this feed"))?;
    check(app, after).await?;
    // Another node was ahead of this one, which hears within moments.
    let _ = tokio::time::timeout_at(until, app.feed.reaches(after)).await;
    Ok(after)
}

/// Refuses a cursor from which nobody can be served: whoever has one starts without.
async fn check(app: &App, cursor: i64) -> Result<(), Problem> {
    let gone = |detail| Err(Problem::new(StatusCode::GONE, "cursor_gone", detail));
    match app.feed.check(cursor) {
        Ok(()) => Ok(()),
        Err(Lost::TooOld) => gone("what came after this cursor was forgotten; start without one"),
        Err(Lost::Beyond) => {
            // Only the database knows whether another node is ahead, or the feed began anew.
            if app.store.read(revocations::head).await? < cursor {
                gone("this feed has not come that far; start without a cursor")
            } else {
                Ok(())
            }
        }
    }
}
