//! The control thread while packets are logged: attach, announce, then signals,
//! time, interfaces that go away, and what there is to say meanwhile.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant as Tick, MissedTickBehavior, interval, interval_at, sleep};

use crate::bpf::Counters;
use crate::config::Config;
use crate::pressure::Pressure;
use crate::probe::{Attachment, CounterMap, Interface, Probe, advice};
use crate::shutdown::is_ignored;
use crate::sink::{Destination, Full};
use crate::status::Status;
use crate::talk::{say, say_live};

/// Why to stop.
#[derive(Debug)]
pub enum Stop {
    /// A signal, the time, the count, or the sink's end.
    Asked,
    /// No interface is left.
    Deserted,
    /// Something failed that it cannot go on without.
    Failed(anyhow::Error),
}

/// How often interfaces and counters are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// Longer than anything runs, and not so long that clocks cannot count it.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What the control thread works with.
pub struct Control<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// The interfaces to attach to.
    pub ifaces: &'a [Interface],
    /// The loaded program.
    pub probe: &'a Probe,
    /// Its counters.
    pub counters: &'a CounterMap,
    /// Where the log goes.
    pub destination: &'a Destination,
    /// Whether there is room there.
    pub full: &'a Full,
    /// Bytes of each CPU's ring.
    pub ring_size: u64,
}

impl Control<'_> {
    /// Attach, say so, and watch until it is time to stop: why, and how long it
    /// was. Detaches on return.
    pub fn watch(
        &self,
        pressure: &mut Pressure,
        stop: UnboundedReceiver<Stop>,
    ) -> Result<(Stop, Duration)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the control thread")?;
        runtime.block_on(self.attach_and_look(pressure, stop))
    }

    async fn attach_and_look(
        &self,
        pressure: &mut Pressure,
        mut stop: UnboundedReceiver<Stop>,
    ) -> Result<(Stop, Duration)> {
        // Before anything is attached, so that it is not cut short.
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut tell = signal(SignalKind::user_defined1()).context("cannot handle SIGUSR1")?;
        // A file that may not get any longer is to be an error, not the end.
        let _too_long =
            signal(SignalKind::from_raw(nix::libc::SIGXFSZ)).context("cannot handle SIGXFSZ")?;
        // Whoever ignores it, as under nohup, goes on doing so; but a log file is
        // opened again all the same.
        let hangs_up = self.destination.is_files() || !is_ignored(nix::libc::SIGHUP);
        let mut hangup = match hangs_up {
            true => Some(signal(SignalKind::hangup()).context("cannot handle SIGHUP")?),
            false => None,
        };

        let mut attached = self.attach()?;
        // Who waits for a log's head shall have it.
        self.destination.ask_begin();
        let since = Instant::now();

        let time_up = sleep(self.config.duration.unwrap_or(Duration::MAX));
        tokio::pin!(time_up);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let every = self.config.stats_interval.map_or(FOREVER, |every| every.min(FOREVER));
        let mut stats = interval_at(Tick::now() + every, every);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Each tells of the time since it last did.
        let (mut status, mut asked) = (Status::new(since), Status::new(since));
        let is_live = self.destination.is_files() && io::stderr().is_terminal();
        let mut told_full = false;
        let why = loop {
            let looked = tokio::select! {
                Some(why) = stop.recv() => break why,
                _ = terminate.recv() => break Stop::Asked,
                Some(()) = async { hangup.as_mut()?.recv().await }, if hangup.is_some() => {
                    if !self.destination.is_files() {
                        // The terminal went away.
                        break Stop::Asked;
                    }
                    self.destination.ask_reopen();
                    Ok(())
                }
                () = &mut time_up, if self.config.duration.is_some() => break Stop::Asked,
                _ = stats.tick(), if self.config.stats_interval.is_some() => {
                    self.counters.read().map(|counters| self.tell(&mut status, &counters, is_live))
                }
                _ = tell.recv() => {
                    self.counters.read().map(|counters| self.tell(&mut asked, &counters, false))
                }
                _ = look.tick() => {
                    attached.retain(still_there);
                    if attached.is_empty() {
                        break Stop::Deserted;
                    }
                    if self.full.is_waiting() != told_full {
                        told_full = !told_full;
                        say(&format!("xdplog: {}", advice::disk_full(told_full)));
                    }
                    self.counters.read().and_then(|counters| pressure.look(&counters)).map(|said| {
                        if let Some(said) = said {
                            say(&format!("xdplog: {said}"));
                        }
                    })
                }
            };
            if let Err(err) = looked {
                break Stop::Failed(err);
            }
        };
        drop(attached);
        Ok((why, since.elapsed()))
    }

    /// Attach to all interfaces, or to none.
    fn attach(&self) -> Result<Vec<Attachment>> {
        // All that can be refused is, before the first is touched.
        self.ifaces.iter().try_for_each(|iface| self.probe.check_free(iface))?;
        let ready = self.config.ready_file.as_deref();
        ready.map_or(Ok(()), remove_stale)?;
        let attached = self
            .ifaces
            .iter()
            .map(|iface| self.probe.attach(iface, self.config.mode))
            .collect::<Result<Vec<_>>>()?;
        if self.config.announce {
            announce(&attached, self.ring_size);
        }
        if let Some(path) = ready {
            File::create_new(path).with_context(|| advice::ready_file(path))?;
        }
        Ok(attached)
    }

    fn tell(&self, status: &mut Status, counters: &[Counters], is_live: bool) {
        let progress = self.destination.progress();
        if is_live {
            say_live(&status.live(counters, progress, Instant::now()));
        } else {
            say(&status.line(counters, progress, Instant::now()));
        }
    }
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
