//! What `ip` of older releases cannot say to an interface, by rtnetlink itself.

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::os::fd::AsRawFd;

use super::net::in_ns;

/// Of linux/if_link.h: with a u32 each.
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;

/// Packets that segmentation is left to the interface for may be as long, of IPv6
/// and IPv4: `ip link set DEV gso_max_size BYTES gso_ipv4_max_size BYTES`. A kernel
/// that knows only the first goes without the second.
pub fn set_gso_max_size(ns: &str, dev: &str, bytes: u32) {
    let attribute =
        |kind: u16| [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &bytes.to_ne_bytes()].concat();
    in_ns(ns, || {
        let index = if_nametoindex(dev).unwrap();
        set_link(
            index,
            &[attribute(IFLA_GSO_MAX_SIZE), attribute(IFLA_GSO_IPV4_MAX_SIZE)].concat(),
        );
    });
}

/// RTM_SETLINK of linux/rtnetlink.h, to be answered with an error number.
fn set_link(index: u32, attributes: &[u8]) {
    const RTM_SETLINK: u16 = 19;
    const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
    // struct ifinfomsg: family, type, index, flags, change.
    let info = [&[0; 4][..], &index.to_ne_bytes(), &[0; 8]].concat();
    let len = (16 + info.len() + attributes.len()) as u32;
    // struct nlmsghdr: length, type, flags, sequence, port.
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(RTM_SETLINK.to_ne_bytes());
    message.extend(NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(info);
    message.extend(attributes);
    let route = SockProtocol::NetlinkRoute;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route).unwrap();
    let kernel = NetlinkAddr::new(0, 0);
    sendto(fd.as_raw_fd(), &message, &kernel, MsgFlags::empty()).unwrap();
    let mut answer = [0; 4096];
    let len = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    // NLMSG_ERROR with error 0 is the acknowledgement.
    assert!(len >= 20, "{len}");
    assert_eq!((answer[4], &answer[16..20]), (2, &[0; 4][..]), "interface {index}");
}
