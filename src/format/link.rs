//! What frames are called that are not IP, and the rest of their lines as text.

#![forbid(unsafe_code)]

use std::fmt::{self, Display, Formatter, Write};

use crate::bpf::{Broken, Carried, Link, Llc};

/// The usual names of EtherTypes, by number: IANA's "IEEE 802 Numbers", in the
/// words that tcpdump and Wireshark use.
#[rustfmt::skip]
const ETHER_TYPES: [(u16, &str); 50] = [
    (0x0800, "IPv4"), (0x0806, "ARP"), (0x0842, "Wake-on-LAN"), (0x22f0, "AVTP"),
    (0x22f3, "TRILL"), (0x4305, "B.A.T.M.A.N."), (0x6003, "DECnet"), (0x6558, "TEB"),
    (0x8035, "RARP"), (0x809b, "AppleTalk"), (0x80f3, "AARP"), (0x8100, "802.1Q"),
    (0x8137, "IPX"), (0x86dd, "IPv6"), (0x8808, "Flow control"), (0x8809, "Slow Protocols"),
    (0x8847, "MPLS unicast"), (0x8848, "MPLS multicast"), (0x8863, "PPPoE D"),
    (0x8864, "PPPoE S"), (0x8870, "Jumbo"), (0x887b, "HomePlug 1.0"), (0x888e, "EAPOL"),
    (0x8892, "PROFINET"), (0x8899, "RRCP"), (0x88a2, "AoE"), (0x88a4, "EtherCAT"),
    (0x88a8, "802.1ad"), (0x88b8, "GOOSE"), (0x88ba, "Sampled Values"), (0x88c7, "Preauth"),
    (0x88cc, "LLDP"), (0x88cd, "SERCOS III"), (0x88e1, "HomePlug AV"), (0x88e3, "MRP"),
    (0x88e5, "MACsec"), (0x88e7, "802.1ah"), (0x88f5, "MVRP"), (0x88f6, "MMRP"),
    (0x88f7, "PTP"), (0x88fb, "PRP"), (0x8902, "CFM"), (0x8906, "FCoE"), (0x890d, "TDLS"),
    (0x8914, "FIP"), (0x8915, "RoCE"), (0x892f, "HSR"), (0x893a, "IEEE 1905"),
    (0x894f, "NSH"), (0x9000, "Loopback"),
];

/// Access points of IEEE 802.2, likewise, without the bit that tells a group from
/// one, or an answer from a command.
const ACCESS_POINTS: [(u8, &str); 8] = [
    (0x00, "Null"),
    (0x06, "IP"),
    (0x42, "STP"),
    (0xaa, "SNAP"),
    (0xe0, "IPX"),
    (0xf0, "NetBIOS"),
    (0xfe, "ISO"),
    (0xf4, "LAN Manager"),
];

/// What an EtherType is called, if it has a name.
pub fn ether_type(number: u16) -> Option<&'static str> {
    ETHER_TYPES.iter().find(|known| known.0 == number).map(|known| known.1)
}

fn access_point(number: u8) -> &'static str {
    let known = ACCESS_POINTS.iter().find(|known| known.0 == number & !1);
    known.map_or("Unknown", |known| known.1)
}

/// A MAC address: `02:00:00:00:00:0b`.
#[derive(Clone, Copy)]
pub struct Mac(pub [u8; 6]);

impl Display for Mac {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(out, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Source and destination MAC address of a frame that begins with Ethernet's header,
/// if so much of it is there.
pub fn macs_in(bytes: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    let &[a, b, c, d, e, f, ref source @ ..] = bytes.first_chunk::<12>()?;
    Some((*source, [a, b, c, d, e, f]))
}

/// `ethertype LLDP (0x88cc)`.
struct Named(u16);

impl Display for Named {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "ethertype {} (0x{:04x})", ether_type(self.0).unwrap_or("Unknown"), self.0)
    }
}

/// The longest of [`text`].
pub const MAX_TEXT: usize = "00:00:00:00:00:00 > 00:00:00:00:00:00, 802.3, \
    LLC dsap LAN Manager (0x00) ssap LAN Manager (0x00) ctrl 0x00"
    .len();

/// All of a line between the verdict and what every line ends with, in tcpdump's
/// manner: `ARP, Request who-has 10.0.0.1 tell 10.0.0.2`.
pub fn text(link: &Link, out: &mut impl Write) -> fmt::Result {
    let carried = link.carried();
    match carried {
        Carried::Arp { op: 1, sender, target, .. } => {
            return write!(out, "ARP, Request who-has {target} tell {sender}");
        }
        Carried::Arp { op: 2, sender, sender_mac, .. } => {
            return write!(out, "ARP, Reply {sender} is-at {}", Mac(sender_mac));
        }
        Carried::Arp { op, sender, target, .. } => {
            return write!(out, "ARP, op {op}, {sender} > {target}");
        }
        _ => {}
    }
    // Without addresses of their own.
    if let Some((from, to)) = link.macs() {
        write!(out, "{} > {}, ", Mac(from), Mac(to))?;
    }
    match carried {
        Carried::Llc(None) => out.write_str("802.3"),
        Carried::Llc(Some(Llc { dsap, ssap, control })) => write!(
            out,
            "802.3, LLC dsap {} (0x{dsap:02x}) ssap {} (0x{ssap:02x}) ctrl 0x{control:02x}",
            access_point(dsap),
            access_point(ssap)
        ),
        // Nobody said that it is IP: the link has nothing but IP.
        Carried::Ip(Broken::Version(version)) if link.ether_type().is_none() => {
            write!(out, "unknown ip {version}")
        }
        Carried::Ip(broken) => {
            match link.ether_type() {
                Some(number) => write!(out, "{}, ", Named(number))?,
                None => out.write_str("IP, ")?,
            }
            match broken {
                Broken::CutV4 => out.write_str("truncated-ip"),
                Broken::CutV6 => out.write_str("truncated-ip6"),
                Broken::Length(bytes) => write!(out, "bad-hlen {bytes}"),
                Broken::Version(version) => write!(out, "bad-version {version}"),
            }
        }
        Carried::Other(number) => write!(out, "{}", Named(number)),
        Carried::Nothing | Carried::Arp { .. } => out.write_str("[|ether]"),
    }
}

/// The longest of [`json`].
pub const MAX_JSON: usize = ",\"ethertype\":\"MPLS multicast\",\"src_mac\":\"00:00:00:00:00:00\",\
    \"dst_mac\":\"00:00:00:00:00:00\",\"arp_op\":\"request\",\"sender\":\"255.255.255.255\",\
    \"target\":\"255.255.255.255\""
    .len();

/// The keys of an object between the verdict and the length.
pub fn json(link: &Link, out: &mut impl Write) -> fmt::Result {
    let Some((from, to)) = link.macs() else { return Ok(()) };
    out.write_str(",\"ethertype\":\"")?;
    match link.ether_type() {
        None => out.write_str("802.3")?,
        Some(number) => match ether_type(number) {
            Some(name) => out.write_str(name)?,
            None => write!(out, "0x{number:04x}")?,
        },
    }
    write!(out, r#"","src_mac":"{}","dst_mac":"{}""#, Mac(from), Mac(to))?;
    match link.carried() {
        Carried::Arp { op, sender, target, .. } => {
            match op {
                1 => out.write_str(",\"arp_op\":\"request\"")?,
                2 => out.write_str(",\"arp_op\":\"reply\"")?,
                _ => write!(out, ",\"arp_op\":\"{op}\"")?,
            }
            write!(out, r#","sender":"{sender}","target":"{target}""#)
        }
        Carried::Llc(Some(Llc { dsap, ssap, .. })) => {
            write!(out, r#","dsap":{dsap},"ssap":{ssap}"#)
        }
        _ => Ok(()),
    }
}
