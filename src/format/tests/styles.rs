//! What `-e`, `-x`, `-X` and `-t` make of lines and objects.

use proptest::prelude::*;

use super::any::{any_record, any_summary, long_names, one_line};
use super::*;

/// The second interface is one without Ethernet.
const LINKS: [LinkType; 2] = [LinkType::Ethernet, LinkType::Ip];

/// The bytes of a frame, of which the record says what else there is.
const FRAME: &[u8] = b"\x02\x00\x00\x00\x00\x0a\x02\x00\x00\x00\x00\x0b\x08\x00E ~\x7f";

fn styled<const BYTES: bool>(style: Style, links: &[LinkType]) -> Text<true, BYTES> {
    Text::styled(&names(), wall(), cet(), links, &style)
}

fn text<const BYTES: bool>(style: Style, record: &Record, bytes: &[u8]) -> String {
    let text = formatted(&mut styled::<BYTES>(style, &LINKS), record, bytes);
    String::from_utf8(text).unwrap()
}

#[test]
fn times_of_each_style() {
    let record = Fields { l4: ports(1, 2), ..V4 }.record();
    for (times, want) in [
        (TimeStyle::TimeOfDay, "20:07:15.123456 eth0  "),
        (TimeStyle::None, "eth0  "),
        (TimeStyle::Epoch, "1795460835.123456 eth0  "),
        (TimeStyle::SincePrevious, " 00:00:00.000000 eth0  "),
        (TimeStyle::DateAndTime, "2026-11-23 20:07:15.123456 eth0  "),
        (TimeStyle::SinceFirst, " 00:00:00.000000 eth0  "),
    ] {
        let rest = "   PASS     IP  10.1.2.3.1 > 10.99.0.1.2: udp, length 60\n";
        let style = Style { times, ..Style::default() };
        assert_eq!(text::<false>(style.clone(), &record, &[]), format!("{want}{rest}"));
        assert_eq!(text::<true>(style, &record, FRAME), format!("{want}{rest}"));
    }
}

#[test]
fn mac_addresses() {
    let style = Style { macs: true, times: TimeStyle::None, ..Style::default() };
    let line = |record: &Record, bytes: &[u8]| text::<true>(style.clone(), record, bytes);
    let macs = "02:00:00:00:00:0b > 02:00:00:00:00:0a, ";
    let four = |macs| format!("eth0     PASS     {macs}IP  10.1.2.3 > 10.99.0.1: udp, length 60\n");
    let six = format!("eth0     PASS     {macs}IP6 fd99::5 > 2001:db8::1:0:0:1: udp, length 60\n");
    assert_eq!(line(&V4.record(), FRAME), four(macs));
    assert_eq!(line(&V6.record(), &FRAME[..12]), six);
    // Of what was not captured nothing is made up.
    assert_eq!(line(&V4.record(), &FRAME[..11]), four(""));
    // The second interface has no Ethernet.
    let other = Fields { iface: 1, ..V4 }.record();
    assert!(!line(&other, FRAME).contains("02:00"));
    // Frames that are not IP have them in their records, and most of them in any case.
    let others = others();
    let got: Vec<String> = others.iter().map(|record| line(record, &[])).collect();
    let arp = "eth0     PASS     02:00:00:00:00:0b > 01:80:c2:00:00:0e, ARP, Request who-has";
    assert!(got[0].starts_with(arp), "{}", got[0]);
    for (line, record) in got.iter().zip(&others) {
        let macs = usize::from(record.link().macs().is_some());
        assert_eq!(line.matches("02:00:00:00:00:0b > 01:80:c2:00:00:0e").count(), macs, "{line}");
    }

    let json = |record: &Record, links: &[LinkType]| {
        let line = formatted(&mut Json::<true>::with(&names(), wall(), links), record, FRAME);
        serde_json::from_str::<serde_json::Value>(&String::from_utf8(line).unwrap()).unwrap()
    };
    let object = json(&V4.record(), &LINKS);
    assert_eq!(object["src_mac"], "02:00:00:00:00:0b");
    assert_eq!(object["dst_mac"], "02:00:00:00:00:0a");
    assert_eq!(json(&other, &LINKS).get("src_mac"), None);
}

#[test]
fn bytes_below_a_line() {
    let dump = |ascii, link, snaplen| {
        let style = Style {
            dump: Some(Dump { ascii, link, snaplen }),
            times: TimeStyle::None,
            ..Style::default()
        };
        let (ip, other) = (V4.record(), Fields { iface: 1, ..V4 }.record());
        let tagged = Fields { vlan: &[7], ..V4 }.record();
        [ip, tagged, other].map(|record| {
            let text = text::<true>(style.clone(), &record, FRAME);
            let (line, dump) = text.split_once('\n').unwrap();
            assert!(line.ends_with(" length 60"), "{line}");
            dump.to_string()
        })
    };
    let all = "\t0x0000:  0200 0000 000a 0200 0000 000b 0800 4520\n\t0x0010:  7e7f\n";
    // Behind Ethernet's header, behind its tag, of which all that is left is nothing,
    // and of what has no header.
    assert_eq!(dump(false, false, 100), ["\t0x0000:  4520 7e7f\n", all, all]);
    assert_eq!(dump(false, true, 100), [all; 3]);
    let cut = "\t0x0000:  0200 0000 000a 0200 0000 000b 0800 45\n";
    assert_eq!(dump(false, false, 15), ["\t0x0000:  45\n", cut, cut]);
    let [ip, ..] = dump(true, false, 100);
    assert_eq!(ip, format!("\t0x0000:  4520 7e7f{:32}E.~.\n", ""));
    assert_eq!(dump(true, true, 0), [""; 3]);
}

proptest! {
    #[test]
    fn any_record_fits_each_style(
        record in any_record(),
        summary in any_summary(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let names = long_names();
        for times in [
            TimeStyle::TimeOfDay,
            TimeStyle::None,
            TimeStyle::Epoch,
            TimeStyle::SincePrevious,
            TimeStyle::DateAndTime,
            TimeStyle::SinceFirst,
        ] {
            let dump = Dump { ascii: true, link: true, snaplen: 150 };
            let style = Style { color: true, times, macs: true, dump: Some(dump) };
            let mut text = Text::<true, true>::styled(&names, wall(), cet(), &[], &style);
            let all = formatted(&mut text, &record, &bytes);
            let all = std::str::from_utf8(&all).unwrap();
            prop_assert_eq!(all.lines().count(), 1 + bytes.len().min(150).div_ceil(16));
            prop_assert!(all.lines().skip(1).all(|line| line.starts_with("\t0x")));
            one_line(&summarised(&mut text, &summary));
        }
        let json = formatted(&mut Json::<true>::with(&names, wall(), &[]), &record, &bytes);
        let mut json: serde_json::Value = serde_json::from_str(one_line(&json)).unwrap();
        if !record.is_not_ip() {
            let object = json.as_object_mut().unwrap();
            let macs = [object.remove("src_mac"), object.remove("dst_mac")];
            prop_assert_eq!(macs.map(|mac| mac.is_some()), [bytes.len() >= 12; 2]);
        }
        prop_assert_eq!(json, super::any::expected(&record, &names));
    }
}
