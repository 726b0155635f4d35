//! Where an interface is by now, and what it is called there: it may be renamed, or
//! moved to another network namespace, under the program. Nothing is changed here.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;

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

    /// What became, since the last time, of the interface of which this was seen.
    /// `tables` may hold none from before that: it would still be where it was.
    pub fn look(&mut self, now: Seen, tables: &mut Tables<'_>) -> Option<News> {
        let seen = (now.index, now.here);
        if seen == self.seen && self.namespace.is_none() {
            return None;
        }
        let (namespace, name) = find(now.program, self.namespace, tables);
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
fn find(program: u32, last: Option<i32>, tables: &mut Tables<'_>) -> (Option<i32>, Option<String>) {
    let mut look = |namespace| Some((namespace, Some(tables.name(namespace, program)?)));
    let near = [last, None].into_iter().find_map(&mut look);
    let others = || link::namespaces().unwrap_or_default().into_iter().map(Some);
    near.or_else(|| others().find_map(look)).unwrap_or_default()
}

/// What is seen of an interface without looking at others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The program that runs on it.
    program: u32,
    /// Its index where it is.
    index: u32,
    /// What has this index here.
    here: Option<String>,
}

impl Seen {
    /// Of the interface that this link is on.
    pub fn of(link: &LinkInfo) -> Option<Seen> {
        let LinkTypeInfo::Xdp(xdp) = &link.info else { return None };
        Some(Seen { program: link.prog_id, index: xdp.ifindex, here: name_here(xdp.ifindex) })
    }
}

fn name_here(index: u32) -> Option<String> {
    // nix takes it that a name without a byte was found where there is none.
    let name = if_indextoname(index).ok().filter(|name| !name.is_empty())?;
    Some(name.to_string_lossy().into_owned())
}

/// By namespace, the names of the interfaces, by the programs on them. Each namespace
/// is asked once, however many interfaces are looked for: it tells all that it has.
pub struct Tables<'a> {
    read: &'a dyn Fn(Option<i32>) -> io::Result<Vec<Interface>>,
    known: HashMap<Option<i32>, HashMap<u32, String>>,
}

impl Tables<'_> {
    /// None is known yet.
    pub fn new() -> Tables<'static> {
        Tables { read: &Interface::all_in, known: HashMap::new() }
    }

    fn name(&mut self, namespace: Option<i32>, program: u32) -> Option<String> {
        let names = self.known.entry(namespace).or_insert_with(|| {
            // One that may not be looked into has nothing to show.
            let all = (self.read)(namespace).unwrap_or_default();
            let of = |iface: &Interface| {
                let name = iface.name.clone();
                iface.xdp.clone().into_iter().map(move |xdp| (xdp.id, name.clone()))
            };
            all.iter().flat_map(of).collect()
        });
        names.get(&program).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::probe::link::{Attached, Place};

    #[test]
    fn a_namespace_is_asked_once_for_all_interfaces() {
        let there = |id: u32| Interface {
            name: format!("moved{id}"),
            index: id,
            xdp: vec![Attached { place: Place::Native, id }],
            ..Interface::default()
        };
        let asked = RefCell::new(Vec::new());
        let read = |namespace: Option<i32>| {
            asked.borrow_mut().push(namespace);
            Ok(if namespace == Some(7) { (1..=60).map(there).collect() } else { Vec::new() })
        };
        let mut tables = Tables { read: &read, known: HashMap::new() };
        for id in 1..=60 {
            let mut whereabouts =
                Whereabouts { namespace: Some(7), ..Whereabouts::here(&there(id)) };
            let seen = Seen { program: id, index: id, here: None };
            assert_eq!(whereabouts.look(seen.clone(), &mut tables), None, "as it was");
            whereabouts.name = Some("before".into());
            let renamed = News::Renamed(format!("moved{id}"));
            assert_eq!(whereabouts.look(seen, &mut tables), Some(renamed));
        }
        assert_eq!(*asked.borrow(), [Some(7)]);
    }

    #[test]
    fn an_index_that_nothing_has_has_no_name() {
        assert_eq!(name_here(1).as_deref(), Some("lo"));
        assert_eq!(name_here(i32::MAX as u32), None);
    }
}
