//! Privacy notices: what a partner tells those whose data it reads.

use std::fmt;
use std::str::FromStr;

/// Where a notice can be read: an absolute https or http URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeAddress(String);

/// The text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an https:// or http:// URL")]
pub struct BadNoticeAddress;

impl FromStr for NoticeAddress {
    type Err = BadNoticeAddress;
    fn from_str(text: &str) -> Result<Self, BadNoticeAddress> {
        match url::Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(Self(text.to_owned())),
            _ => Err(BadNoticeAddress),
        }
    }
}

impl fmt::Display for NoticeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_on_the_web() {
        for good in ["https://acme.example/privacy", "http://acme.example/"] {
            assert_eq!(good.parse::<NoticeAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "acme.example",
            "/privacy",
            "javascript:alert(1)",
            "ftp://acme.example/x",
        ] {
            assert_eq!(bad.parse::<NoticeAddress>(), Err(BadNoticeAddress), "{bad}");
        }
    }
}
