//! What an OCSP answer consists of (RFC 6960 §4.2.1). Nothing of it is verified.

use super::cert_id::CertId;
use super::{BadDer, OcspError, Reader, Revoked, der};
use crate::revocation::Reason;
use crate::revocation::signature::Signed;
use crate::verify::Seconds;

/// Most certificates that one answer is about, and most that come with it: answers are made for
/// one certificate, and come with one or two.
const SINGLES_MAX: usize = 64;
const CERTIFICATES_MAX: usize = 8;

/// `id-pkix-ocsp-basic`, 1.3.6.1.5.5.7.48.1.1
const BASIC_OID: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

/// An answer of the one kind that is in use.
#[derive(Debug)]
pub(super) struct BasicResponse<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) responder: ResponderId<'a>,
    pub(super) singles: Vec<Single<'a>>,
    /// Certificates that should lead from the signature to the issuer, in DER.
    pub(super) certificates: Vec<&'a [u8]>,
}

/// Who answered, by its own word.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResponderId<'a> {
    /// The contents of a Name.
    Name(&'a [u8]),
    /// The SHA-1 of a key.
    Key(&'a [u8]),
}

/// The answer about one certificate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Single<'a> {
    pub(super) id: CertId<'a>,
    pub(super) status: Status,
    pub(super) this_update: i64,
    pub(super) next_update: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    Good,
    Revoked(Revoked),
    Unknown,
}

// === impl BasicResponse ===

impl<'a> BasicResponse<'a> {
    pub(super) fn read(response: &'a [u8]) -> Result<Self, OcspError> {
        let mut outer = Reader::new(response);
        let mut parts = outer.enter(der::SEQUENCE)?;
        outer.end()?;
        check_status(parts.take(der::ENUMERATED)?)?;
        let mut bytes = parts
            .enter(der::context_constructed(0))?
            .enter(der::SEQUENCE)?;
        parts.end()?;
        if bytes.take(der::OID)? != BASIC_OID {
            return Err(OcspError::Malformed);
        }
        let mut basic = Reader::new(bytes.take(der::OCTET_STRING)?);
        bytes.end()?;
        let mut parts = basic.enter(der::SEQUENCE)?;
        basic.end()?;
        let (signed, data) = Signed::read(&mut parts)?;
        let certificates = certificates(&mut parts)?;
        parts.end()?;
        let (responder, singles) = response_data(data)?;
        Ok(Self {
            signed,
            responder,
            singles,
            certificates,
        })
    }
}

fn check_status(code: &[u8]) -> Result<(), OcspError> {
    let status = match code {
        [0] => return Ok(()),
        [1] => "malformedRequest",
        [2] => "internalError",
        [3] => "tryLater",
        [5] => "sigRequired",
        [6] => "unauthorized",
        _ => return Err(OcspError::Malformed),
    };
    Err(OcspError::Unsuccessful { status })
}

fn certificates<'a>(parts: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, BadDer> {
    let mut certificates = Vec::new();
    if let Some(tagged) = parts.take_optional(der::context_constructed(0))? {
        let mut list = Reader::new(tagged).enter(der::SEQUENCE)?;
        while !list.is_empty() && certificates.len() < CERTIFICATES_MAX {
            let (whole, _) = list.take_whole(der::SEQUENCE)?;
            certificates.push(whole);
        }
    }
    Ok(certificates)
}

fn response_data(data: &[u8]) -> Result<(ResponderId<'_>, Vec<Single<'_>>), OcspError> {
    const BY_NAME: u8 = der::context_constructed(1);
    const BY_KEY: u8 = der::context_constructed(2);
    let mut data = Reader::new(data);
    // Only version 1 exists, and DER leaves a default out; some write it all the same.
    if let Some(version) = data.take_optional(der::context_constructed(0))?
        && Reader::new(version).take(der::INTEGER)? != [0]
    {
        return Err(OcspError::Malformed);
    }
    let responder = match data.peek() {
        Some(BY_NAME) => ResponderId::Name(data.enter(BY_NAME)?.take(der::SEQUENCE)?),
        _ => ResponderId::Key(data.enter(BY_KEY)?.take(der::OCTET_STRING)?),
    };
    let _produced_at = data.take_time()?;
    let mut list = data.enter(der::SEQUENCE)?;
    let mut singles = Vec::new();
    while !list.is_empty() {
        if singles.len() == SINGLES_MAX {
            return Err(OcspError::Malformed);
        }
        singles.push(Single::read(&mut list)?);
    }
    check_extensions(data.take_optional(der::context_constructed(1))?)?;
    data.end()?;
    Ok((responder, singles))
}

/// None of the extensions that we know must be understood; whatever is critical is not known.
fn check_extensions(tagged: Option<&[u8]>) -> Result<(), OcspError> {
    let Some(tagged) = tagged else {
        return Ok(());
    };
    let mut list = Reader::new(tagged).enter(der::SEQUENCE)?;
    while !list.is_empty() {
        let mut extension = list.enter(der::SEQUENCE)?;
        extension.take(der::OID)?;
        if extension
            .take_optional(der::BOOLEAN)?
            .is_some_and(|critical| critical != [0])
        {
            return Err(OcspError::CriticalExtension);
        }
    }
    Ok(())
}

// === impl Single ===

impl<'a> Single<'a> {
    fn read(list: &mut Reader<'a>) -> Result<Self, OcspError> {
        let mut parts = list.enter(der::SEQUENCE)?;
        let id = CertId::read(&mut parts)?;
        let status = Status::read(&mut parts)?;
        let this_update = parts.take_time()?;
        let next_update = match parts.take_optional(der::context_constructed(0))? {
            Some(tagged) => Some(Reader::new(tagged).take_time()?),
            None => None,
        };
        check_extensions(parts.take_optional(der::context_constructed(1))?)?;
        parts.end()?;
        Ok(Self {
            id,
            status,
            this_update,
            next_update,
        })
    }
}

// === impl Status ===

impl Status {
    fn read(parts: &mut Reader<'_>) -> Result<Self, BadDer> {
        const GOOD: u8 = der::context(0);
        const REVOKED: u8 = der::context_constructed(1);
        const UNKNOWN: u8 = der::context(2);
        match parts.peek() {
            Some(GOOD) => parts.take(GOOD).map(|_| Self::Good),
            Some(UNKNOWN) => parts.take(UNKNOWN).map(|_| Self::Unknown),
            _ => {
                let mut info = parts.enter(REVOKED)?;
                let at = Seconds(info.take_time()?);
                let reason = match info.take_optional(der::context_constructed(0))? {
                    Some(tagged) => match Reader::new(tagged).take(der::ENUMERATED)? {
                        [code] => Reason::of_code(*code),
                        _ => return Err(BadDer),
                    },
                    None => None,
                };
                info.end()?;
                Ok(Self::Revoked(Revoked { at, reason }))
            }
        }
    }
}
