//! What a link's frames begin with, by its type as the kernel tells it. Nothing is
//! asked of the kernel here.

#![forbid(unsafe_code)]

use nix::libc;

use super::link::Interface;
use crate::bpf::LinkType;

/// `ARPHRD_RAWIP` and `ARPHRD_IP6GRE` of `linux/if_arp.h`, which libc lacks.
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_IP6GRE: u16 = 823;

/// What `ip link` calls the types of links whose frames are neither of Ethernet nor
/// IP, as far as someone may come across them: `ll_type_n2a()` of iproute2.
const OTHERS: [(u16, &str); 14] = [
    (libc::ARPHRD_NETROM, "netrom"),
    (libc::ARPHRD_AX25, "ax25"),
    (libc::ARPHRD_INFINIBAND, "infiniband"),
    (280, "can"),
    (libc::ARPHRD_HDLC, "hdlc"),
    (libc::ARPHRD_IEEE80211, "ieee802.11"),
    (802, "ieee802.11/prism"),
    (803, "ieee802.11/radiotap"),
    (804, "ieee802.15.4"),
    (805, "ieee802.15.4/monitor"),
    (820, "phonet"),
    (824, "netlink"),
    (825, "6lowpan"),
    (826, "vsockmon"),
];

impl Interface {
    /// What its frames begin with, as far as XDP sees them: where a link has no header
    /// of its own, the kernel's drivers set the frame's start to that of the packet.
    /// `None` if they can be parsed as neither.
    pub fn link_type(&self) -> Option<LinkType> {
        match self.hardware {
            // The loopback interface's Ethernet header is of zeros but for its type.
            libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Some(LinkType::Ethernet),
            libc::ARPHRD_NONE
            | libc::ARPHRD_PPP
            | libc::ARPHRD_SLIP
            | libc::ARPHRD_CSLIP
            | libc::ARPHRD_TUNNEL
            | libc::ARPHRD_TUNNEL6
            | libc::ARPHRD_SIT
            | libc::ARPHRD_IPGRE
            | ARPHRD_RAWIP
            | ARPHRD_IP6GRE => Some(LinkType::Ip),
            _ => None,
        }
    }

    /// Its link's type in words: `ARPHRD 801 (ieee802.11)`.
    pub fn hardware_name(&self) -> String {
        let number = self.hardware;
        match OTHERS.iter().find(|other| other.0 == number) {
            Some((_, name)) => format!("ARPHRD {number} ({name})"),
            None => format!("ARPHRD {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_links() {
        let of = |hardware| Interface { hardware, ..Interface::default() };
        for ethernet in [1, 772] {
            assert_eq!(of(ethernet).link_type(), Some(LinkType::Ethernet));
        }
        for ip in [0xfffe, 256, 257, 512, 519, 768, 769, 776, 778, 823] {
            assert_eq!(of(ip).link_type(), Some(LinkType::Ip));
        }
        for (other, name) in OTHERS {
            assert_eq!(of(other).link_type(), None);
            assert_eq!(of(other).hardware_name(), format!("ARPHRD {other} ({name})"));
        }
        assert_eq!((of(777).link_type(), of(777).hardware_name()), (None, "ARPHRD 777".into()));
    }
}
