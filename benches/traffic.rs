//! Traffic for `benches/host.sh`, which has no other hand for it: small packets as
//! fast as one CPU sends them, and a wire between two tap interfaces, as the program
//! of a virtual machine is one. Nothing is measured here.

#[allow(dead_code)]
#[path = "../tests/common/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../tests/common/host.rs"]
mod host;
#[allow(dead_code)]
#[path = "../tests/common/link.rs"]
mod link;
#[allow(dead_code)]
#[path = "../tests/common/net.rs"]
mod net;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use frames::{HERE_MAC, THERE_MAC, udp4};
use link::Tap;
use net::in_ns;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["wire", here, there] => {
            let here = Tap::new(here, "here0", HERE_MAC);
            let there = Tap::new(there, "there0", THERE_MAC);
            eprintln!("wired");
            link::wire(&here, &there);
        }
        ["flood", kind, here, there, seconds] => {
            // A socket that nobody reads, as an answer that no port is open costs more
            // than all else.
            let _socket = in_ns(here, || UdpSocket::bind("10.99.0.1:9").unwrap());
            let frame = udp4([10, 99, 0, 2].into(), 18);
            let time = Duration::from_secs(seconds.parse().unwrap());
            if *kind == "tap" {
                // Beside the wire, as it is the interface's way up that is of interest.
                let tap = Tap::beside(here, "here0");
                flood(time, || tap.send(&frame));
            } else {
                let socket = in_ns(there, || net::Tap::open("there0"));
                flood(time, || socket.try_send(&frame));
            }
        }
        _ => panic!("traffic: wire HERE THERE, or flood KIND HERE THERE SECONDS"),
    }
}

/// From CPU 0, so that on a veth and a tap a packet's way up is there, too.
fn flood(time: Duration, send: impl Fn()) {
    host::pin_to_one_cpu();
    let since = Instant::now();
    while since.elapsed() < time {
        (0..64).for_each(|_| send());
    }
}
