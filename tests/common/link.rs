//! What `ip` of older releases cannot say to an interface, by rtnetlink itself.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use super::net::{in_ns, ip};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// An interface without Ethernet: what is written to it arrives there.
pub struct Tun(OwnedFd);

impl Tun {
    /// Make one in this namespace, up and without addresses; it goes with the value.
    pub fn new(ns: &str, name: &str) -> Tun {
        // TUNSETIFF, IFF_TUN and IFF_NO_PI of linux/if_tun.h; struct ifreq of
        // linux/if.h: the name in 16 bytes, flags, 22 bytes.
        const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
        let mut request = [0u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..18].copy_from_slice(&0x1001u16.to_ne_bytes());
        let fd = in_ns(ns, || {
            let file = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
            // SAFETY: the kernel reads and writes an ifreq, which is as long.
            let err = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
            assert_eq!(err, 0, "{name}: {}", std::io::Error::last_os_error());
            OwnedFd::from(file)
        });
        assert!(ip(&format!("-n {ns} link set {name} up")));
        Tun(fd)
    }

    /// Say that its frames are of this type, `ARPHRD_*` of linux/if_arp.h; it is down
    /// then.
    pub fn set_type(&self, ns: &str, name: &str, hardware: u16) {
        const TUNSETLINK: libc::c_ulong = 0x4004_54cd;
        assert!(ip(&format!("-n {ns} link set {name} down")));
        // SAFETY: the argument is a number.
        let err =
            unsafe { libc::ioctl(self.0.as_raw_fd(), TUNSETLINK, libc::c_ulong::from(hardware)) };
        assert_eq!(err, 0, "{hardware}: {}", std::io::Error::last_os_error());
    }

    /// This packet, which begins with IP's header, arrives.
    pub fn send(&self, packet: &[u8]) {
        assert_eq!(nix::unistd::write(&self.0, packet).unwrap(), packet.len());
    }
}

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
