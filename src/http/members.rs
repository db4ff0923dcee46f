//! The members of a JSON body, read one by one so that all faults are told at once.

mod takers;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};

use super::extract::check_again;
use super::problem::{FieldFault, Problem};
use super::{body, json};

/// The members of a JSON object, taken out one by one.
///
/// Each taker notes what is wrong and answers `None`; [`Members::finish`] tells all
/// faults together, those of members that nobody took included; of more than
/// `json::MOST_FAULTS` the first.
pub struct Members {
    members: Map<String, Value>,
    /// The names that were asked for.
    known: Vec<String>,
    faults: Vec<FieldFault>,
}

impl Members {
    /// Reads a JSON object. An empty body is an empty object. Whoever sends it must still be let in when it is there.
    pub async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Problem> {
        let sent = body::bytes(request, payload).await?;
        check_again(request)?;
        Self::of(request, &sent)
    }

    /// The same of a body that was read already.
    pub fn of(request: &HttpRequest, sent: &[u8]) -> Result<Self, Problem> {
        if sent.is_empty() {
            return Ok(Self::within(Map::new()));
        }
        if !body::is(request, "application/json") {
            let detail = "send the body as application/json";
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
        let (value, doubled) = json::read(sent)?;
        let Value::Object(members) = value else {
            return Err(json::not("a JSON object"));
        };
        let mut read = Self::within(members);
        for pointer in doubled {
            read.fault(pointer, "duplicate", json::DOUBLED);
        }
        Ok(read)
    }

    /// An object within a body, whose faults are told with the body's.
    pub fn within(members: Map<String, Value>) -> Self {
        Self {
            members,
            known: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// What was sent, written alike whatever the order of members and the white space were. To be
    /// asked before anything is taken out.
    pub fn canonical(&self) -> String {
        json::canonical(&self.members)
    }

    /// A member as it was sent, left where it is.
    pub fn peek(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Notes what else is wrong, at a pointer.
    pub fn fault(&mut self, pointer: String, code: &'static str, detail: impl Into<String>) {
        if self.faults.len() < json::MOST_FAULTS {
            self.faults.push(FieldFault {
                pointer: json::harmless(pointer),
                code,
                detail: detail.into(),
                row: None,
            });
        }
    }

    /// Takes a member out; `null` counts as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.known.push(name.to_owned());
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Notes what a handler itself finds wrong with a member.
    pub fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.fault(format!("/{name}"), "invalid", detail);
    }

    fn missing(&mut self, name: &str) {
        self.fault(format!("/{name}"), "missing", "must be there");
    }

    /// The values taken from an object within this body. `None`: faults of it were noted.
    pub fn part<T: Taken>(&mut self, name: &str, part: Self, taken: T) -> Option<T::Values> {
        match part.values(taken) {
            Ok(values) => Some(values),
            Err(faults) => {
                let room = json::MOST_FAULTS.saturating_sub(self.faults.len());
                let faults = faults.into_iter().take(room).map(|fault| FieldFault {
                    pointer: format!("/{name}{}", fault.pointer),
                    ..fault
                });
                self.faults.extend(faults);
                None
            }
        }
    }

    /// All the taken values, or all the faults.
    pub fn finish<T: Taken>(self, taken: T) -> Result<T::Values, Problem> {
        let known = (!self.members.is_empty()).then(|| self.known.clone());
        self.values(taken).map_err(|faults| match known {
            Some(known) => Problem::invalid(faults).with("members", known),
            None => Problem::invalid(faults),
        })
    }

    /// The same, for who tells the faults together with others.
    pub fn values<T: Taken>(mut self, taken: T) -> Result<T::Values, Vec<FieldFault>> {
        let unknown = std::mem::take(&mut self.members);
        // To look through names that are not told would only take time.
        for name in unknown.keys().take(json::MOST_FAULTS) {
            let pointer = json::member_pointer(name);
            self.fault(pointer, "unknown", "is not a member of this request");
        }
        match taken.values() {
            Some(values) if self.faults.is_empty() => Ok(values),
            _ => Err(self.faults),
        }
    }
}

/// What the takers of [`Members`] answered, in a tuple.
pub trait Taken {
    /// The tuple with every `Option` opened.
    type Values;
    /// `None`: one of them noted a fault.
    fn values(self) -> Option<Self::Values>;
}

macro_rules! taken {
    ($($name:ident),*) => {
        impl<$($name),*> Taken for ($(Option<$name>,)*) {
            type Values = ($($name,)*);
            #[expect(non_snake_case, reason = "each variable has the name of its type")]
            fn values(self) -> Option<Self::Values> {
                let ($($name,)*) = self;
                Some(($($name?,)*))
            }
        }
    };
}

/// A request without members of its own.
impl Taken for () {
    type Values = ();
    fn values(self) -> Option<()> {
        Some(())
    }
}

taken!(A);
taken!(A, B);
taken!(A, B, C);
taken!(A, B, C, D);
taken!(A, B, C, D, E);
taken!(A, B, C, D, E, F);
taken!(A, B, C, D, E, F, G);
taken!(A, B, C, D, E, F, G, H);
taken!(A, B, C, D, E, F, G, H, I);
taken!(A, B, C, D, E, F, G, H, I, J);
