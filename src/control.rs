//! The control thread while packets are logged: attach, announce, then signals,
//! time, interfaces that go away, and what there is to say meanwhile.

#![forbid(unsafe_code)]

use std::io::{self, IsTerminal};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant as Tick, MissedTickBehavior, interval, interval_at, sleep};

use crate::config::{Config, Mode};
use crate::hotplug::Hotplug;
use crate::iface_names::Names;
use crate::names::plain;
use crate::pressure::Pressure;
use crate::probe::{Attachment, Costly, CounterMap, Gone, Interface, News, Probe, advice};
use crate::ready::{Ready, ReadyFile};
use crate::shutdown::is_ignored;
use crate::signals::Attaching;
use crate::sink::{Destination, Full};
use crate::status::Status;
use crate::talk::{say, say_live};

/// What other threads tell this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To stop: Ctrl-C, a terminal that went away, the count, the sink's end, or a
    /// reader's.
    Stop,
    /// To say how it goes.
    Tell,
    /// To open the log anew, or where it cannot be, to stop.
    Reopen,
}

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
    /// What the interfaces are called by now.
    pub names: &'a Names,
    /// Bytes of each CPU's ring.
    pub ring_size: u64,
    /// Told when signals have their usual end no more.
    pub attaching: &'a Attaching,
    /// What to make when all is attached.
    pub ready: Option<&'a ReadyFile>,
}

impl Control<'_> {
    /// Attach, say so, and watch until it is time to stop: why, and how long it
    /// was. Detaches on return. Fails where nothing was attached.
    pub fn watch(
        &self,
        pressure: &mut Pressure,
        hotplug: &mut Hotplug<'_>,
        events: UnboundedReceiver<Event>,
    ) -> Result<(Stop, Duration)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the control thread")?;
        runtime.block_on(self.attach_and_look(pressure, hotplug, events))
    }

    async fn attach_and_look(
        &self,
        pressure: &mut Pressure,
        hotplug: &mut Hotplug<'_>,
        events: UnboundedReceiver<Event>,
    ) -> Result<(Stop, Duration)> {
        // Before anything is attached, so that it is not cut short.
        let terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        // A file that may not get any longer is to be an error, not the end.
        let _too_long =
            signal(SignalKind::from_raw(nix::libc::SIGXFSZ)).context("cannot handle SIGXFSZ")?;
        // All that can be refused is, before the first is touched.
        self.ifaces.iter().try_for_each(|iface| self.probe.check_free(iface))?;
        *self.attaching.lock().unwrap_or_else(PoisonError::into_inner) = true;

        let (mut attached, mut since) = (Vec::new(), Instant::now());
        let why = match self.start(&mut attached) {
            Ok(_ready) => {
                since = Instant::now();
                self.look(&mut attached, since, (pressure, hotplug), events, terminate).await
            }
            // Nothing was touched.
            Err(err) if attached.is_empty() => return Err(err),
            Err(err) => Stop::Failed(err),
        };
        // Of those renamed since the last look, too, the report has the name.
        self.mind_names(&mut attached);
        drop(attached);
        Ok((why, since.elapsed()))
    }

    /// Attach to all interfaces, and tell whoever waits for that; those are told as
    /// long as the answer lives. What was attached until something failed is in
    /// `attached`, too.
    fn start(&self, attached: &mut Vec<Attachment>) -> Result<Option<Ready>> {
        for (slot, iface) in self.ifaces.iter().enumerate() {
            match self.probe.attach(slot, iface, self.config.mode) {
                Ok(attachment) => attached.push(attachment),
                // Whoever asks for all of them means those that can be.
                Err(err) if self.config.any && !self.is_named(iface) => {
                    say(&format!("xdplog: warning: {}", advice::left_out(&err)));
                }
                Err(err) => return Err(err),
            }
        }
        if attached.is_empty() {
            return Err(advice::none_is_up());
        }
        for iface in self.ifaces.iter().filter(|iface| !iface.is_up()) {
            say(&format!("xdplog: warning: {}", advice::is_down(&plain(&iface.name))));
        }
        if self.config.announce {
            if let Some(note) = &self.config.note {
                say(&format!("xdplog: {note}"));
            }
            announce(attached, self.ring_size);
            tell_costs(attached, self.config.mode);
        }
        // Also with --quiet, as it outlives the run.
        for attachment in attached.iter().filter(|attachment| !attachment.lost.is_empty()) {
            let lost = advice::features_lost(&attachment.name, &attachment.lost);
            say(&format!("xdplog: warning: {lost}"));
        }
        // Who waits for a log's head shall have it.
        self.destination.ask_begin();
        self.ready.map(ReadyFile::create).transpose()
    }

    /// Whether the user named it, be it by another of its names.
    fn is_named(&self, iface: &Interface) -> bool {
        self.config.ifaces.iter().any(|name| iface.is_called(name))
    }

    /// Look after what is attached, until there is a reason to stop.
    async fn look(
        &self,
        attached: &mut Vec<Attachment>,
        since: Instant,
        (pressure, hotplug): (&mut Pressure, &mut Hotplug<'_>),
        mut events: UnboundedReceiver<Event>,
        mut terminate: Signal,
    ) -> Stop {
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
        loop {
            let looked = tokio::select! {
                Some(event) = events.recv() => match event {
                    Event::Stop => return Stop::Asked,
                    Event::Reopen if self.destination.is_files() => {
                        self.destination.ask_reopen();
                        Ok(())
                    }
                    // Whoever ignores SIGHUP, as under nohup, goes on doing so.
                    Event::Reopen if is_ignored(nix::libc::SIGHUP) => Ok(()),
                    Event::Reopen => return Stop::Asked,
                    Event::Tell => self.tell(&mut asked, false),
                },
                _ = terminate.recv() => return Stop::Asked,
                () = &mut time_up, if self.config.duration.is_some() => return Stop::Asked,
                _ = stats.tick(), if self.config.stats_interval.is_some() => {
                    self.tell(&mut status, is_live)
                }
                _ = look.tick() => {
                    attached.retain(still_there);
                    if attached.is_empty() {
                        return Stop::Deserted;
                    }
                    self.mind_names(attached);
                    self.mind_room(&mut told_full);
                    mind_cpus(hotplug).and_then(|()| self.mind_pressure(pressure))
                }
            };
            if let Err(err) = looked {
                return Stop::Failed(err);
            }
        }
    }

    /// Follow interfaces that were renamed or moved.
    fn mind_names(&self, attached: &mut [Attachment]) {
        let news = Attachment::news(attached);
        let named = news.iter().filter_map(|(slot, news)| match news {
            News::Renamed(name) | News::Moved(Some(name)) => Some((*slot, name.clone())),
            News::Moved(None) => None,
        });
        let named: Vec<(usize, String)> = named.collect();
        if !named.is_empty() {
            self.names.change(&named);
        }
        let names = self.names.now();
        for attachment in attached {
            let before = std::mem::replace(&mut attachment.name, names[attachment.slot].clone());
            let logged = &attachment.name;
            let said = match news.iter().find(|(slot, _)| *slot == attachment.slot) {
                Some((_, News::Renamed(name))) => advice::renamed(&before, name, logged),
                Some((_, News::Moved(name))) => advice::moved(&before, name.as_deref(), logged),
                None => continue,
            };
            say(&format!("xdplog: {said}"));
        }
    }

    /// Say that there is no room to write, or that there is again.
    fn mind_room(&self, told_full: &mut bool) {
        if self.full.is_waiting() != *told_full {
            *told_full = !*told_full;
            say(&format!("xdplog: {}", crate::advice::disk_full(*told_full)));
        }
    }

    /// See that what is counted for want of room comes out.
    fn mind_pressure(&self, pressure: &mut Pressure) -> Result<()> {
        if let Some(said) = pressure.look(&self.counters.read()?)? {
            say(&format!("xdplog: {said}"));
        }
        Ok(())
    }

    /// Say how it goes.
    fn tell(&self, status: &mut Status, is_live: bool) -> Result<()> {
        let counters = self.counters.read()?;
        let progress = self.destination.progress();
        if is_live {
            say_live(&status.live(&counters, progress, Instant::now()));
        } else {
            say(&status.line(&counters, progress, Instant::now()));
        }
        Ok(())
    }
}

/// See that each CPU has a ring.
fn mind_cpus(hotplug: &mut Hotplug<'_>) -> Result<()> {
    for said in hotplug.look()? {
        say(&format!("xdplog: warning: {said}"));
    }
    Ok(())
}

fn still_there(attachment: &Attachment) -> bool {
    let name = plain(&attachment.name);
    let said = match attachment.gone() {
        Some(Gone::Deleted) => advice::deleted(&name),
        Some(Gone::Detached) => advice::detached(&name),
        None => return true,
    };
    say(&format!("xdplog: {said}"));
    false
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

/// Say what the modes cost, where that is worth a word: a line for each such driver.
fn tell_costs(attached: &[Attachment], mode: Mode) {
    for costs in Costly::all() {
        let on = |native: bool| {
            let on = attached.iter().filter(|a| a.native == native && a.is_on(costs));
            on.map(|a| a.name.as_str()).collect::<Vec<_>>()
        };
        if mode == Mode::Auto && !on(false).is_empty() {
            say(&format!("xdplog: {}", advice::generic_costs_less(&on(false), costs)));
        }
        if !on(true).is_empty() {
            say(&format!("xdplog: warning: {}", advice::native_is_dear(&on(true), costs)));
        }
    }
}
