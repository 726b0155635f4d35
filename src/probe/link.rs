//! The table of links of the network namespace that this thread is in, as
//! rtnetlink tells it. Nothing is changed here, and nobody is advised.

#![forbid(unsafe_code)]

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use nix::libc;

use super::netlink::{attributes, dump, number, text};
use super::sys;

/// A network interface, as it was when the table was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name, at most 15 bytes (`IFNAMSIZ` of `linux/if.h`). What is not UTF-8
    /// is a `?`.
    pub name: String,
    /// Its index, positive.
    pub index: u32,
    /// Other names that it goes by, up to 127 bytes each (`ALTIFNAMSIZ`).
    pub alt_names: Vec<String>,
    /// What its frames begin with: `ARPHRD_*` of `linux/if_arp.h`.
    pub hardware: u16,
    /// `IFF_*` of `linux/if.h`.
    pub flags: u32,
    /// The largest packet behind the link's header, in bytes.
    pub mtu: u32,
    /// What kind of virtual interface it is, such as `veth`, `tun`, `wireguard`.
    /// Others than virtual ones have none.
    pub kind: Option<String>,
    /// The XDP programs that are on it.
    pub xdp: Vec<Attached>,
}

/// An XDP program that is on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Where it runs.
    pub place: Place,
    /// Its id, as `bpftool prog show id` takes it.
    pub id: u32,
}

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the driver.
    Native,
    /// Behind it, in the kernel's stack.
    Generic,
    /// In the device.
    Hardware,
}

impl Interface {
    /// All interfaces of this thread's network namespace, by their indices.
    pub fn all() -> io::Result<Vec<Interface>> {
        Interface::all_in(None)
    }

    /// The same of another namespace, by the number that this one has for it.
    pub(super) fn all_in(namespace: Option<i32>) -> io::Result<Vec<Interface>> {
        let body = request(namespace);
        let links = dump(NETLINK_ROUTE, libc::RTM_GETLINK, libc::RTM_NEWLINK, &body)?;
        let mut all: Vec<Interface> = links.iter().filter_map(|payload| link(payload)).collect();
        all.sort_by_key(|iface| iface.index);
        Ok(all)
    }

    /// Whether someone set it up; no frame arrives before.
    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    /// Whether its link has a carrier, too.
    pub fn is_running(&self) -> bool {
        self.flags & libc::IFF_RUNNING as u32 != 0
    }

    /// Whether `name` is one of its names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alt_names.iter().any(|alt| alt == name)
    }

    /// Its features that are on, by the names that `ethtool -k` has; none where the
    /// kernel tells none.
    pub fn features(&self) -> Vec<String> {
        sys::features(&self.name).unwrap_or_default()
    }

    /// Its driver's name, such as `e1000e`; `None` where the kernel tells none.
    /// Not by way of /sys, which shows the namespace that it was mounted in.
    pub fn driver(&self) -> Option<String> {
        sys::driver(&self.name).ok().filter(|driver| !driver.is_empty())
    }
}

/// `struct ifinfomsg` of `linux/rtnetlink.h`: family, padding, type in two bytes,
/// index, flags, changed flags.
const IFINFOMSG: usize = 16;

/// Ask for all links, without their statistics (rtnetlink(7)).
fn request(namespace: Option<i32>) -> Vec<u8> {
    let mut body = vec![0; IFINFOMSG];
    let mut attribute = |kind: u16, value: i32| {
        // Its length with the header, its type, its value.
        body.extend(8u16.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value.to_ne_bytes());
    };
    attribute(libc::IFLA_EXT_MASK, libc::RTEXT_FILTER_SKIP_STATS);
    if let Some(namespace) = namespace {
        attribute(libc::IFLA_TARGET_NETNSID, namespace);
    }
    body
}

/// `struct rtgenmsg` of `linux/rtnetlink.h`: family, and padding behind it.
const RTGENMSG: usize = 4;
/// `NETNSA_NSID` of `linux/net_namespace.h`.
const NETNSA_NSID: u16 = 1;

/// The numbers that this thread's network namespace has for others: for each that
/// an interface was moved to, among them.
pub(super) fn namespaces() -> io::Result<Vec<i32>> {
    let all = dump(NETLINK_ROUTE, libc::RTM_GETNSID, libc::RTM_NEWNSID, &[0; RTGENMSG])?;
    let id = |payload: &Vec<u8>| {
        let found = attributes(payload.get(RTGENMSG..)?).find(|&(kind, _)| kind == NETNSA_NSID);
        found.map(|(_, value)| number(value) as i32)
    };
    Ok(all.iter().filter_map(id).collect())
}

/// What a message of type `RTM_NEWLINK` says. Only what is asked of it is looked
/// at, so that no attribute of a newer kernel can be in the way.
fn link(payload: &[u8]) -> Option<Interface> {
    let head: &[u8; IFINFOMSG] = payload.first_chunk()?;
    let mut iface = Interface {
        hardware: u16::from_ne_bytes([head[2], head[3]]),
        index: number(&head[4..]),
        flags: number(&head[8..]),
        ..Interface::default()
    };
    for (kind, value) in attributes(&payload[IFINFOMSG..]) {
        match kind {
            libc::IFLA_IFNAME => iface.name = text(value),
            libc::IFLA_MTU => iface.mtu = number(value),
            libc::IFLA_LINKINFO => {
                let kind = attributes(value).find(|&(kind, _)| kind == libc::IFLA_INFO_KIND);
                iface.kind = kind.map(|(_, value)| text(value));
            }
            libc::IFLA_PROP_LIST => {
                let names = attributes(value).filter(|&(kind, _)| kind == libc::IFLA_ALT_IFNAME);
                iface.alt_names.extend(names.map(|(_, value)| text(value)));
            }
            libc::IFLA_XDP => iface.xdp = attributes(value).filter_map(attached).collect(),
            _ => {}
        }
    }
    Some(iface)
}

/// `IFLA_XDP_DRV_PROG_ID` and so on, of `linux/if_link.h`.
fn attached((kind, value): (u16, &[u8])) -> Option<Attached> {
    let place = match kind {
        5 => Place::Native,
        6 => Place::Generic,
        7 => Place::Hardware,
        _ => return None,
    };
    Some(Attached { place, id: number(value) }).filter(|attached| attached.id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_there() {
        let all = Interface::all().unwrap();
        let lo = all.iter().find(|iface| iface.name == "lo").unwrap();
        assert_eq!((lo.index, lo.hardware), (1, libc::ARPHRD_LOOPBACK));
        assert_eq!((lo.kind.as_deref(), &lo.xdp[..]), (None, &[][..]));
        assert!(lo.is_called("lo") && !lo.is_called("l"));
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn what_a_link_says() {
        let mut payload = vec![0; IFINFOMSG];
        payload[2..4].copy_from_slice(&libc::ARPHRD_NONE.to_ne_bytes());
        payload[4..8].copy_from_slice(&7u32.to_ne_bytes());
        payload[8..12].copy_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
        payload.extend(attribute(libc::IFLA_IFNAME, b"w\xffg\0"));
        payload.extend(attribute(libc::IFLA_MTU, &1420u32.to_ne_bytes()));
        payload.extend(attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_KIND, b"tun")));
        let nested = libc::IFLA_PROP_LIST | 0x8000;
        let names = [b"a-long-name\0", b"another one\0"];
        let names = names.map(|name| attribute(libc::IFLA_ALT_IFNAME, name)).concat();
        payload.extend(attribute(nested, &names));
        let ids = [(2, 2), (4, 9), (5, 0), (6, 9)];
        let ids = ids.map(|(kind, id): (u16, u32)| attribute(kind, &id.to_ne_bytes())).concat();
        payload.extend(attribute(libc::IFLA_XDP, &ids));
        let iface = Interface {
            name: "w?g".into(),
            index: 7,
            alt_names: vec!["a-long-name".into(), "another one".into()],
            hardware: libc::ARPHRD_NONE,
            flags: libc::IFF_UP as u32,
            mtu: 1420,
            kind: Some("tun".into()),
            xdp: vec![Attached { place: Place::Generic, id: 9 }],
        };
        assert_eq!(link(&payload), Some(iface));
        // Cut short at each byte it is a lesser link, and no more.
        for len in 0..payload.len() {
            assert_eq!(link(&payload[..len]).is_some(), len >= IFINFOMSG);
        }
    }
}
