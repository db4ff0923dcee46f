//! Server-Sent Events, as far as the revocation feed needs them (WHATWG HTML §9.2).

/// The longest that an event may be: an entry takes some 300 bytes.
const LONGEST: usize = 64 * 1024;

/// An event that came whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// `event:`; empty where it was not sent.
    pub(crate) kind: String,
    /// `data:`, lines joined.
    pub(crate) data: String,
}

/// An event is longer than any that the feed sends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Takes bytes as they come and gives events as they end.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Reader {
    /// The events that these bytes end, in order.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() + self.event.data.len() >= LONGEST {
                    return Err(TooLong);
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(&line);
            if let Some(event) = self.take(line.trim_end_matches('\r')) {
                events.push(event);
            }
        }
        Ok(events)
    }

    fn take(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            // `id` is in the data too; comments and unknown fields are passed over.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.to_owned(),
        }
    }

    #[test]
    fn events_come_whole_however_the_bytes_are_cut() {
        let stream =
            b": hello\n\nevent: revocation\nid: 7\ndata: {\"seq\":7}\n\ndata:a\r\ndata: b\r\n\r\n";
        let expected = [event("revocation", "{\"seq\":7}"), event("", "a\nb")];
        for size in 1..stream.len() {
            let mut reader = Reader::default();
            let events: Vec<Event> = stream
                .chunks(size)
                .flat_map(|chunk| reader.feed(chunk).expect("short events"))
                .collect();
            assert_eq!(events, expected, "{size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut reader = Reader::default();
        assert_eq!(reader.feed(&vec![b'a'; LONGEST + 1]), Err(TooLong));
    }
}
