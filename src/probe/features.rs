//! What drivers say that they can do with XDP: the family `netdev` of generic netlink
//! (`linux/netdev.h`), of Linux 6.3. It takes no privilege, and nothing is tried.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;

use super::netlink::{attributes, dump, number, text};

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and attributes, of `linux/genetlink.h`.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// `NETDEV_CMD_DEV_GET` and attributes, of `linux/netdev.h`.
const GET_DEVICE: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;

/// `NETDEV_XDP_ACT_BASIC`: it runs programs that pass, drop, and send back.
const BASIC: u64 = 1;

/// `struct genlmsghdr`: command, version, two bytes reserved.
const HEADER: usize = 4;

fn ask(family: u16, command: u8) -> io::Result<Vec<Vec<u8>>> {
    dump(NETLINK_GENERIC, family, family, &[command, 1, 0, 0])
}

/// Whether the driver has native XDP, by interface index, of all interfaces of this
/// thread's network namespace. `None` where the kernel does not tell.
pub fn native_by_index() -> Option<HashMap<u32, bool>> {
    let families = ask(CONTROLLER, GET_FAMILY).ok()?;
    let netdev = families.iter().find_map(|family| {
        let family = family.get(HEADER..)?;
        let of = |wanted| attributes(family).find(|&(kind, _)| kind == wanted);
        let is_it = of(FAMILY_NAME).is_some_and(|(_, name)| text(name) == "netdev");
        let id = of(FAMILY_ID)?.1.first_chunk()?;
        is_it.then(|| u16::from_ne_bytes(*id))
    })?;
    let devices = ask(netdev, GET_DEVICE).ok()?;
    Some(devices.iter().filter_map(|device| native(device.get(HEADER..)?)).collect())
}

/// An interface's index, and whether its driver has native XDP.
fn native(device: &[u8]) -> Option<(u32, bool)> {
    let of = |wanted| attributes(device).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
    let features = of(DEVICE_XDP_FEATURES)?.first_chunk()?;
    Some((number(of(DEVICE_INDEX)?), u64::from_ne_bytes(*features) & BASIC != 0))
}
