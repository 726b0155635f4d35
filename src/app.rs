//! The order of start and stop, and nothing else: load, open the rings,
//! attach, announce, watch, detach, drain, settle, report.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::unistd::{SysconfVar, sysconf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::cli::{Config, StatsFormat};
use crate::format::{Classic, Format};
use crate::ledger::{Ledger, Tally};
use crate::mailbox::Mailbox;
use crate::pressure::Pressure;
use crate::probe::{self, Attachment, Interface, Probe, Ring, Setup, advice, ring};
use crate::reader::{self, Common, Limit, Reader};
use crate::report::Report;
use crate::shutdown::{self, Shutdown};
use crate::sink::{Closed, Destination, Output};
use crate::talk::{say, say_last};

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// As asked, but the counts do not agree.
    Unbalanced,
}

/// Why to stop.
#[derive(Debug)]
enum Stop {
    /// A signal, the time, the count, or the sink's end.
    Asked,
    /// No interface is left.
    Deserted,
    /// Something failed that it cannot go on without.
    Failed(anyhow::Error),
}

/// What is left to write may take this long; stopping stays within a second.
const GRACE: Duration = Duration::from_millis(600);

/// How often interfaces and counters are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Run from start to end.
pub fn run(config: &Config) -> Result<Outcome> {
    let find = |name: &String| Interface::find(name, config.default_iface);
    let mut ifaces: Vec<Interface> = Vec::new();
    for iface in config.ifaces.iter().map(find) {
        let iface = iface?;
        // An interface may go by several names.
        if ifaces.iter().all(|other| other.index != iface.index) {
            ifaces.push(iface);
        }
    }

    let (stop_tx, stop) = mpsc::unbounded_channel();
    let shutdown = Arc::new(Shutdown::new()?);
    let on_ctrl_c = stop_tx.clone();
    // A receiver that is gone means that stopping is under way.
    shutdown::on_ctrl_c(move || {
        let _ = on_ctrl_c.send(Stop::Asked);
    })?;

    let mailbox = Arc::new(Mailbox::new()?);
    let (probe, rings, ring_size) = open(config, &ifaces)?;
    let mut pressure = Pressure::new(probe.overflow()?, Arc::clone(&mailbox));
    let stop_reading = stop_tx.clone();
    let common = Common {
        destination: Arc::new(destination()?),
        limit: Arc::new(Limit::new(config.count)),
        batches: Arc::new(probe.batches()?),
        mailbox,
        shutdown: Arc::clone(&shutdown),
        notify: Arc::new(move || {
            let _ = stop_reading.send(Stop::Asked);
        }),
    };
    let readers = reader::how_many(config.readers, rings.len());
    let readers = spawn(reader::readers(rings, readers, &Classic, &common), &common)?;

    // From here on the readers have to be stopped whatever happens.
    let watched = watch(config, &ifaces, &probe, &mut pressure, ring_size, stop);
    // All detached; a packet that is still under way ends before the drain does.
    let detached = Instant::now();
    let drained = pressure.drain();
    shutdown.begin(GRACE);
    let (tally, read) = join(readers);
    let closed = common.destination.finish();
    let (stop, watched) = watched?;

    let counters = probe.counters()?;
    let ledger = Ledger::settle(&counters, &tally);
    let names: Vec<String> = ifaces.into_iter().map(|iface| iface.name).collect();
    let in_summary = pressure.finish(&counters, detached);
    let report = Report { names: &names, ledger: &ledger, watched, in_summary };
    tell(config, &report, closed.as_ref());
    conclude(&ledger, closed, stop, read.and(drained))
}

/// What a reader's thread answers.
type Reading = JoinHandle<(Tally, Result<()>)>;

/// Start the readers; if one cannot be, those before it end by themselves.
fn spawn<F: Format + Send + 'static>(
    readers: Vec<Reader<F>>,
    common: &Common,
) -> Result<Vec<Reading>> {
    let spawn_one = |(index, reader): (usize, Reader<F>)| {
        let notify = Arc::clone(&common.notify);
        let builder = thread::Builder::new().name(format!("reader-{index}"));
        builder.spawn(move || {
            let ended = reader.run();
            // Also where it fails: without a reader there is nothing to do.
            notify();
            ended
        })
    };
    let spawned: io::Result<Vec<_>> = readers.into_iter().enumerate().map(spawn_one).collect();
    if spawned.is_err() {
        common.shutdown.begin(Duration::ZERO);
    }
    spawned.context("cannot start a reader's thread")
}

/// Wait for the readers; what they did, together.
fn join(readers: Vec<Reading>) -> (Tally, Result<()>) {
    let (mut all, mut ended) = (Tally::default(), Ok(()));
    for reader in readers {
        match reader.join() {
            Ok((tally, end)) => {
                all += &tally;
                ended = ended.and(end);
            }
            Err(_) => ended = ended.and(Err(anyhow!("a reader's thread died"))),
        }
    }
    (all, ended)
}

fn destination() -> Result<Destination> {
    Output::stdout().and_then(Destination::new).context("cannot use stdout")
}

/// Load the program and open the rings: as large as wanted, or as the kernel
/// lets them be.
fn open(config: &Config, ifaces: &[Interface]) -> Result<(Probe, Vec<Ring>, u64)> {
    let page = sysconf_positive(SysconfVar::PAGE_SIZE)?;
    let memory = sysconf_positive(SysconfVar::_PHYS_PAGES)?.saturating_mul(page);
    let cpus = sysconf_positive(SysconfVar::_NPROCESSORS_ONLN)?;
    let wanted = ring::pages(config.buffer_size, cpus, memory.get(), page);
    let all = (wanted as u64).saturating_mul(page.get()).saturating_mul(cpus.get());
    let tables = probe::overflow_memory(config.overflow_sources);
    if tables > memory.get() / 2 {
        return Err(advice::tables_too_large(tables, memory.get()));
    }
    if all > memory.get() / 2 {
        let ring = wanted as u64 * page.get();
        return Err(advice::ring_too_large(ring, cpus.get(), memory.get()));
    }

    let mut pages = wanted;
    let mut refused = None;
    loop {
        let ring_size = pages as u64 * page.get();
        let probe = Probe::load(&Setup {
            families: config.families,
            ifindexes: ifaces.iter().map(|iface| iface.index).collect(),
            ring_size,
            overflow_sources: config.overflow_sources,
        })?;
        match probe.open_rings(pages) {
            Ok(rings) => {
                if let Some(err) = refused {
                    let wanted = wanted as u64 * page.get();
                    let warning = advice::smaller_ring(wanted, ring_size, &err);
                    say(&format!("xdplog: warning: {warning}"));
                }
                return Ok((probe, rings, ring_size));
            }
            Err(err) if pages > 1 && advice::is_memory_limit(&err) => {
                // The batch has to fit in the ring: load again for a smaller one.
                refused.get_or_insert(err);
                pages /= 2;
            }
            Err(err) => return Err(advice::no_ring(&err)),
        }
    }
}

/// Attach, say so, and watch until it is time to stop. Detaches on return.
fn watch(
    config: &Config,
    ifaces: &[Interface],
    probe: &Probe,
    pressure: &mut Pressure,
    ring_size: u64,
    mut stop: UnboundedReceiver<Stop>,
) -> Result<(Stop, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread")?;
    runtime.block_on(async {
        // Before anything is attached, so that it is not cut short.
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;

        // All that can be refused is, before the first is touched.
        ifaces.iter().try_for_each(|iface| probe.check_free(iface))?;
        let ready = config.ready_file.as_deref();
        ready.map_or(Ok(()), remove_stale)?;
        let mut attached = ifaces
            .iter()
            .map(|iface| probe.attach(iface, config.mode))
            .collect::<Result<Vec<_>>>()?;
        let since = Instant::now();
        if config.announce {
            announce(&attached, ring_size);
        }
        if let Some(path) = ready {
            File::create_new(path).with_context(|| advice::ready_file(path))?;
        }

        let time_up = sleep(config.duration.unwrap_or(Duration::MAX));
        tokio::pin!(time_up);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let why = loop {
            tokio::select! {
                Some(why) = stop.recv() => break why,
                _ = terminate.recv() => break Stop::Asked,
                () = &mut time_up, if config.duration.is_some() => break Stop::Asked,
                _ = look.tick() => {
                    attached.retain(still_there);
                    if attached.is_empty() {
                        break Stop::Deserted;
                    }
                    match probe.counters().and_then(|counters| pressure.look(&counters)) {
                        Ok(Some(said)) => say(&format!("xdplog: {said}")),
                        Ok(None) => {}
                        Err(err) => break Stop::Failed(err),
                    }
                }
            }
        };
        drop(attached);
        Ok((why, since.elapsed()))
    })
}

/// Say what happened.
fn tell(config: &Config, report: &Report<'_>, closed: Option<&Closed>) {
    let gone = matches!(closed, Some(Closed::ByReader));
    // When the reader went away it has what it wanted: no words about it.
    match config.stats.filter(|_| !gone || config.stats_explicit) {
        Some(StatsFormat::Text) => say_last(report.text().trim_end()),
        Some(StatsFormat::Json) => say_last(&report.json()),
        None => {}
    }
}

/// How the run ended. That the counts do not agree outweighs all else.
fn conclude(
    ledger: &Ledger,
    closed: Option<Closed>,
    stop: Stop,
    drained: Result<()>,
) -> Result<Outcome> {
    let failed = match (closed, stop) {
        (Some(Closed::Failed(err)), _) => Err(advice::output_failed(&err, ledger.total().lost)),
        (_, Stop::Failed(err)) => Err(err),
        (_, Stop::Deserted) => Err(advice::deserted()),
        (_, Stop::Asked) => drained,
    };
    if ledger.broken.is_empty() {
        return failed.map(|()| Outcome::Done);
    }
    if let Err(err) = failed {
        say(&format!("xdplog: {err:#}"));
    }
    for broken in &ledger.broken {
        say(&format!("xdplog: the counts do not agree: {broken}. Next: please report this"));
    }
    Ok(Outcome::Unbalanced)
}

fn still_there(attachment: &Attachment) -> bool {
    let gone = attachment.is_gone();
    if gone {
        say(&format!("xdplog: {}", advice::deleted(&attachment.name)));
    }
    !gone
}

fn announce(attached: &[Attachment], ring_size: u64) {
    let ifaces: Vec<String> =
        attached.iter().map(|a| format!("{} ({})", a.name, a.mode())).collect();
    say(&format!(
        "xdplog: logging {}, ring of {} KiB per CPU; Ctrl-C stops",
        ifaces.join(", "),
        ring_size / 1024
    ));
}

/// A ready file from an earlier run would tell who waits for it too early. What
/// is not one, an empty file, is left alone: creating it fails then.
fn remove_stale(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() && meta.len() == 0 => {
            fs::remove_file(path).with_context(|| advice::ready_file(path))
        }
        Ok(_) => Err(anyhow!("it exists, and is no ready file")).context(advice::ready_file(path)),
        Err(_) => Ok(()),
    }
}

fn sysconf_positive(var: SysconfVar) -> Result<NonZeroU64> {
    sysconf(var)
        .ok()
        .flatten()
        .and_then(|value| NonZeroU64::new(value.try_into().ok()?))
        .with_context(|| format!("the system does not tell {var:?}"))
}
