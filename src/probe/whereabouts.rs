//! Where an interface is by now, and what it is called there: it may be renamed, or
//! moved to another network namespace, under the program. Nothing is changed here.

#![forbid(unsafe_code)]

use libbpf_rs::query::{LinkInfo, LinkTypeInfo};
use nix::net::if_::if_indextoname;

use super::link::{self, Interface};

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its index where it is, and what has this index here: while neither changes
    /// nothing else is looked at, as that would take long with many interfaces.
    seen: (u32, Option<String>),
    /// The number that this namespace has for the one that it is in.
    namespace: Option<i32>,
    /// What it is called there, where that can be known.
    name: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is called this.
    Renamed(String),
    /// It is in another network namespace, and called this there.
    Moved(Option<String>),
}

impl Whereabouts {
    /// Of an interface of this thread's network namespace.
    pub fn here(iface: &Interface) -> Whereabouts {
        let name = Some(iface.name.clone());
        Whereabouts { seen: (iface.index, name.clone()), namespace: None, name }
    }

    /// Look at the interface that this link is on; what became of it since the last
    /// time.
    pub fn look(&mut self, link: &LinkInfo) -> Option<News> {
        let LinkTypeInfo::Xdp(xdp) = &link.info else { return None };
        let here = if_indextoname(xdp.ifindex).ok();
        let seen = (xdp.ifindex, here.map(|name| name.to_string_lossy().into_owned()));
        if seen == self.seen && self.namespace.is_none() {
            return None;
        }
        let (namespace, name) = find(link.prog_id, self.namespace);
        self.learn(Whereabouts { seen, namespace, name })
    }

    /// Whether the interface is still where it was last seen.
    pub fn is_there(&self) -> bool {
        let all = Interface::all_in(self.namespace);
        all.is_ok_and(|all| all.iter().any(|iface| iface.index == self.seen.0))
    }

    fn learn(&mut self, now: Whereabouts) -> Option<News> {
        let before = std::mem::replace(self, now);
        let went = self.namespace != before.namespace && self.namespace.is_some();
        let vanished = self.name.is_none() && before.name.is_some();
        if went || vanished {
            return Some(News::Moved(self.name.clone()));
        }
        let name = self.name.clone()?;
        (before.name.as_ref() != Some(&name)).then_some(News::Renamed(name))
    }
}

/// The namespace, unless it is this one, and the name of the interface that runs
/// this program: each program runs on no more than one. Looked for where it was
/// `last`, here, and in all others that have a number here: one is given to each
/// that an interface is moved to.
fn find(program: u32, last: Option<i32>) -> (Option<i32>, Option<String>) {
    let others = || link::namespaces().unwrap_or_default().into_iter().map(Some);
    for namespace in [last, None].into_iter().chain(others()) {
        // One that may not be looked into has nothing to show.
        let all = Interface::all_in(namespace).unwrap_or_default();
        let runs = |iface: &&Interface| iface.xdp.iter().any(|xdp| xdp.id == program);
        if let Some(iface) = all.iter().find(runs) {
            return (namespace, Some(iface.name.clone()));
        }
    }
    (None, None)
}
