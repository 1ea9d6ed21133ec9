//! Which addresses a delivery may connect to: the guard against server-side request forgery.
//!
//! **Invariant:** a [`ScreenedAddr`] exists only for an address that was checked, and it is the
//! very address to connect to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::endpoint::url::Scheme;

/// What the operator allows.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Networks that are allowed although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// Where plain HTTP may go.
    pub plain_http: PlainHttp,
}

/// Where plain HTTP may go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PlainHttp {
    /// Nowhere.
    Never,
    /// To the networks that the operator allowed.
    #[default]
    AllowedNetworks,
    /// To every address that TLS may go to.
    Always,
}

/// An address that the policy allows. Made by [`AddressPolicy::screen`] only.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ScreenedAddr(SocketAddr);

/// An address that the policy refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("address {ip} is refused: {reason}")]
pub struct EgressDenied {
    /// The address as it was resolved.
    pub ip: IpAddr,
    /// Why.
    pub reason: DenyReason,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DenyReason {
    /// RFC 1918, RFC 4193.
    Private,
    /// RFC 1122 §3.2.1.3, `::1`.
    Loopback,
    /// RFC 3927, RFC 4291 §2.5.6; holds the metadata services of most clouds.
    LinkLocal,
    /// A cloud's metadata service outside link-local.
    Metadata,
    /// RFC 6598.
    SharedCgnat,
    /// RFC 5771, RFC 4291 §2.7.
    Multicast,
    /// `0.0.0.0/8`, `::`.
    Unspecified,
    /// RFC 919.
    Broadcast,
    /// Kept by IANA for documentation, benchmarks, relays or the future.
    Reserved,
    /// Plain HTTP to an address that the operator did not allow for it.
    PlainHttp,
}

// === impl AddressPolicy ===

impl AddressPolicy {
    /// Checks one resolved address. IPv4 inside IPv6 (mapped, NAT64, 6to4, Teredo) is judged as the
    /// IPv4 address that it reaches.
    pub fn screen(&self, addr: SocketAddr, scheme: Scheme) -> Result<ScreenedAddr, EgressDenied> {
        let deny = |reason| EgressDenied {
            ip: addr.ip(),
            reason,
        };
        let effective = embedded_ipv4(addr.ip()).map_or(addr.ip(), IpAddr::V4);
        let allowed = self.allows(addr.ip()) || self.allows(effective);
        if let (false, Some(reason)) = (allowed, refusal(addr.ip())) {
            return Err(deny(reason));
        }
        match (scheme, self.plain_http) {
            (Scheme::Tls, _) | (Scheme::Plain, PlainHttp::Always) => Ok(ScreenedAddr(addr)),
            (Scheme::Plain, PlainHttp::AllowedNetworks) if allowed => Ok(ScreenedAddr(addr)),
            (Scheme::Plain, _) => Err(deny(DenyReason::PlainHttp)),
        }
    }

    /// Whether plain HTTP can be delivered anywhere at all.
    pub fn plain_http_possible(&self) -> bool {
        match self.plain_http {
            PlainHttp::Never => false,
            PlainHttp::AllowedNetworks => !self.allow_networks.is_empty(),
            PlainHttp::Always => true,
        }
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.allow_networks.iter().any(|net| net.contains(&ip))
    }
}

// === impl ScreenedAddr ===

impl ScreenedAddr {
    /// The address to connect to.
    pub fn addr(self) -> SocketAddr {
        self.0
    }
}

// === impl DenyReason ===

impl DenyReason {
    /// Stable name, for metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Metadata => "metadata",
            Self::SharedCgnat => "shared_cgnat",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Broadcast => "broadcast",
            Self::Reserved => "reserved",
            Self::PlainHttp => "plain_http",
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "it is in a private network",
            Self::Loopback => "it is a loopback address",
            Self::LinkLocal => "it is a link-local address",
            Self::Metadata => "it is a cloud's metadata service",
            Self::SharedCgnat => "it is in the shared address space of carriers (RFC 6598)",
            Self::Multicast => "it is a multicast address",
            Self::Unspecified => "it is an unspecified address",
            Self::Broadcast => "it is the broadcast address",
            Self::Reserved => "it is in a reserved network",
            Self::PlainHttp => "plain HTTP is not allowed to it (egress.plain_http)",
        })?;
        match self {
            Self::PlainHttp => Ok(()),
            _ => f.write_str("; an operator can allow its network with egress.allow_networks"),
        }
    }
}

/// The IPv4 address that an IPv6 address stands for, where it does.
fn embedded_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let [a, b, _, _, _, _, g, h] = v6.segments();
    let low = || from_halves(g, h);
    match v6.segments() {
        // ::ffff:0:0/96 (mapped) and the retired ::/96 (compatible, but not :: and ::1).
        [0, 0, 0, 0, 0, 0xffff, _, _] => Some(low()),
        [0, 0, 0, 0, 0, 0, _, _] if g != 0 => Some(low()),
        // ::ffff:0:0:0/96 (translated, RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, _, _] => Some(low()),
        // 64:ff9b::/96 (NAT64, RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(low()),
        // 2002::/16 (6to4, RFC 3056): the address follows the prefix.
        [0x2002, _, c, ..] => Some(from_halves(b, c)),
        // 2001::/32 (Teredo, RFC 4380): the client's address, inverted.
        _ if a == 0x2001 && b == 0 => Some(from_halves(!g, !h)),
        _ => None,
    }
}

fn from_halves(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

fn refusal(ip: IpAddr) -> Option<DenyReason> {
    match (ip, embedded_ipv4(ip)) {
        (IpAddr::V4(v4), _) => refusal_v4(v4),
        // Relays and translators are never a receiver's own address: refused even when what they
        // reach is public, but for the plain mapped form.
        (IpAddr::V6(v6), Some(v4)) if v6.to_ipv4_mapped().is_none() => {
            Some(refusal_v4(v4).unwrap_or(DenyReason::Reserved))
        }
        (IpAddr::V6(_), Some(v4)) => refusal_v4(v4),
        (IpAddr::V6(v6), None) => refusal_v6(v6),
    }
}

fn refusal_v4(ip: Ipv4Addr) -> Option<DenyReason> {
    // 100.100.100.200: Alibaba Cloud; 192.0.0.192: Oracle Cloud; 168.63.129.16: Azure.
    const METADATA: [[u8; 4]; 3] = [[100, 100, 100, 200], [192, 0, 0, 192], [168, 63, 129, 16]];
    const NETS: [([u8; 4], u8, DenyReason); 13] = [
        ([0, 0, 0, 0], 8, DenyReason::Unspecified),
        ([10, 0, 0, 0], 8, DenyReason::Private),
        ([100, 64, 0, 0], 10, DenyReason::SharedCgnat),
        ([127, 0, 0, 0], 8, DenyReason::Loopback),
        ([169, 254, 0, 0], 16, DenyReason::LinkLocal),
        ([172, 16, 0, 0], 12, DenyReason::Private),
        ([192, 0, 0, 0], 24, DenyReason::Reserved),
        ([192, 0, 2, 0], 24, DenyReason::Reserved),
        ([192, 88, 99, 0], 24, DenyReason::Reserved),
        ([192, 168, 0, 0], 16, DenyReason::Private),
        ([198, 18, 0, 0], 15, DenyReason::Reserved),
        ([198, 51, 100, 0], 24, DenyReason::Reserved),
        ([203, 0, 113, 0], 24, DenyReason::Reserved),
    ];
    if METADATA.contains(&ip.octets()) {
        return Some(DenyReason::Metadata);
    }
    if ip.is_broadcast() {
        return Some(DenyReason::Broadcast);
    }
    if ip.is_multicast() {
        return Some(DenyReason::Multicast);
    }
    if ip.octets().first().is_some_and(|first| *first >= 240) {
        return Some(DenyReason::Reserved);
    }
    let within = |net: [u8; 4], length: u8| {
        Ipv4Net::new(net.into(), length).is_ok_and(|net| net.contains(&ip))
    };
    NETS.iter()
        .find(|(net, length, _)| within(*net, *length))
        .map(|(_, _, reason)| *reason)
}

fn refusal_v6(ip: Ipv6Addr) -> Option<DenyReason> {
    const NETS: [([u16; 2], u8, DenyReason); 12] = [
        ([0x0064, 0xff9b], 32, DenyReason::Reserved),
        ([0x0100, 0], 16, DenyReason::Reserved),
        ([0x2001, 0], 23, DenyReason::Reserved),
        ([0x2001, 0x0db8], 32, DenyReason::Reserved),
        ([0x3fff, 0], 20, DenyReason::Reserved),
        ([0x5f00, 0], 16, DenyReason::Reserved),
        ([0xfc00, 0], 7, DenyReason::Private),
        ([0xfe80, 0], 10, DenyReason::LinkLocal),
        ([0xfec0, 0], 10, DenyReason::Private),
        ([0xff00, 0], 8, DenyReason::Multicast),
        ([0x4000, 0], 2, DenyReason::Reserved),
        ([0x8000, 0], 1, DenyReason::Reserved),
    ];
    // fd00:ec2::254 is the metadata service of AWS over IPv6.
    if ip == Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254) {
        return Some(DenyReason::Metadata);
    }
    if ip.is_unspecified() {
        return Some(DenyReason::Unspecified);
    }
    if ip.is_loopback() {
        return Some(DenyReason::Loopback);
    }
    let within = |[a, b]: [u16; 2], length: u8| {
        let net = Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0);
        Ipv6Net::new(net, length).is_ok_and(|net| net.contains(&ip))
    };
    let listed = NETS.iter().find(|(net, length, _)| within(*net, *length));
    // Only 2000::/3 is given out as global unicast (IANA); what is not listed below it is not.
    match listed {
        Some((_, _, reason)) => Some(*reason),
        None if within([0x2000, 0], 3) => None,
        None => Some(DenyReason::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(policy: &AddressPolicy, ip: &str, scheme: Scheme) -> Result<(), DenyReason> {
        let addr = SocketAddr::new(ip.parse().unwrap(), 443);
        let screened = policy
            .screen(addr, scheme)
            .map_err(|denied| denied.reason)?;
        assert_eq!(
            screened.addr(),
            addr,
            "the checked address is the one to use"
        );
        Ok(())
    }

    fn check(ip: &str, expect: Result<(), DenyReason>) {
        assert_eq!(
            verdict(&AddressPolicy::default(), ip, Scheme::Tls),
            expect,
            "{ip}"
        );
    }

    #[test]
    fn public_addresses_pass() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
        ] {
            check(ip, Ok(()));
        }
    }

    #[test]
    fn others_are_refused() {
        use DenyReason as R;
        for (ip, reason) in [
            ("0.0.0.0", R::Unspecified),
            ("0.1.2.3", R::Unspecified),
            ("10.1.2.3", R::Private),
            ("100.64.0.1", R::SharedCgnat),
            ("100.100.100.200", R::Metadata),
            ("127.0.0.1", R::Loopback),
            ("127.255.255.254", R::Loopback),
            ("168.63.129.16", R::Metadata),
            ("169.254.169.254", R::LinkLocal),
            ("172.16.0.1", R::Private),
            ("172.31.255.255", R::Private),
            ("192.0.0.1", R::Reserved),
            ("192.0.0.192", R::Metadata),
            ("192.0.2.1", R::Reserved),
            ("192.88.99.1", R::Reserved),
            ("192.168.1.1", R::Private),
            ("198.18.0.1", R::Reserved),
            ("198.51.100.1", R::Reserved),
            ("203.0.113.1", R::Reserved),
            ("224.0.0.1", R::Multicast),
            ("240.0.0.1", R::Reserved),
            ("255.255.255.255", R::Broadcast),
            ("::", R::Unspecified),
            ("::1", R::Loopback),
            ("::7f00:1", R::Loopback),
            ("::ffff:127.0.0.1", R::Loopback),
            ("::ffff:169.254.169.254", R::LinkLocal),
            ("::ffff:10.0.0.1", R::Private),
            ("::ffff:0:127.0.0.1", R::Loopback),
            ("64:ff9b::10.0.0.1", R::Private),
            ("64:ff9b::8.8.8.8", R::Reserved),
            ("64:ff9b:1::1", R::Reserved),
            ("2002:7f00:1::", R::Loopback),
            ("2002:a00:1::1", R::Private),
            ("2002:808:808::1", R::Reserved),
            ("2001:0:1:2:3:4:80ff:fffe", R::Loopback),
            ("2001:db8::1", R::Reserved),
            ("2001:2::1", R::Reserved),
            ("100::1", R::Reserved),
            ("3fff::1", R::Reserved),
            ("5f00::1", R::Reserved),
            ("fc00::1", R::Private),
            ("fd00:ec2::254", R::Metadata),
            ("fd12::1", R::Private),
            ("fe80::1", R::LinkLocal),
            ("fec0::1", R::Private),
            ("ff02::1", R::Multicast),
            ("4000::1", R::Reserved),
            ("1::1", R::Reserved),
        ] {
            check(ip, Err(reason));
        }
    }

    #[test]
    fn operators_allow_networks() {
        let policy = AddressPolicy {
            allow_networks: vec!["10.1.0.0/16".parse().unwrap(), "fd12::/16".parse().unwrap()],
            plain_http: PlainHttp::AllowedNetworks,
        };
        assert_eq!(verdict(&policy, "10.1.2.3", Scheme::Tls), Ok(()));
        assert_eq!(verdict(&policy, "::ffff:10.1.2.3", Scheme::Tls), Ok(()));
        assert_eq!(
            verdict(&policy, "10.2.2.3", Scheme::Tls),
            Err(DenyReason::Private)
        );
        assert_eq!(verdict(&policy, "fd12::1", Scheme::Plain), Ok(()));
        assert_eq!(
            verdict(&policy, "8.8.8.8", Scheme::Plain),
            Err(DenyReason::PlainHttp)
        );
        assert_eq!(
            verdict(&policy, "10.2.2.3", Scheme::Plain),
            Err(DenyReason::Private)
        );
    }

    #[test]
    fn plain_http_never_and_always() {
        let policy = |plain_http| AddressPolicy {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http,
        };
        let (never, always) = (policy(PlainHttp::Never), policy(PlainHttp::Always));
        assert_eq!(
            verdict(&never, "127.0.0.1", Scheme::Plain),
            Err(DenyReason::PlainHttp)
        );
        assert_eq!(verdict(&always, "8.8.8.8", Scheme::Plain), Ok(()));
        assert_eq!(
            verdict(&always, "10.0.0.1", Scheme::Plain),
            Err(DenyReason::Private)
        );
        assert!(!never.plain_http_possible() && always.plain_http_possible());
    }
}
