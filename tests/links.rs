//! What links bring beside plain packets of IP over Ethernet: packets of more than
//! 64 KiB. The binary, over interfaces of its own; what a frame's bytes mean in
//! detail is in `parser.rs`.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use common::json;
use common::link::set_gso_max_size;
use common::net::{HERE_IP, HERE_IP6, Net};
use common::process::{Xdplog, assert_balanced};

/// Bytes that are sent to see large packets.
const MUCH: usize = 16 << 20;

/// IPv4 since Linux 6.3, IPv6 since 5.19.
fn has_big_tcp() -> bool {
    let release = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_string();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(3))
}

/// One TCP stream to this address of here0; the objects of all that was logged.
fn stream_to(net: &Net, address: &str) -> Vec<serde_json::Value> {
    let args = ["here0", "--mode", "generic", "-f", "json", "--buffer-size", "16MiB"];
    let xdplog = Xdplog::start(net, &[&args[..], &["--stats-format", "json"]].concat());
    let server = net.here(|| TcpListener::bind((address, 0)).unwrap());
    let at = server.local_addr().unwrap();
    let mut client = net.there(move || TcpStream::connect(at).unwrap());
    let (mut accepted, _) = server.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        accepted.read_to_end(&mut all).unwrap();
        all.len()
    });
    client.write_all(&vec![0x5a; MUCH]).unwrap();
    drop(client);
    assert_eq!(reader.join().unwrap(), MUCH);
    let ended = xdplog.stop();
    assert_balanced(&ended.summary());
    json::objects(&ended.stdout)
}

#[test]
fn packets_of_big_tcp_are_whole() {
    if !has_big_tcp() {
        eprintln!("skipped: this kernel has no BIG TCP over IPv4");
        return;
    }
    let net = Net::new();
    net.enable_ipv6();
    set_gso_max_size(&net.here, "here0", 200_000);
    set_gso_max_size(&net.there, "there0", 200_000);
    for address in [HERE_IP, HERE_IP6] {
        let objects = stream_to(&net, address);
        let len = |object: &serde_json::Value| object["len"].as_u64().unwrap();
        let big = objects.iter().filter(|object| len(object) > 65_549).count();
        assert!(big > 0, "{address}: none of {} packets is big", objects.len());
        for object in &objects {
            assert_eq!(object.get("truncated"), None, "{object}");
            assert!(object["proto"] != "tcp" || object.get("tcp_flags").is_some(), "{object}");
        }
    }
}
