//! What bodies and queries of the admin API name.

use crate::domain::realm::Realm;

/// An environment: a realm of partners.
pub(crate) struct Named(pub(crate) Realm);

impl std::str::FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = text
            .parse()
            .ok()
            .filter(|realm: &Realm| realm.is_environment());
        known.map(Self).ok_or("must be one of sandbox, live")
    }
}
