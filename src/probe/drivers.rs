//! Which mode costs the host least, by the interface's driver, and what it costs
//! where that is much. The figures are those of `make bench-host`.

#![forbid(unsafe_code)]

use crate::config::Mode;

/// A driver on which native mode costs the host more than generic mode does.
#[derive(Debug)]
pub struct Costly {
    /// The driver's name.
    pub driver: &'static str,
    /// What native mode does there, a verb first.
    pub native: &'static str,
    /// What generic mode does.
    pub generic: &'static str,
}

/// All such drivers that are known. Not among them are those for which the driver
/// has no native mode: it refuses, and generic mode is taken then.
///
/// veth: native mode takes segmentation offload from the other end, whose kernel
/// then cuts each segment by itself, and receives through a ring of 256 frames
/// (`veth_xdp_set()` and `VETH_RING_SIZE` of `drivers/net/veth.c`). Generic mode
/// copies what a sender still has a share in, as TCP has in all that it sends
/// (`netif_skb_check_for_xdp()` of `net/core/dev.c`).
const COSTLY: [Costly; 1] = [Costly {
    driver: "veth",
    native: "takes most of a TCP stream's throughput, and loses packets of several senders",
    generic: "takes up to a fifth of a TCP stream's throughput",
}];

impl Costly {
    /// All of them.
    pub fn all() -> &'static [Costly] {
        &COSTLY
    }

    /// What is known of a driver.
    fn find(driver: Option<&str>) -> Option<&'static Costly> {
        COSTLY.iter().find(|costly| Some(costly.driver) == driver)
    }
}

/// The mode to begin with, of an interface with this driver: what was asked for, or
/// what costs least.
pub fn first_choice(asked: Mode, driver: Option<&str>) -> Mode {
    match (asked, Costly::find(driver)) {
        (Mode::Auto, Some(_)) => Mode::Generic,
        _ => asked,
    }
}

/// The features that were on and are not any more.
pub fn lost(before: &[String], now: &[String]) -> Vec<String> {
    before.iter().filter(|feature| !now.contains(feature)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_on_and_is_not() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let before = names(&["rx-gro", "rx-lro", "rx-gro-hw"]);
        assert_eq!(lost(&before, &names(&["rx-gro", "tx-nocache-copy"])), ["rx-lro", "rx-gro-hw"]);
        assert_eq!(lost(&before, &before), [""; 0]);
    }

    #[test]
    fn generic_where_native_is_dear() {
        assert_eq!(first_choice(Mode::Auto, Some("veth")), Mode::Generic);
        for driver in [Some("virtio_net"), Some("ice"), Some("tun"), None] {
            assert_eq!(first_choice(Mode::Auto, driver), Mode::Auto, "{driver:?}");
        }
        assert_eq!(first_choice(Mode::Native, Some("veth")), Mode::Native, "as asked");
        assert_eq!(first_choice(Mode::Generic, Some("ice")), Mode::Generic);
    }
}
