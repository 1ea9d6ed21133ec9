//! The events that the demo publishes: JSON lines, read as strictly as the API reads messages.

use serde::Deserialize;
use serde_json::value::RawValue;

use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::violation::Violation;

/// The events that come with the program.
pub const SAMPLE: &str = include_str!("../../../../examples/events.jsonl");

/// Longest events file: it is held in memory.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most events of a file: the demo waits for each and looks at all attempts.
const EVENTS_MAX: usize = 1000;

/// One thing that happened.
#[derive(Debug)]
pub struct Event {
    /// What kind of thing.
    pub event_type: EventTypeName,
    /// The facts: a JSON object, byte for byte as it was given.
    pub payload: Box<RawValue>,
}

/// The events can't be published.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// Nothing to do.
    #[error("there are no events")]
    None,
    /// Too much to hold.
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Too many to show.
    #[error("line {line}: there are more than {EVENTS_MAX} events")]
    TooMany {
        /// The first one too many.
        line: usize,
    },
    /// Not UTF-8.
    #[error("line {line}: is not UTF-8")]
    NotText {
        /// The first such line.
        line: usize,
    },
    /// A line that is no event.
    #[error("line {line}: {problem}")]
    Line {
        /// Which one, from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum LineProblem {
    /// No JSON, or other fields.
    #[error(
        "{message} (column {column}); an event is \
         {{\"eventType\": \"invoice.paid\", \"payload\": {{…}}}}"
    )]
    Json {
        /// What the parser says.
        message: String,
        /// Where, from 1.
        column: usize,
    },
    /// The name is not one.
    #[error("eventType {}", .0.message)]
    EventType(Violation),
    /// Valid JSON, but no object.
    #[error("payload must be a JSON object")]
    Payload,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Line {
    event_type: String,
    payload: Box<RawValue>,
}

/// Reads a whole file; blank lines are skipped.
pub fn parse(bytes: &[u8]) -> Result<Vec<Event>, EventsError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(EventsError::TooLarge);
    }
    let mut events = Vec::new();
    for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let text = str::from_utf8(bytes).map_err(|_| EventsError::NotText { line: number })?;
        // Editors of another system may begin a file with a byte order mark.
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        if events.len() == EVENTS_MAX {
            return Err(EventsError::TooMany { line: number });
        }
        let event = event(text).map_err(|problem| EventsError::Line {
            line: number,
            problem,
        })?;
        events.push(event);
    }
    if events.is_empty() {
        return Err(EventsError::None);
    }
    Ok(events)
}

fn event(text: &str) -> Result<Event, LineProblem> {
    let Line {
        event_type,
        payload,
    } = serde_json::from_str(text).map_err(|error| {
        // The parser counts lines too, but was shown only one.
        let message = error.to_string();
        let message = message
            .rsplit_once(" at line ")
            .map_or(&*message, |(m, _)| m);
        LineProblem::Json {
            message: message.to_owned(),
            column: error.column(),
        }
    })?;
    if !payload.get().starts_with('{') {
        return Err(LineProblem::Payload);
    }
    Ok(Event {
        event_type: EventTypeName::parse(&event_type).map_err(LineProblem::EventType)?,
        payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_well_formed() {
        let events = parse(SAMPLE.as_bytes()).unwrap();
        assert!((8..=20).contains(&events.len()), "{}", events.len());
    }

    #[test]
    fn payloads_stay_as_they_are() {
        let text = "\u{feff}{\"payload\": {\"b\": 1.0,  \"a\": 1e2}, \"eventType\": \"a.b\"}\r\n\n";
        let events = parse(text.as_bytes()).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].payload.get(), "{\"b\": 1.0,  \"a\": 1e2}");
        assert_eq!(events[0].event_type.as_str(), "a.b");
    }

    fn check(text: &[u8], expect: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    }

    #[test]
    fn bad_lines_are_named() {
        let good = r#"{"eventType":"a","payload":{}}"#;
        check(b" \n\n", "there are no events");
        check(format!("{good}\n\nnonsense").as_bytes(), "line 3: expected");
        check(br#"{"eventType":"a"}"#, "line 1: missing field `payload`");
        check(
            br#"{"eventType":"a","payload":[]}"#,
            "line 1: payload must be",
        );
        check(br#"{"eventType":"a b","payload":{}}"#, "line 1: eventType ");
        check(
            br#"{"eventType":"a","payload":{},"x":1}"#,
            "line 1: unknown field `x`",
        );
        check(b"{}\n\xff", "line 1: missing field `eventType`");
        check(
            format!("{good}\n\u{e9}").as_bytes(),
            "line 2: expected value",
        );
        check(
            &[good.as_bytes(), b"\n\xff"].concat(),
            "line 2: is not UTF-8",
        );
        let many = format!("{good}\n").repeat(EVENTS_MAX + 1);
        check(many.as_bytes(), "line 1001: there are more than 1000");
        check(&vec![b' '; FILE_BYTES_MAX + 1], "the file is larger");
    }
}
