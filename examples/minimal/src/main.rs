//! Log the source address of each IPv4 packet that arrives at an interface, with
//! the verdict that XDP gave it, until Ctrl-C:
//!
//! ```text
//! LOG: SRC 192.168.1.205, ACTION 2
//! ```

use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::PerfBufferBuilder;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use nix::net::if_::if_nametoindex;

/// What the build made of minimal.bpf.c.
mod skel {
    include!(concat!(env!("OUT_DIR"), "/minimal.skel.rs"));
}

/// `struct event` of minimal.bpf.c.
#[derive(Default)]
#[repr(C)]
struct Event {
    source: [u8; 4],
    action: u32,
}

// SAFETY: repr(C) and integers without padding, so that any bytes are a value.
unsafe impl plain::Plain for Event {}

/// A sample as it comes out of a ring.
fn log(_cpu: i32, data: &[u8]) {
    let mut event = Event::default();
    // Fails only for a sample that is too short; the kernel pads the others.
    if plain::copy_from_bytes(&mut event, data).is_ok() {
        println!("LOG: SRC {}, ACTION {}", Ipv4Addr::from(event.source), event.action);
    }
}

fn lost(cpu: i32, count: u64) {
    eprintln!("minimal: {count} packets of CPU {cpu} found no room in its ring");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or("eth0".into());
    let index = if_nametoindex(name.as_str()).with_context(|| format!("no interface {name}"))?;

    let mut object = MaybeUninit::uninit();
    let skel = skel::MinimalSkelBuilder::default().open(&mut object)?.load()?;
    let events =
        PerfBufferBuilder::new(&skel.maps.events).pages(64).sample_cb(log).lost_cb(lost).build()?;

    // The program leaves the interface when the link is dropped, and, as it is a
    // descriptor of this process, also when the process is killed.
    let link = skel.progs.minimal.attach_xdp(index as i32).context("cannot attach")?;

    let (stop, stopped) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicBool::new(false)));
    let on_ctrl_c = Arc::clone(&stop);
    ctrlc::set_handler(move || on_ctrl_c.notify_one())?;
    let is_stopped = Arc::clone(&stopped);
    let poller = tokio::task::spawn_blocking(move || {
        while !is_stopped.load(Ordering::Relaxed) {
            events.poll(Duration::from_millis(100))?;
        }
        // What came in while the program was detached.
        events.consume()
    });

    stop.notified().await;
    drop(link);
    stopped.store(true, Ordering::Relaxed);
    poller.await??;
    Ok(())
}
