//! Which interfaces are watched: by which names, and what becomes of them while
//! they are.

mod common;

use common::frames::frame;
use common::net::{Net, in_ns, ip};
use common::process::{self, Xdplog, assert_refused, count};
use xdplog::probe::Interface;

/// The table as it is in the namespace "here".
fn table(net: &Net) -> Vec<Interface> {
    in_ns(&net.here, || Interface::all().unwrap())
}

fn called(net: &Net, name: &str) -> Interface {
    table(net).into_iter().find(|iface| iface.is_called(name)).unwrap()
}

#[test]
fn the_table_of_links() {
    let net = Net::new();
    let here0 = called(&net, "here0");
    assert_eq!((here0.kind.as_deref(), here0.hardware, here0.mtu), (Some("veth"), 1, 1500));
    assert!(here0.is_up() && here0.is_running() && here0.xdp.is_empty());
    assert_eq!(in_ns(&net.here, || here0.driver()).as_deref(), Some("veth"));
    // Neither here nor in this thread's own namespace.
    assert_eq!(here0.driver(), None);
    let tun = "tuntap add dev tun0 mode tun";
    assert!(ip(&format!("-n {} {tun}", net.here)));
    let tun0 = called(&net, "tun0");
    assert_eq!((tun0.kind.as_deref(), tun0.hardware), (Some("tun"), 0xfffe));
    assert!(!tun0.is_up() && !tun0.is_running());
    assert_eq!(in_ns(&net.here, || tun0.driver()).as_deref(), Some("tun"));

    let (_reader, writer) = process::unread_pipe();
    let xdplog = Xdplog::start_to(&net, &["here0", "--mode", "generic"], writer);
    let xdp = called(&net, "here0").xdp;
    assert_eq!(xdp.len(), 1);
    assert_eq!(xdp[0].place, xdplog::probe::Place::Generic);
    assert_eq!(xdplog.stop().code(), Some(0));
    assert_eq!(called(&net, "here0").xdp, []);
}

#[test]
fn more_links_than_one_answer_holds() {
    let net = Net::new();
    let pair = |i| format!("link add d{i} type veth peer name e{i}\n");
    let commands: String = (0..50).map(pair).collect();
    common::net::ip_batch(&net.here, &commands);
    let names: Vec<String> = table(&net).into_iter().map(|iface| iface.name).collect();
    assert!((0..50).all(|i| names.contains(&format!("d{i}"))), "{names:?}");
}

#[test]
fn an_interface_by_any_of_its_names() {
    let net = Net::new();
    let long = "a-name-that-is-longer-than-an-interface's-own-may-be";
    for name in ["short", long] {
        assert!(ip(&format!("-n {} link property add dev here0 altname {name}", net.here)));
    }
    for names in [&["short"][..], &[long], &["here0", long, "short"]] {
        let args = [names, &["-c", "1", "--stats-format", "json"]].concat();
        let xdplog = Xdplog::start(&net, &args);
        net.tap_there(0).send(&frame());
        let summary = xdplog.end().summary();
        let interfaces = summary["interfaces"].as_object().unwrap();
        assert_eq!(interfaces.keys().collect::<Vec<_>>(), ["here0"], "{names:?}");
        assert_eq!(count(&summary, "logged"), 1);
    }
    assert_refused(&process::run(&net, &["shorter"]), &["no such interface: shorter", "here0"]);
}
