//! What `ip` of older releases cannot say to an interface, by rtnetlink itself.

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::net::{in_ns, ip};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// Of linux/if_tun.h.
const IFF_TUN: u16 = 0x1;
const IFF_TAP: u16 = 0x2;
const IFF_MULTI_QUEUE: u16 = 0x100;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;

/// An interface of the driver `tun` with these flags, in this namespace.
fn open_tun(ns: &str, name: &str, flags: u16) -> OwnedFd {
    // TUNSETIFF of linux/if_tun.h; struct ifreq of linux/if.h: the name in 16 bytes,
    // flags, 22 bytes.
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    in_ns(ns, || {
        let file = File::options()
            .read(true)
            .write(true)
            // A driver's native mode is only for who does not wait.
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .unwrap();
        // SAFETY: the kernel reads and writes an ifreq, which is as long.
        let err = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
        assert_eq!(err, 0, "{name}: {}", std::io::Error::last_os_error());
        OwnedFd::from(file)
    })
}

/// An interface with Ethernet whose other end is a program, as a virtual machine's
/// is: with offloads, so that one frame may be a segment of TCP of 64 KiB.
pub struct Tap(OwnedFd);

impl Tap {
    const FLAGS: u16 = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE;

    /// Make one in this namespace, up and without addresses; it goes with the value.
    pub fn new(ns: &str, name: &str, mac: [u8; 6]) -> Tap {
        const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
        /// TUN_F_CSUM, TUN_F_TSO4 and TUN_F_TSO6.
        const OFFLOADS: libc::c_ulong = 0x1 | 0x2 | 0x4;
        let tap = Tap::beside(ns, name);
        // SAFETY: the argument is a number.
        let err = unsafe { libc::ioctl(tap.0.as_raw_fd(), TUNSETOFFLOAD, OFFLOADS) };
        assert_eq!(err, 0, "{name}: {}", std::io::Error::last_os_error());
        let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
        assert!(ip(&format!("-n {ns} link set {name} address {mac} up")));
        tap
    }

    /// Another queue of one that is there.
    pub fn beside(ns: &str, name: &str) -> Tap {
        Tap(open_tun(ns, name, Tap::FLAGS))
    }

    /// This frame arrives, or finds no room.
    pub fn send(&self, frame: &[u8]) {
        /// Of `struct virtio_net_hdr`: nothing is left to the interface.
        const HEADER: [u8; 10] = [0; 10];
        let parts = [IoSlice::new(&HEADER), IoSlice::new(frame)];
        let _ = nix::sys::uio::writev(&self.0, &parts);
    }
}

/// What one sends arrives at the other, both ways, for ever.
pub fn wire(one: &Tap, other: &Tap) {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let mut idle = true;
        for (from, to) in [(one, other), (other, one)] {
            // Not all at once of one, as the other waits for answers.
            for _ in 0..64 {
                let Ok(len) = nix::unistd::read(&from.0, &mut buffer) else { break };
                idle = false;
                // What finds no room is lost, as on any wire.
                let _ = nix::unistd::write(&to.0, &buffer[..len]);
            }
        }
        if idle {
            let mut both = [one, other].map(|tap| PollFd::new(tap.0.as_fd(), PollFlags::POLLIN));
            poll(&mut both, PollTimeout::NONE).expect("wait for a frame");
        }
    }
}

/// An interface without Ethernet: what is written to it arrives there.
pub struct Tun(OwnedFd);

impl Tun {
    /// Make one in this namespace, up and without addresses; it goes with the value.
    pub fn new(ns: &str, name: &str) -> Tun {
        let fd = open_tun(ns, name, IFF_TUN | IFF_NO_PI);
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
