//! Which of the interfaces are meant. Nothing is changed here.

#![forbid(unsafe_code)]

use std::fs;

use anyhow::{Context, Error, Result};

use super::advice;
use super::link::Interface;
use crate::bpf::MAX_IFACES;
use crate::usage;

impl Interface {
    /// The interfaces that go by `names`, in their order, each once, however many of
    /// its names are among them; `is_default` if it was not the user who said so. They
    /// have a [`link_type`](Interface::link_type).
    pub fn find(names: &[String], is_default: bool) -> Result<Vec<Interface>> {
        let all = Interface::all().context("cannot list the network interfaces")?;
        let mut found: Vec<Interface> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let iface = all.iter().find(|iface| iface.is_called(name)).ok_or_else(|| {
                // Only now, as an interface may be called `port`.
                if let Some(expression) = usage::expression(&names[at..]) {
                    return expression.into();
                }
                let present: Vec<String> = all.iter().map(|iface| iface.name.clone()).collect();
                let route = default_route();
                advice::no_such_interface(name, is_default, route.as_deref(), &present)
            })?;
            if iface.link_type().is_none() {
                return Err(iface.no_link_type());
            }
            if !found.contains(iface) {
                found.push(iface.clone());
            }
        }
        Ok(found)
    }

    fn no_link_type(&self) -> Error {
        advice::no_link_type(&self.name, &self.hardware_name())
    }

    /// All interfaces that are up, and those that go by `names`; and what is to be
    /// said of those that are not among them for another reason than to be down.
    pub fn find_up(names: &[String]) -> Result<(Vec<Interface>, Vec<String>)> {
        let all = Interface::all().context("cannot list the network interfaces")?;
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        for iface in all.into_iter().filter(Interface::is_up) {
            if let Some(program) = iface.xdp.first() {
                left_out.push(advice::left_out_occupied(&iface.name, program.id));
            } else if iface.link_type().is_none() {
                left_out.push(advice::left_out(&iface.no_link_type()));
            } else {
                found.push(iface);
            }
        }
        for iface in Interface::find(names, false)? {
            if found.iter().all(|other| other.index != iface.index) {
                found.push(iface);
            }
        }
        match found.len() {
            0 => Err(advice::none_is_up()),
            1..=MAX_IFACES => Ok((found, left_out)),
            count => Err(advice::too_many_are_up(count, MAX_IFACES)),
        }
    }
}

/// The interface of the default route, IPv4's before IPv6's.
fn default_route() -> Option<String> {
    // The thread's own network namespace, whatever is mounted on /sys.
    let v4 = fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/thread-self/net/ipv6_route").unwrap_or_default();
    parse_route(&v4).or_else(|| parse_ipv6_route(&v6)).map(str::to_string)
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask ...`, under a heading.
fn parse_route(table: &str) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000"))
            .then(|| fields[0])
    })
}

/// `destination prefix source prefix nexthop metric ... flags iface`; the
/// kernel's own unreachable default goes over lo.
fn parse_ipv6_route(table: &str) -> Option<&str> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.first()?.bytes().all(|b| b == b'0') && fields.get(1) == Some(&"00");
        fields.get(9).copied().filter(|&iface| is_default && iface != "lo")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
            docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n\
            enp1s0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\n";
        assert_eq!(parse_route(table), Some("enp1s0"));
        assert_eq!(parse_route("Iface\tDestination\n"), None);
        let zeros = "0".repeat(32);
        let table = format!(
            "{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200       lo\n\
             {zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 wlp2s0\n"
        );
        assert_eq!(parse_ipv6_route(&table), Some("wlp2s0"));
    }
}
