//! The figures as a table for people, as JSON, and as a plot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::contender::{ALL, CAPTURES, CAPTURES_AND_XDPDUMP, Contender, FORMATS};
use crate::measure::Results;

/// Print the table; write `bench.json`, `bench.md` and `bench.svg` to `out`.
pub fn write(results: &Results, out: &Path) {
    let table = table(results);
    println!("{table}");
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).unwrap();
        println!("{}", path.display());
    };
    write("bench.md", &table);
    write("bench.json", &format!("{:#}\n", json(results)));
    write("bench.svg", &plot(results));
}

/// What machine this is.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |line| line.trim_start_matches(['\t', ' ', ':']));
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virt = if cpus.contains(" hypervisor") { ", virtual machine" } else { "" };
    format!("{count} × {model}{virt}, Linux {}", kernel.trim())
}

fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 0.1 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

/// A row for each of `whose`, a column for each of `columns`.
fn by_row(
    results: &Results,
    text: &mut String,
    heading: &str,
    whose: &[Contender],
    columns: &[(&'static str, &str)],
) {
    let labels: Vec<&str> = columns.iter().map(|column| column.1).collect();
    let _ = writeln!(text, "\n| {heading} | {} |", labels.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(labels.len()));
    for contender in whose {
        let name = contender.name();
        let cells: Vec<String> =
            columns.iter().map(|(what, _)| cell(results.median(what, name))).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
}

/// The tables of formats, and of those that write frames.
fn formats(results: &Results, text: &mut String) {
    by_row(
        results,
        text,
        "frames of 60 bytes",
        &FORMATS,
        &[
            ("format ns", "ns to format one"),
            ("format bytes", "bytes"),
            ("format ns per byte", "ns per byte"),
            ("format M/s", "M packets/s logged into /dev/null¹"),
            ("format share", "share of these"),
            ("format veth share", "share over veth, flat out, into a file"),
            ("format CPU s per M", "CPU s per million"),
        ],
    );
    long_frames(results, text, &CAPTURES);
}

fn long_frames(results: &Results, text: &mut String, whose: &[Contender]) {
    by_row(
        results,
        text,
        "frames of 1500 bytes over veth, flat out",
        whose,
        &[
            ("long share", "share logged"),
            ("long ns", "ns per packet on its path"),
            ("long CPU s per M", "CPU s per million"),
        ],
    );
}

/// What was measured of those that write frames alone, as a table for people.
pub fn captures(results: &Results) -> String {
    let mut text = format!("{}; medians of {} rounds.\n", machine(), results.rounds);
    let whose: Vec<Contender> =
        [Contender::Nothing].into_iter().chain(CAPTURES_AND_XDPDUMP).collect();
    long_frames(results, &mut text, &whose);
    text
}

fn table(results: &Results) -> String {
    let mut text = format!("{}; medians of {} rounds.\n\n", machine(), results.rounds);
    let rows = [
        ("ns", "ns per packet in the program¹"),
        ("null M/s", "M packets/s logged into /dev/null¹"),
        ("file M/s", "M packets/s logged into a file¹"),
        ("veth M/s", "M packets/s over veth, flat out"),
        ("veth share", "share logged of these"),
        ("CPU s per M", "CPU s per million logged"),
        ("lone ms", "ms to a lone packet's line"),
        ("start ms", "ms to start"),
        ("memory MiB", "MiB resident"),
    ];
    let names: Vec<&str> = ALL.iter().map(|contender| contender.name()).collect();
    let _ = writeln!(text, "| | {} |", names.join(" | "));
    let _ = writeln!(text, "| --- |{}", " ---: |".repeat(names.len()));
    for (what, label) in rows {
        let cells: Vec<String> =
            names.iter().map(|name| cell(results.median(what, name))).collect();
        let _ = writeln!(text, "| {label} | {} |", cells.join(" | "));
    }
    let of = |what, whose| cell(results.median(what, whose));
    let _ = writeln!(
        text,
        "\n¹ BPF_PROG_TEST_RUN on one CPU. An empty program there takes {} ns, parsing and taking the \
         time alone {} ns.\n\nOver veth with an empty XDP program: {} M packets/s. xdplog: a line within {} ms \
         in traffic of 0.2 M packets/s; {} % of a core when idle. Of xdplog's packets over veth, all kinds: share logged {} \
         from 1 source at {} ns each, {} from a million at {} ns, {} of IPv6 at {} ns, {} of 1500 \
         bytes at {} ns.",
        of("ns", "empty"),
        of("ns", "parse only"),
        of("veth M/s", Contender::Nothing.name()),
        of("ms in 0.2 M/s", "xdplog"),
        of("idle %", "xdplog"),
        of("veth share", "1 source"),
        of("ns over veth", "1 source"),
        of("veth share", "1 M sources"),
        of("ns over veth", "1 M sources"),
        of("veth share", "IPv6"),
        of("ns over veth", "IPv6"),
        of("veth share", "1500 bytes"),
        of("ns over veth", "1500 bytes"),
    );
    formats(results, &mut text);
    let ratio = |what, a, b| Some(results.median(what, a)? / results.median(what, b)?);
    let veth_ns = |whose| results.median("veth M/s", whose).map(|rate| 1e3 / rate);
    let added = |whose| Some(veth_ns(whose)? - veth_ns(Contender::Nothing.name())?);
    let tutorial = Contender::Tutorial.name();
    let _ = writeln!(text, "\n| ratio | |\n| --- | ---: |");
    for (label, value) in [
        ("program: logging / parse only", ratio("ns", "xdplog", "parse only")),
        (
            "ns added to a packet over veth: tutorial's / xdplog's",
            added(tutorial).zip(added("xdplog")).map(|(t, x)| t / x),
        ),
        ("logged/s into a file: xdplog / tutorial's", ratio("file M/s", "xdplog", tutorial)),
        (
            "packet path over veth: xdplog / empty program",
            ratio("veth M/s", "xdplog", Contender::Nothing.name()),
        ),
        ("CPU per million: tutorial's / xdplog", ratio("CPU s per M", tutorial, "xdplog")),
        (
            "CPU per million: tcpdump -nn -l / xdplog",
            ratio("CPU s per M", Contender::TcpdumpText.name(), "xdplog"),
        ),
        (
            "CPU per million: tcpdump -w / xdplog",
            ratio("CPU s per M", Contender::TcpdumpWrite.name(), "xdplog"),
        ),
        (
            "CPU per million, 128 bytes of each frame: tcpdump -w / xdplog",
            ratio(
                "long CPU s per M",
                Contender::TcpdumpWriteShort.name(),
                Contender::XdplogPcapngShort.name(),
            ),
        ),
        (
            "CPU per million, whole frames: tcpdump -w / xdplog",
            ratio(
                "long CPU s per M",
                Contender::TcpdumpWrite.name(),
                Contender::XdplogPcapng.name(),
            ),
        ),
        ("ns over veth: 1 M sources / 1 source", ratio("ns over veth", "1 M sources", "1 source")),
    ] {
        let _ = writeln!(text, "| {label} | {} |", cell(value));
    }
    text
}

fn json(results: &Results) -> Value {
    let mut figures = Map::new();
    for (&(what, whose), samples) in &results.figures {
        let entry = figures.entry(what).or_insert_with(|| json!({}));
        entry[whose] = json!({ "median": results.median(what, whose), "samples": samples });
    }
    let shares: Map<String, Value> = results
        .shares
        .iter()
        .map(|(name, points)| {
            let points = points.iter().map(|(rate, share)| json!({ "rate": rate, "share": share }));
            (name.to_string(), points.collect())
        })
        .collect();
    json!({ "machine": machine(), "rounds": results.rounds, "figures": figures, "share_by_rate": shares })
}

/// Share logged against offered rate, on a logarithmic axis.
fn plot(results: &Results) -> String {
    const COLOURS: [&str; 5] = ["#c0392b", "#7f8c8d", "#2980b9", "#27ae60", "#8e44ad"];
    let (width, height, left, top) = (640.0, 320.0, 60.0, 30.0);
    let x = |rate: f64| left + (rate.log10() - 3.0) / 3.5 * width;
    let y = |share: f64| top + (1.0 - share.clamp(0.0, 1.0)) * height;
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 420\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"900\" height=\"420\" fill=\"white\"/>\n",
    );
    for (rate, label) in [(1e3, "1 k"), (1e4, "10 k"), (1e5, "100 k"), (1e6, "1 M")] {
        let _ = writeln!(
            svg,
            "<path d=\"M{0} {top}V{1}\" stroke=\"#ddd\"/><text x=\"{0}\" y=\"{2}\" text-anchor=\"middle\">{label}</text>",
            x(rate),
            top + height,
            top + height + 18.0
        );
    }
    for percent in [0, 25, 50, 75, 100] {
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {0}H{1}\" stroke=\"#ddd\"/><text x=\"{2}\" y=\"{3}\" text-anchor=\"end\">{percent} %</text>",
            y(f64::from(percent) / 100.0),
            left + width,
            left - 8.0,
            y(f64::from(percent) / 100.0) + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">packets a second offered over veth</text>\n\
         <text x=\"{left}\" y=\"18\">share logged one by one</text>",
        left + width / 2.0,
        top + height + 42.0
    );
    for (i, (contender, colour)) in ALL.into_iter().zip(COLOURS).enumerate() {
        let name = contender.name();
        let points = results.shares.get(name).map_or(&[][..], Vec::as_slice);
        let line: Vec<String> =
            points.iter().map(|&(rate, share)| format!("{:.1},{:.1}", x(rate), y(share))).collect();
        let at = top + 14.0 + 22.0 * i as f64;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>\n\
             <path d=\"M720 {}h24\" stroke=\"{colour}\" stroke-width=\"2.5\"/><text x=\"750\" y=\"{at}\">{name}</text>",
            line.join(" "),
            at - 4.0
        );
    }
    svg + "</svg>\n"
}
