//! What `--list-interfaces` prints: which interfaces there are, and what is to be
//! known of them before one is watched. Nothing is changed here, and it takes no
//! privilege, but for the names of programs.

#![forbid(unsafe_code)]

use std::collections::HashMap;

use anyhow::{Context, Result};

use crate::names::plain;
use crate::probe::{Attached, Interface, Place, native_by_index, program_name};

/// A line for each interface of this thread's network namespace, below a heading.
pub fn interfaces() -> Result<String> {
    let all = Interface::all().context("cannot list the network interfaces")?;
    let native = native_by_index();
    let rows: Vec<[String; 5]> = all.iter().map(|iface| row(iface, native.as_ref())).collect();
    Ok(table(&rows))
}

const HEADING: [&str; 5] = ["INTERFACE", "STATE", "DRIVER", "NATIVE", "XDP PROGRAM"];

fn row(iface: &Interface, native: Option<&HashMap<u32, bool>>) -> [String; 5] {
    let state = match (iface.is_up(), iface.is_running()) {
        (false, _) => "down",
        (true, false) => "no-carrier",
        (true, true) => "up",
    };
    let native = match native.and_then(|native| native.get(&iface.index)) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let driver = iface.driver().or(iface.kind.clone());
    let programs: Vec<String> = iface.xdp.iter().map(program).collect();
    [
        plain(&iface.name),
        state.into(),
        driver.map_or("-".into(), |driver| plain(&driver)),
        native.into(),
        if programs.is_empty() { "-".into() } else { programs.join(", ") },
    ]
}

/// `412 (fw), native`.
fn program(attached: &Attached) -> String {
    let name = program_name(attached.id).map(|name| format!(" ({})", plain(&name)));
    let place = match attached.place {
        Place::Native => "native",
        Place::Generic => "generic",
        Place::Hardware => "hardware",
    };
    format!("{}{} {place}", attached.id, name.unwrap_or_default())
}

/// Columns as wide as they need be; the last one has no end.
fn table(rows: &[[String; 5]]) -> String {
    let heading = HEADING.map(str::to_string);
    let lines = || std::iter::once(&heading).chain(rows);
    let width =
        |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_interface() {
        let up = nix::libc::IFF_UP as u32;
        let mut iface =
            Interface { name: "no\x1bne0".into(), index: 1 << 30, ..Default::default() };
        let row = |iface: &Interface, native: Option<bool>| {
            let native = native.map(|native| HashMap::from([(iface.index, native)]));
            super::row(iface, native.as_ref())
        };
        assert_eq!(row(&iface, None), ["no?ne0", "down", "-", "unknown", "-"]);
        iface.flags = up;
        iface.kind = Some("tun".into());
        iface.xdp = vec![Attached { place: Place::Generic, id: u32::MAX }];
        let program = format!("{} generic", u32::MAX);
        assert_eq!(row(&iface, Some(false)), ["no?ne0", "no-carrier", "tun", "no", &program]);
        iface.flags |= nix::libc::IFF_RUNNING as u32;
        assert_eq!(row(&iface, Some(true))[1..4], ["up", "tun", "yes"]);
    }

    #[test]
    fn columns() {
        let rows = [["a-long-name", "up", "veth", "yes", "-"], ["lo", "down", "-", "unknown", "7"]];
        let rows = rows.map(|row| row.map(str::to_string));
        assert_eq!(
            table(&rows),
            "INTERFACE    STATE  DRIVER  NATIVE   XDP PROGRAM\n\
             a-long-name  up     veth    yes      -\n\
             lo           down   -       unknown  7\n"
        );
    }
}
