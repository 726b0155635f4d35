//! Namespaces, veth pairs, sockets and raw frames.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{self, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};

use super::frames::{HERE_MAC, THERE_MAC};
use super::host::need_root;

pub const HERE_IP: &str = "10.99.0.1";
pub const THERE_IP: &str = "10.99.0.2";
pub const HERE_IP6: &str = "fd99::1";
pub const THERE_IP6: &str = "fd99::2";

const PREFIX: &str = "xdplog-test-";

/// Two namespaces and the pair between them; removed on drop.
pub struct Net {
    pub here: String,
    pub there: String,
}

/// Remove what runs that were killed left behind: their process is gone.
fn remove_stale() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let pid = rest.split('-').next().unwrap_or_default();
            if !fs::exists(format!("/proc/{pid}")).unwrap_or(true) {
                ip(&format!("netns del {name}"));
            }
        }
    });
}

/// Run `ip` with these words; whether it succeeded.
pub fn ip(words: &str) -> bool {
    Command::new("ip")
        .args(words.split_whitespace())
        .stderr(Stdio::null())
        .status()
        .expect("iproute2 is installed (`make deps`)")
        .success()
}

/// Run `ip -n NS -batch`, one command a line.
pub fn ip_batch(ns: &str, commands: &str) {
    let mut child = Command::new("ip")
        .args(["-n", ns, "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("iproute2 is installed (`make deps`)");
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip -n {ns}: {commands}");
}

impl Net {
    /// One pair, with static neighbours and without IPv6, so that no frame
    /// travels that a test did not send.
    pub fn new() -> Net {
        need_root();
        remove_stale();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let net = Net { here: format!("{PREFIX}{id}-here"), there: format!("{PREFIX}{id}-there") };
        for ns in [&net.here, &net.there] {
            assert!(ip(&format!("netns add {ns}")), "cannot make namespace {ns}");
            in_ns(ns, || {
                fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
                fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
            });
        }
        net.add_pair(0);
        ip_batch(
            &net.here,
            &format!(
                "addr add {HERE_IP}/24 dev here0\n\
                 neigh add {THERE_IP} lladdr {} dev here0 nud permanent\n",
                mac(THERE_MAC)
            ),
        );
        ip_batch(
            &net.there,
            &format!(
                "addr add {THERE_IP}/24 dev there0\n\
                 neigh add {HERE_IP} lladdr {} dev there0 nud permanent\n",
                mac(HERE_MAC)
            ),
        );
        net
    }

    /// Frames of so many bytes behind the Ethernet header fit, both ways.
    pub fn set_mtu(&self, mtu: u32) {
        for (ns, dev) in [(&self.here, "here0"), (&self.there, "there0")] {
            assert!(ip(&format!("-n {ns} link set {dev} mtu {mtu}")));
        }
    }

    /// Another pair, `hereN` and `thereN`, up but without addresses.
    pub fn add_pair(&self, n: u32) {
        self.add_wide_pair(n, 1);
    }

    /// The same with a number of queues. With one for each CPU, what a CPU
    /// sends arrives on it, too.
    pub fn add_wide_pair(&self, n: u32, queues: usize) {
        let (here, there) = (mac(HERE_MAC), mac(THERE_MAC));
        let queues = format!("numrxqueues {queues} numtxqueues {queues}");
        ip_batch(
            &self.here,
            &format!(
                "link add here{n} address {here} {queues} type veth \
                 peer name there{n} address {there} {queues} netns {}\n\
                 link set here{n} up\n",
                self.there
            ),
        );
        ip_batch(&self.there, &format!("link set there{n} up\n"));
        self.here(|| enable_gro(&format!("here{n}")));
        self.wait_for_carrier(n);
    }

    fn wait_for_carrier(&self, n: u32) {
        for _ in 0..1000 {
            let up = in_ns(&self.here, || {
                let text = run("ip", &["-o", "link", "show", &format!("here{n}")]);
                text.contains("LOWER_UP")
            });
            if up {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("here{n} did not come up");
    }

    /// IPv6 on both ends, without what the kernel would send of itself as far
    /// as that can be kept from it.
    pub fn enable_ipv6(&self) {
        for (ns, dev, own, other, lladdr) in [
            (&self.here, "here0", HERE_IP6, THERE_IP6, THERE_MAC),
            (&self.there, "there0", THERE_IP6, HERE_IP6, HERE_MAC),
        ] {
            in_ns(ns, || {
                let set = |key: &str, value: &str| {
                    fs::write(format!("/proc/sys/net/ipv6/conf/{dev}/{key}"), value).unwrap();
                };
                set("accept_dad", "0");
                set("accept_ra", "0");
                set("router_solicitations", "0");
                set("disable_ipv6", "0");
            });
            ip_batch(
                ns,
                &format!(
                    "addr add {own}/64 dev {dev} nodad\n\
                     neigh add {other} lladdr {} dev {dev} nud permanent\n",
                    mac(lladdr)
                ),
            );
        }
    }

    /// Run in the namespace "here".
    pub fn here<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        in_ns(&self.here, f)
    }

    /// Run in the namespace "there".
    pub fn there<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        in_ns(&self.there, f)
    }

    /// A socket for raw frames on `thereN`.
    pub fn tap_there(&self, n: u32) -> Tap {
        self.there(|| Tap::open(&format!("there{n}")))
    }

    /// A socket for raw frames on `hereN`: what it receives came past XDP.
    pub fn tap_here(&self, n: u32) -> Tap {
        self.here(|| Tap::open(&format!("here{n}")))
    }

    /// Frames that the interface `hereN` says it received: the witness.
    pub fn received(&self, n: u32) -> u64 {
        self.here(|| received(&format!("here{n}")))
    }

    /// Whether an XDP program is on `hereN`.
    pub fn has_xdp(&self, n: u32) -> bool {
        self.here(|| run("ip", &["-o", "link", "show", &format!("here{n}")]))
            .contains("prog/xdp id")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [&self.here, &self.there] {
            ip(&format!("netns del {ns}"));
        }
    }
}

/// Turn generic receive offload on, as `ethtool -K IFACE gro on` does. A veth then
/// receives by NAPI, and so takes live frames (`veth_xdp_xmit()` of
/// `drivers/net/veth.c`) also where no program is in the driver.
fn enable_gro(iface: &str) {
    /// `struct ethtool_value` of `linux/ethtool.h`.
    #[repr(C)]
    struct Value {
        cmd: u32,
        data: u32,
    }
    const ETHTOOL_SGRO: u32 = 0x2c;
    let mut value = Value { cmd: ETHTOOL_SGRO, data: 1 };
    // SAFETY: plain system calls; the request and what it points to outlive them.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        let fd = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(iface.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        let err = libc::ioctl(fd.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request);
        assert_eq!(err, 0, "GRO of {iface}: {}", std::io::Error::last_os_error());
    }
}

/// Frames that an interface of this thread's namespace says it received.
pub fn received(name: &str) -> u64 {
    counter(name, 1)
}

/// Frames that an interface of this thread's namespace says it sent: of a veth,
/// those that arrived at the other end.
pub fn transmitted(name: &str) -> u64 {
    counter(name, 9)
}

/// A column of /proc/net/dev.
fn counter(name: &str, column: usize) -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{name}:")).map(str::to_string))
        .unwrap_or_else(|| panic!("{name} in {text}"));
    line.split_whitespace().nth(column).unwrap().parse().unwrap()
}

/// Run `f` on a thread of its own in the network namespace `ns`.
pub fn in_ns<R: Send>(ns: &str, f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                let file = File::open(format!("/run/netns/{ns}")).expect("the namespace exists");
                setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
                f()
            })
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Output of a command that has to succeed. Runs in the thread's namespace.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|err| {
        panic!("{program}: {err} (`make deps` installs what is needed)");
    });
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|b| format!("{b:02x}")).join(":")
}

/// An AF_PACKET socket: frames as they are, Ethernet header first.
pub struct Tap(OwnedFd);

impl Tap {
    /// On an interface of this thread's namespace.
    pub fn open(iface: &str) -> Tap {
        let index = if_nametoindex(iface).unwrap_or_else(|err| panic!("{iface}: {err}"));
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: plain system calls; the address is a whole sockaddr_ll.
        unsafe {
            let fd = libc::socket(
                libc::AF_PACKET,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                i32::from(protocol),
            );
            assert!(fd >= 0, "AF_PACKET: {}", std::io::Error::last_os_error());
            let fd = OwnedFd::from_raw_fd(fd);
            let mut addr: libc::sockaddr_ll = std::mem::zeroed();
            addr.sll_family = libc::AF_PACKET as u16;
            addr.sll_protocol = protocol;
            addr.sll_ifindex = index as i32;
            let err = libc::bind(
                fd.as_raw_fd(),
                (&raw const addr).cast(),
                std::mem::size_of_val(&addr) as u32,
            );
            assert_eq!(err, 0, "bind: {}", std::io::Error::last_os_error());
            // No test waits for a frame that does not come.
            let patience = TimeVal::seconds(10);
            setsockopt(&fd, ReceiveTimeout, &patience).expect("set a timeout");
            Tap(fd)
        }
    }

    pub fn send(&self, frame: &[u8]) {
        let sent = nix::unistd::write(&self.0, frame).expect("send a frame");
        assert_eq!(sent, frame.len());
    }

    /// The same, but a frame that finds no room on its way is gone.
    pub fn try_send(&self, frame: &[u8]) {
        match nix::unistd::write(&self.0, frame) {
            Ok(_) | Err(Errno::ENOBUFS | Errno::EAGAIN) => {}
            Err(err) => panic!("send a frame: {err}"),
        }
    }

    /// The next frame, whichever way it goes.
    pub fn receive(&self) -> Vec<u8> {
        let mut frame = vec![0; 65536];
        let len = nix::sys::socket::recv(
            self.0.as_raw_fd(),
            &mut frame,
            nix::sys::socket::MsgFlags::empty(),
        )
        .expect("receive a frame");
        frame.truncate(len);
        frame
    }
}
