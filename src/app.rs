//! The order of start and stop, and nothing else: load, open the rings and the
//! log, attach, announce, watch, detach, drain, settle, report.

#![forbid(unsafe_code)]

use std::io;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use jiff::tz::TimeZone;
use nix::unistd::{SysconfVar, sysconf};
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::bpf::LinkType;
use crate::clock::{self, Wall};
use crate::config::{Color, Config, FormatName, StatsFormat};
use crate::control::{Control, Event, Stop};
use crate::format::{Classic, Format, Json, Pcapng, Style, Text, TimeStyle};
use crate::hotplug::Hotplug;
use crate::iface_names::Names;
use crate::inherited;
use crate::ledger::{Ledger, Tally};
use crate::mailbox::Mailbox;
use crate::pressure::Pressure;
use crate::probe::{self, Interface, Probe, Ring, Setup, advice, ring};
use crate::reader::{self, Common, Limit, Reader};
use crate::ready::ReadyFile;
use crate::report::Report;
use crate::shutdown::{self, Shutdown, is_ignored};
use crate::signals::{Attaching, Signals};
use crate::sink::{Closed, Framing, Full};
use crate::talk::{say, say_last};
use crate::target;

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Done,
    /// As asked, but the counts do not agree.
    Unbalanced,
}

/// What is left to write may take this long; stopping stays within a second.
const GRACE: Duration = Duration::from_millis(600);

/// Run from start to end.
pub fn run(config: &Config) -> Result<Outcome> {
    run_with(config, start)
}

/// The same, with what starts the readers: in which format is up to that.
pub fn run_with(
    config: &Config,
    start: impl FnOnce(&Config, &[String], &[LinkType], Vec<Ring>, &Common) -> Result<Vec<Reading>>,
) -> Result<Outcome> {
    // Before all else: whoever waits for it is not to find that of an earlier run.
    let ready = config.ready_file.as_deref().map(ReadyFile::clear).transpose()?;
    if let (Some(ready), Some(plan)) = (&ready, &config.files) {
        ready.check_is_not(&plan.path)?;
    }
    probe::check_mounts()?;
    let cpus = sysconf_positive(SysconfVar::_NPROCESSORS_ONLN)?;
    let open_at_start = probe::open_descriptors();
    probe::reserve_descriptors(open_at_start, cpus.get(), config.ifaces.len())?;
    let (events_tx, events) = mpsc::unbounded_channel();
    let shutdown = Arc::new(Shutdown::new()?);
    let attaching = Attaching::default();
    heed_signals(&shutdown, &attaching, &events_tx)?;

    let ifaces = interfaces(config)?;
    // As many as there are by now.
    probe::reserve_descriptors(open_at_start, cpus.get(), ifaces.len())?;
    let names = Arc::new(Names::new(ifaces.iter().map(|iface| iface.name.clone())));
    let mailbox = Arc::new(Mailbox::new()?);
    let (probe, rings, ring_size) = open(config, &ifaces, cpus)?;
    let counters = probe.counters()?;
    let mut pressure = Pressure::new(probe.overflow()?, Arc::clone(&mailbox));
    let full = Arc::new(Full::new(config.wait_when_full));
    let framing = framing(config, &ifaces, &names, &probe)?;
    let destination = Arc::new(target::open(config, framing, &full)?);
    // Not before: to open a pipe takes until someone reads it, and nothing is
    // attached yet that a signal's usual end would not take along.
    heed_ctrl_c(&events_tx).inspect_err(|_| destination.abandon())?;
    let batches = Arc::new(probe.batches()?);
    let count = reader::how_many(config.readers, rings.len());
    let mut hotplug = Hotplug::new(&probe, &batches, &rings, ring_size, count)
        .inspect_err(|_| destination.abandon())?;
    let common = Common {
        destination: Arc::clone(&destination),
        limit: Arc::new(Limit::new(config.count)),
        names: Arc::clone(&names),
        batches,
        mailbox,
        arrivals: hotplug.arrivals(),
        shutdown: Arc::clone(&shutdown),
        notify: Arc::new(stopper(&events_tx)),
    };
    let readers = start(config, &names.now(), &links(&ifaces), rings, &common)
        .inspect_err(|_| destination.abandon())?;

    // From here on the readers have to be stopped whatever happens.
    let control = Control {
        config,
        ifaces: &ifaces,
        probe: &probe,
        counters: &counters,
        destination: &destination,
        full: &full,
        names: &names,
        ring_size,
        attaching: &attaching,
        ready: ready.as_ref(),
    };
    let watched = control.watch(&mut pressure, &mut hotplug, events);
    // All detached; a packet that is still under way ends before the drain does.
    let detached = Instant::now();
    let drained = pressure.drain();
    shutdown.begin(GRACE);
    let (tally, read) = join(readers);
    let (stop, watched) = watched.inspect_err(|_| destination.abandon())?;
    let closed = destination.finish(&shutdown);

    let counters = counters.read()?;
    let ledger = Ledger::settle(&counters, &tally);
    let in_summary = pressure.finish(&counters, detached);
    let report = Report { names: &names.now(), ledger: &ledger, watched, in_summary };
    tell(config, &report, closed.as_ref());
    // After all is told, as compressing may take a while.
    let finished = destination.wait();
    let closed = closed.or(finished.err().map(Closed::Failed));
    conclude(config, &ledger, closed, stop, read.and(drained))
}

/// Which interfaces are meant.
fn interfaces(config: &Config) -> Result<Vec<Interface>> {
    if !config.any {
        return Interface::find(&config.ifaces, config.default_iface);
    }
    let (ifaces, left_out) = Interface::find_up(&config.ifaces)?;
    for reason in left_out {
        say(&format!("xdplog: warning: {reason}"));
    }
    Ok(ifaces)
}

/// What tells the control thread to stop. Where that is gone, it stops already.
fn stopper(events: &UnboundedSender<Event>) -> impl Fn() + Send + Sync + use<> {
    let events = events.clone();
    move || {
        let _ = events.send(Event::Stop);
    }
}

/// Heed SIGHUP and SIGUSR1, until `shutdown`.
fn heed_signals(
    shutdown: &Arc<Shutdown>,
    attaching: &Attaching,
    events: &UnboundedSender<Event>,
) -> Result<()> {
    let (shutdown, attaching, events) =
        (Arc::clone(shutdown), Arc::clone(attaching), events.clone());
    Signals::new()?.watch(shutdown, attaching, move |event| {
        let _ = events.send(event);
    })
}

/// Heed SIGINT, unless whoever started this has it ignored, as shells do for what a
/// script runs in the background.
fn heed_ctrl_c(events: &UnboundedSender<Event>) -> Result<()> {
    if is_ignored(nix::libc::SIGINT) {
        return Ok(());
    }
    shutdown::on_ctrl_c(stopper(events))
}

/// Load the program and open the rings: as large as wanted, or as the kernel
/// lets them be.
fn open(
    config: &Config,
    ifaces: &[Interface],
    cpus: NonZeroU64,
) -> Result<(Probe, Vec<Ring>, u64)> {
    let page = sysconf_positive(SysconfVar::PAGE_SIZE)?;
    let memory = sysconf_positive(SysconfVar::_PHYS_PAGES)?.saturating_mul(page);
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
        let mut probe = Probe::load(&Setup {
            families: config.families,
            links: links(ifaces),
            ring_size,
            overflow_sources: config.overflow_sources,
            snaplen: config.snaplen,
            sample: config.sample,
            rate: config.rate,
            not_ip: config.not_ip(),
            realtime: probe::is_realtime(),
        })?;
        match probe.open_rings(pages) {
            Ok(rings) => {
                if let Some(err) = refused {
                    let wanted = wanted as u64 * page.get();
                    let warning = advice::smaller_ring(wanted, ring_size, &err);
                    say(&format!("xdplog: warning: {warning}"));
                }
                probe.load_others()?;
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

/// What the interfaces' frames begin with; those that are found have one of the two.
fn links(ifaces: &[Interface]) -> Vec<LinkType> {
    ifaces.iter().map(|iface| iface.link_type().unwrap_or(LinkType::Ethernet)).collect()
}

/// What each file of the log begins and ends with.
fn framing(
    config: &Config,
    ifaces: &[Interface],
    names: &Arc<Names>,
    probe: &Probe,
) -> Result<Framing> {
    if config.format != FormatName::Pcapng {
        return Ok(Framing::default());
    }
    let (count, counters) = (ifaces.len(), probe.counters()?);
    let (names, links, snaplen) = (Arc::clone(names), links(ifaces), probe.snaplen());
    let tail = move || {
        // Without counts the statistics say zero; the report will tell the error.
        let counts = counters.read().unwrap_or_default();
        Pcapng::tail(count, &counts, Wall::now().ns(clock::monotonic_ns()))
    };
    Ok(Framing {
        head: Some(Box::new(move || Pcapng::head(&names.now(), &links, snaplen))),
        tail_len: tail().len(),
        tail: Box::new(tail),
    })
}

/// What a reader's thread answers.
pub type Reading = JoinHandle<(Tally, Result<()>)>;

/// Start the readers in the format asked for.
fn start(
    config: &Config,
    names: &[String],
    links: &[LinkType],
    rings: Vec<Ring>,
    common: &Common,
) -> Result<Vec<Reading>> {
    let count = reader::how_many(config.readers, rings.len());
    let wall = Wall::now();
    match config.format {
        FormatName::Classic => spawn(reader::readers(rings, count, &Classic, common), common),
        FormatName::Text => {
            let color = match config.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => config.files.is_none() && is_colorful(),
            };
            let style = Style { color, times: config.times, macs: config.macs, dump: config.dump };
            let zone = TimeZone::system();
            if style.macs || style.dump.is_some() {
                let text = Text::<true, true>::styled(names, wall, zone, links, &style);
                spawn(reader::readers(rings, count, &text, common), common)
            } else if style.times != TimeStyle::TimeOfDay {
                let text = Text::<true, false>::styled(names, wall, zone, links, &style);
                spawn(reader::readers(rings, count, &text, common), common)
            } else {
                let text = Text::new(names, wall, zone, color);
                spawn(reader::readers(rings, count, &text, common), common)
            }
        }
        FormatName::Json if config.macs => {
            let json = Json::<true>::with(names, wall, links);
            spawn(reader::readers(rings, count, &json, common), common)
        }
        FormatName::Json => {
            spawn(reader::readers(rings, count, &Json::new(names, wall), common), common)
        }
        FormatName::Pcapng => {
            let pcapng = Pcapng::new(names.len(), wall);
            spawn(reader::readers(rings, count, &pcapng, common), common)
        }
    }
}

/// Whether stdout is a terminal that has colors, and where these are welcome:
/// <https://no-color.org>.
pub fn is_colorful() -> bool {
    io::IsTerminal::is_terminal(&io::stdout())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Start the readers; if one cannot be, those before it end by themselves.
pub fn spawn<F: Format + Send + 'static>(
    readers: Vec<Reader<F>>,
    common: &Common,
) -> Result<Vec<Reading>> {
    let spawn_one = |(index, reader): (usize, Reader<F>)| {
        let end = End(Arc::clone(&common.notify));
        let builder = thread::Builder::new().name(format!("reader-{index}"));
        builder.spawn(move || {
            let _end = end;
            reader.run()
        })
    };
    let mut spawned = Vec::new();
    for reader in readers.into_iter().enumerate() {
        match spawn_one(reader) {
            Ok(reading) => spawned.push(reading),
            Err(err) => {
                common.shutdown.begin(Duration::ZERO);
                // Their rings go before the maps do.
                let _ = join(spawned);
                return Err(err).context("cannot start a reader's thread");
            }
        }
    }
    Ok(spawned)
}

/// The end of a reader's thread, however it comes: without one there is nothing to do.
struct End(Arc<dyn Fn() + Send + Sync>);

impl Drop for End {
    fn drop(&mut self) {
        (self.0)();
    }
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
            Err(_) => ended = ended.and(Err(crate::advice::reader_died())),
        }
    }
    (all, ended)
}

/// Say what happened.
fn tell(config: &Config, report: &Report<'_>, closed: Option<&Closed>) {
    // When the reader of stdout went away it has what it wanted: no words about it.
    let gone = named_pipe(config).is_none() && matches!(closed, Some(Closed::ByReader));
    match config.stats.filter(|_| !gone || config.stats_explicit) {
        Some(StatsFormat::Text) => say_last(report.text().trim_end()),
        Some(StatsFormat::Json) => say_last(&report.json()),
        None => {}
    }
}

/// What is written to by its name, if it is a pipe: not stdout, nor what a shell handed
/// on and calls /dev/fd/63.
fn named_pipe(config: &Config) -> Option<&Path> {
    let path = config.files.as_ref().map(|plan| plan.path.as_path());
    path.filter(|path| inherited::named(path).is_none())
}

/// How the run ended. Whatever failed is told, and with it what was lost, also where
/// there was no summary. That the counts do not agree outweighs all else.
fn conclude(
    config: &Config,
    ledger: &Ledger,
    closed: Option<Closed>,
    stop: Stop,
    read: Result<()>,
) -> Result<Outcome> {
    let lost = ledger.total().lost;
    let path = config.files.as_ref().map(|plan| plan.path.as_path());
    let written = match (closed, named_pipe(config)) {
        (Some(Closed::Failed(failure)), _) => {
            let (plan, waits) = (config.files.as_ref(), config.wait_when_full);
            Err(crate::advice::output_failed(&failure, plan, waits, lost))
        }
        (Some(Closed::OutOfTime), _) => Err(crate::advice::not_read_in_time(path, lost)),
        (Some(Closed::ByReader), Some(pipe)) if lost > 0 => {
            Err(crate::advice::reader_left(pipe, lost))
        }
        _ => Ok(()),
    };
    let watched = match stop {
        Stop::Failed(err) => Err(err),
        Stop::Deserted => Err(advice::deserted()),
        Stop::Asked => Ok(()),
    };
    let read = read.map_err(|err| crate::advice::reading_failed(&err, lost));
    let failed: Vec<Error> = [written, watched, read].into_iter().filter_map(Result::err).collect();
    let mut failed = failed.into_iter();
    let first = failed.next();
    if ledger.broken.is_empty() {
        failed.for_each(|err| say(&format!("xdplog: {err:#}")));
        return first.map_or(Ok(Outcome::Done), Err);
    }
    for err in first.into_iter().chain(failed) {
        say(&format!("xdplog: {err:#}"));
    }
    for broken in &ledger.broken {
        say(&format!("xdplog: the counts do not agree: {broken}. Next: please report this"));
    }
    Ok(Outcome::Unbalanced)
}

fn sysconf_positive(var: SysconfVar) -> Result<NonZeroU64> {
    sysconf(var)
        .ok()
        .flatten()
        .and_then(|value| NonZeroU64::new(value.try_into().ok()?))
        .with_context(|| format!("the system does not tell {var:?}"))
}
