//! What the watched interfaces are called by now, for all who name them. How a new
//! name is found out is not known here.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The names, by slot, each unlike the others.
#[derive(Debug)]
pub struct Names {
    now: Mutex<Arc<[String]>>,
    /// How often they changed.
    changes: AtomicU64,
}

impl Names {
    /// The interfaces are called this at first.
    pub fn new(names: impl IntoIterator<Item = String>) -> Names {
        Names { now: Mutex::new(names.into_iter().collect()), changes: AtomicU64::new(0) }
    }

    /// As they are now.
    pub fn now(&self) -> Arc<[String]> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often they changed: who has seen so many knows what they are.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Interfaces have new names, by slot. One of another namespace can be called as
    /// one here is: then it keeps the name that it had.
    pub fn change(&self, renamed: &[(usize, String)]) {
        let before = self.now();
        let mut names = before.to_vec();
        for (slot, name) in renamed {
            names[*slot].clone_from(name);
        }
        let is_double = |names: &[String], slot: usize| {
            names.iter().enumerate().any(|(other, name)| other != slot && *name == names[slot])
        };
        // Those that they had are all different, so this comes to an end.
        while let Some(slot) =
            (0..names.len()).find(|&slot| names[slot] != before[slot] && is_double(&names, slot))
        {
            names[slot].clone_from(&before[slot]);
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = names.into();
        self.changes.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(names: &[&str], renamed: &[(usize, &str)]) -> Vec<String> {
        let names = Names::new(names.iter().map(|name| name.to_string()));
        let renamed: Vec<_> = renamed.iter().map(|&(at, name)| (at, name.to_string())).collect();
        names.change(&renamed);
        assert_eq!(names.changes(), 1);
        names.now().to_vec()
    }

    #[test]
    fn no_two_have_the_same_name() {
        assert_eq!(changed(&["a", "b"], &[(1, "c")]), ["a", "c"]);
        assert_eq!(changed(&["a", "b"], &[(0, "b"), (1, "a")]), ["b", "a"], "exchanged");
        assert_eq!(changed(&["a", "b"], &[(0, "b")]), ["a", "b"], "b is in another namespace");
        assert_eq!(changed(&["a", "b", "c"], &[(0, "b"), (2, "a")]), ["a", "b", "c"]);
        assert_eq!(changed(&["a", "b"], &[(0, "x"), (1, "x")]), ["a", "x"]);
    }
}
