//! The user side of the tutorial's design: a task for each CPU reads its perf
//! buffer and prints a line for each sample.

use std::net::Ipv4Addr;

use anyhow::Context;
use aya::maps::AsyncPerfEventArray;
use aya::programs::{Xdp, XdpFlags};
use aya::util::online_cpus;
use aya::{Ebpf, include_bytes_aligned};
use bytes::BytesMut;

#[repr(C)]
#[derive(Clone, Copy)]
struct PacketLog {
    saddr: u32,
    action: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let iface = std::env::args().nth(1).context("usage: tutorial IFACE")?;
    let mut bpf =
        Ebpf::load(include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tutorial.bpf.o")))?;
    let program: &mut Xdp = bpf.program_mut("tutorial").context("no program")?.try_into()?;
    program.load()?;
    program.attach(&iface, XdpFlags::default()).context("cannot attach")?;

    let map = bpf.take_map("events").context("no map")?;
    let mut events = AsyncPerfEventArray::try_from(map)?;
    for cpu in online_cpus().map_err(|(_, err)| err)? {
        let mut buffer = events.open(cpu, None)?;
        tokio::spawn(async move {
            let mut buffers = (0..10).map(|_| BytesMut::with_capacity(1024)).collect::<Vec<_>>();
            loop {
                let Ok(read) = buffer.read_events(&mut buffers).await else { return };
                for buffer in &buffers[..read.read] {
                    // SAFETY: the program writes this type, and the buffer is
                    // at least as long.
                    let log = unsafe { buffer.as_ptr().cast::<PacketLog>().read_unaligned() };
                    let source = Ipv4Addr::from(log.saddr);
                    println!("LOG: SRC {source}, ACTION {}", log.action);
                }
            }
        });
    }
    eprintln!("ready");
    tokio::signal::ctrl_c().await?;
    Ok(())
}
