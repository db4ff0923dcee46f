//! Bodies that were not read to their end before the answer.
//!
//! A body that says its length ends its connection then. One in chunks would be read on and thrown away, a chunk
//! a second for ever if it comes so, as soon as nobody holds it. So the answer holds it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use futures_util::Stream;

/// A request's body, read by whoever has the request, and alive for as long as this is.
#[derive(Clone)]
pub(super) struct Kept(Rc<RefCell<Payload>>);

impl Stream for Kept {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// Takes a share in a body that comes in chunks. `None`: there is none.
pub(super) fn keep(request: &mut ServiceRequest) -> Option<Kept> {
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let kept = Kept(Rc::new(RefCell::new(request.take_payload())));
    request.set_payload(Payload::Stream {
        payload: Box::pin(kept.clone()),
    });
    Some(kept)
}

/// Has an answer hold what was kept until it is sent.
pub(super) fn hold<B>(answer: ServiceResponse<B>, kept: Option<Kept>) -> ServiceResponse<Held<B>> {
    answer.map_body(|_, body| Held { body, _kept: kept })
}

/// An answer's body, and the request's.
pub(super) struct Held<B> {
    body: B,
    _kept: Option<Kept>,
}

impl<B: MessageBody + Unpin> MessageBody for Held<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, B::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, _kept } = self;
        body.try_into_bytes().map_err(|body| Self { body, _kept })
    }
}
