//! Traffic over the interface is bit for bit the same with xdplog as without.
//! Frames are compared behind XDP, as the stack gets them.

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use common::frames::{other, syn6, udp4};
use common::host::pin_to_one_cpu;
use common::net::{HERE_IP, Net, Tap};
use common::process::Xdplog;

/// Frames of every kind that parsing meets, whole and cut at every byte.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for whole in [
        udp4(Ipv4Addr::new(10, 1, 2, 3), 18),
        udp4(Ipv4Addr::new(10, 1, 2, 3), 1400),
        syn6("fd99::5".parse().unwrap()),
        other(0x88cc),
        other(0x8100),
        other(0x86dd),
        other(0x0800),
    ] {
        for len in 14..whole.len().min(80) {
            frames.push(whole[..len].to_vec());
        }
        frames.push(whole);
    }
    // Each told from the others by what it carries.
    for (i, frame) in frames.iter_mut().enumerate() {
        frame[6..10].copy_from_slice(&(0x0200_0000 + i as u32).to_be_bytes());
    }
    frames
}

/// What comes out at "here" of `frames` sent at "there": of each the frames up
/// to a marker sent after it, as the stack drops some kinds of broken ones.
fn through(sender: &Tap, receiver: &Tap, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    for (i, frame) in frames.iter().enumerate() {
        let marker = [&other(0x88b5)[..], &i.to_be_bytes()].concat();
        sender.send(frame);
        sender.send(&marker);
        loop {
            let frame = receiver.receive();
            if frame == marker {
                break;
            }
            got.push(frame);
        }
    }
    got
}

#[test]
fn frames_pass_unchanged_in_both_modes() {
    let net = Net::new();
    let (sender, receiver) = (net.tap_there(0), net.tap_here(0));
    pin_to_one_cpu();
    let frames = frames();
    let without = through(&sender, &receiver, &frames);
    assert!(without.len() * 10 > frames.len() * 9, "nearly all get to the stack");
    for mode in ["native", "generic"] {
        let xdplog = Xdplog::start(&net, &["here0", "--mode", mode]);
        let with = through(&sender, &receiver, &frames);
        assert_eq!(with, without, "{mode}");
        assert_eq!(xdplog.stop().code(), Some(0));
    }
    assert_eq!(through(&sender, &receiver, &frames), without, "and after it");
}

#[test]
fn a_connection_survives_start_and_stop() {
    let net = Net::new();
    let server = net.here(|| TcpListener::bind((HERE_IP, 0)).unwrap());
    let at = server.local_addr().unwrap();
    let mut client = net.there(move || TcpStream::connect(at).unwrap());
    let (mut accepted, _) = server.accept().unwrap();
    let data: Vec<u8> =
        (0..4_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let got = std::thread::scope(|scope| {
        let data = &data;
        scope.spawn(move || {
            client.write_all(data).unwrap();
            drop(client);
        });
        let reading = scope.spawn(move || {
            let mut got = Vec::new();
            accepted.read_to_end(&mut got).unwrap();
            got
        });
        for _ in 0..3 {
            let (_reader, writer) = common::process::unread_pipe();
            Xdplog::start_to(&net, &["here0"], writer).stop();
        }
        reading.join().unwrap()
    });
    assert!(got == data, "the same bytes arrive");
}
