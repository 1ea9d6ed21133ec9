//! Takes requests for a developer: verifies them, answers, and hands them on to be shown.

use http::StatusCode;
use tokio::sync::mpsc;

use crate::receiver::transcript::Verification;
use crate::receiver::verify::Verifier;
use crate::receiver::{Arrival, Recipient};

/// Most requests that wait to be shown; with bodies of the largest size this is 128 MiB.
const WAITING_MAX: usize = 64;

/// Verifies, answers and hands on.
#[derive(Debug)]
pub struct Inbox {
    verifier: Option<Verifier>,
    reply: StatusCode,
    entries: mpsc::Sender<Entry>,
}

/// A request with what was made of it.
#[derive(Debug)]
pub struct Entry {
    /// The request.
    pub arrival: Arrival,
    /// Whether it is to be believed.
    pub verification: Verification,
    /// What was answered.
    pub answered: StatusCode,
}

// === impl Inbox ===

impl Inbox {
    /// Verifies with `verifier`, where there is one, and answers `reply` to what is not refused.
    pub fn new(verifier: Option<Verifier>, reply: StatusCode) -> (Self, mpsc::Receiver<Entry>) {
        let (entries, waiting) = mpsc::channel(WAITING_MAX);
        let inbox = Self {
            verifier,
            reply,
            entries,
        };
        (inbox, waiting)
    }
}

impl Recipient for Inbox {
    fn receive(&self, arrival: Arrival) -> StatusCode {
        let verification = match &self.verifier {
            None => Verification::NoKey,
            Some(verifier) => match verifier.verify(&arrival.headers, &arrival.body, arrival.at) {
                Ok(verified) => Verification::Verified(verified),
                Err(error) => Verification::Refused(error),
            },
        };
        let answered = match verification {
            Verification::Refused(_) => StatusCode::UNAUTHORIZED,
            Verification::Verified(_) | Verification::NoKey => self.reply,
        };
        let entry = Entry {
            arrival,
            verification,
            answered,
        };
        match self.entries.try_send(entry) {
            Ok(()) => answered,
            // Nobody would see it: let the sender try again.
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Version};

    use hookseal_domain::time::Timestamp;

    use crate::receiver::verify::VerifyError;

    use super::*;

    fn arrival() -> Arrival {
        Arrival {
            at: Timestamp::from_millis(0),
            remote: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    #[test]
    fn what_nobody_sees_is_not_taken() {
        let (inbox, mut waiting) = Inbox::new(None, StatusCode::CREATED);
        for _ in 0..WAITING_MAX {
            assert_eq!(inbox.receive(arrival()), StatusCode::CREATED);
        }
        assert_eq!(inbox.receive(arrival()), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            waiting.try_recv().unwrap().verification,
            Verification::NoKey
        );
        assert_eq!(inbox.receive(arrival()), StatusCode::CREATED);
    }

    #[test]
    fn what_can_not_be_verified_is_refused() {
        let verifier = Verifier::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (inbox, mut waiting) = Inbox::new(Some(verifier), StatusCode::OK);
        assert_eq!(inbox.receive(arrival()), StatusCode::UNAUTHORIZED);
        let entry = waiting.try_recv().unwrap();
        let missing = Verification::Refused(VerifyError::Missing("webhook-id"));
        assert_eq!(
            (entry.verification, entry.answered),
            (missing, StatusCode::UNAUTHORIZED)
        );
    }
}
