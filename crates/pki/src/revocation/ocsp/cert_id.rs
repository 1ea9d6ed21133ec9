//! How OCSP names a certificate: by hashes of its issuer's name and key, and its serial number
//! (RFC 6960 §4.1.1).

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

use super::{BadDer, Link, Reader, der};

/// The hashes that an answer may name a certificate by, with the contents of their identifiers.
static HASHES: [(&[u8], &Algorithm); 4] = [
    (SHA1_OID, &SHA1_FOR_LEGACY_USE_ONLY),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1], &SHA256),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2], &SHA384),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3], &SHA512),
];
/// 1.3.14.3.2.26
const SHA1_OID: &[u8] = &[0x2b, 14, 3, 2, 26];

/// A certificate's name in OCSP.
#[derive(Clone, Copy, Debug)]
pub(super) struct CertId<'a> {
    hash_oid: &'a [u8],
    issuer_name_hash: &'a [u8],
    issuer_key_hash: &'a [u8],
    serial: &'a [u8],
}

// === impl CertId ===

impl<'a> CertId<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, BadDer> {
        let mut parts = reader.enter(der::SEQUENCE)?;
        let hash_oid = parts.enter(der::SEQUENCE)?.take(der::OID)?;
        let id = Self {
            hash_oid,
            issuer_name_hash: parts.take(der::OCTET_STRING)?,
            issuer_key_hash: parts.take(der::OCTET_STRING)?,
            serial: parts.take(der::INTEGER)?,
        };
        parts.end()?;
        Ok(id)
    }

    /// Whether it names this certificate of this issuer.
    pub(super) fn names(&self, link: &Link) -> bool {
        let known = HASHES.iter().find(|(oid, _)| *oid == self.hash_oid);
        let (Some((_, hash)), Some(key)) = (known, link.issuer.key_bits()) else {
            return false;
        };
        self.serial == link.serial
            && self.issuer_name_hash == digest(hash, &link.issuer.name_der()).as_ref()
            && self.issuer_key_hash == digest(hash, key).as_ref()
    }

    /// Names a certificate, by SHA-1.
    pub(super) fn write(link: &Link) -> Option<Vec<u8>> {
        let sha1 = |bytes: &[u8]| {
            let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
            der::write(der::OCTET_STRING, &[hash.as_ref()])
        };
        let oid = der::write(der::OID, &[SHA1_OID]);
        let null = der::write(der::NULL, &[]);
        Some(der::write(
            der::SEQUENCE,
            &[
                &der::write(der::SEQUENCE, &[&oid, &null]),
                &sha1(&link.issuer.name_der()),
                &sha1(link.issuer.key_bits()?),
                &der::write(der::INTEGER, &[&link.serial]),
            ],
        ))
    }
}
