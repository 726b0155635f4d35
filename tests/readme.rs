//! Every xdplog command that the README and the manual page show works as shown, in a
//! namespace whose interfaces have the names that they use.

mod common;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::frames::{syn6, udp4};
use common::net::{Net, ip_batch};
use common::process::{BIN, PATIENCE, heed_signals};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const README: &str = include_str!("../README.md");

/// The lines of all blocks of this language.
fn blocks(language: &str) -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            inside = fence == language;
        } else if inside {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn commands() {
    let commands: Vec<&str> = blocks("sh")
        .into_iter()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("sudo "))
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    work(&commands);
}

/// The manual page, as it is installed.
fn manual() -> String {
    let output = Command::new(BIN).arg("man").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn examples_of_the_manual_page() {
    let manual = manual();
    let examples = manual.split(".SH EXAMPLES\n").nth(1).unwrap();
    let examples = examples.split(".SH").next().unwrap().replace("\\-", "-");
    // As roff has an apostrophe.
    let examples = examples.replace("\\*(Aq", "'");
    let commands: Vec<&str> =
        examples.lines().filter_map(|line| line.strip_prefix("sudo ")).collect();
    assert_eq!(commands.len(), examples.matches(".EX").count());
    assert!(commands.len() >= 5, "{commands:?}");
    work(&commands);
}

/// The page is shown, and neither of the two programs that do so has any complaint.
#[test]
fn the_manual_page_has_no_faults() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("xdplog.1");
    std::fs::write(&path, manual()).unwrap();
    let path = path.to_str().unwrap();
    let lint = Command::new("mandoc").args(["-T", "lint", path]).output();
    let lint = lint.expect("mandoc (`TEST=1 make deps`)");
    assert!(lint.stdout.is_empty(), "{}", String::from_utf8_lossy(&lint.stdout));
    let shown = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l", path])
        .envs([("MANWIDTH", "80"), ("LC_ALL", "C.UTF-8")])
        .output()
        .expect("man (`TEST=1 make deps`)");
    let complaints = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && complaints.is_empty(), "{complaints}");
    // Wherever it broke the lines.
    let shown = String::from_utf8(shown.stdout).unwrap();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SIGNALS",
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
        "[-c|--count N]",
        "[IFACE]... xdplog [OPTIONS] -i|--interface IFACE [-i|--interface IFACE]...",
        "[--mode auto|native|generic]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let help = Command::new(BIN).arg("--help").output().unwrap();
    for option in options(&String::from_utf8(help.stdout).unwrap()) {
        assert!(shown.contains(&option), "{option}: {shown}");
    }
}

/// The long options that a text names.
fn options(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || ",.;)".contains(c));
    let options = words.filter(|word| word.starts_with("--") && word.len() > 2);
    let options: Vec<String> = options.map(str::to_string).collect();
    assert!(options.len() >= 20, "{options:?}");
    options
}

/// Each of these commands works: it logs what is sent, and ends well.
fn work(commands: &[&str]) {
    heed_signals();
    let net = Net::new();
    net.add_pair(1);
    net.add_pair(2);
    for (from, to) in [("here0", "eth0"), ("here1", "eth1"), ("here2", "wlan0")] {
        let script = format!("link set {from} down\nlink set {from} name {to}\nlink set {to} up\n");
        ip_batch(&net.here, &script);
    }
    let dir = tempfile::tempdir().unwrap();
    for command in commands {
        let script = command.replace("xdplog", BIN);
        let child = Command::new("ip")
            // Not sh: dash would end by the signal itself, whatever xdplog answers.
            .args(["netns", "exec", &net.here, "bash", "-c", &script])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        // Packets until it has enough of them, or Ctrl-C after it had some.
        let endless = !["-c ", "--duration", "head"].iter().any(|word| command.contains(word));
        let taps = [net.tap_there(0), net.tap_there(1), net.tap_there(2)];
        let since = Instant::now();
        let mut interrupted = false;
        let pid = Pid::from_raw(-(child.id() as i32));
        // Read as it comes, as what nobody reads is lost.
        let ended = std::thread::spawn(|| child.wait_with_output().unwrap());
        while !ended.is_finished() {
            assert!(since.elapsed() < PATIENCE, "{command} does not end");
            for tap in &taps {
                tap.send(&udp4("10.1.2.3".parse().unwrap(), 18));
                tap.send(&syn6("fd99::5".parse().unwrap()));
            }
            if endless && !interrupted && attached(&net) {
                interrupted = true;
                for tap in &taps {
                    tap.send(&udp4("10.1.2.3".parse().unwrap(), 18));
                }
                kill(pid, Signal::SIGINT).unwrap();
            }
            std::thread::yield_now();
        }
        let output = ended.join().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {stderr}");
        // On stdout, or in the files that it names.
        let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut written = output.stdout;
        for file in files {
            written.extend(std::fs::read(&file).unwrap());
            std::fs::remove_file(file).unwrap();
        }
        assert!(!written.is_empty(), "{command}: {stderr}");
        if !["-f ", "--format", "--compress", ".pcapng", ".json", " -D"]
            .iter()
            .any(|word| command.contains(word))
        {
            assert!(written.starts_with(b"LOG: SRC "), "{command}: {stderr}");
        }
    }
}

fn attached(net: &Net) -> bool {
    net.here(|| common::net::run("ip", &["-o", "link"])).contains("prog/xdp id")
}

#[test]
fn every_option_is_in_the_readme_and_in_the_help() {
    let help = Command::new(BIN).arg("--help").output().unwrap();
    for option in options(&String::from_utf8(help.stdout).unwrap()) {
        let is_obvious = ["--help", "--version", "--ipv4", "--ipv6"].contains(&option.as_str());
        assert!(is_obvious || README.contains(&option), "{option} is not in the README");
    }
}

#[test]
fn the_summary_has_the_keys_shown() {
    let shown: serde_json::Value = serde_json::from_str(blocks("json summary")[0]).unwrap();
    let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
    let net = Net::new();
    let args = ["here0", "--duration", "10ms", "--stats-format", "json"];
    let real = common::process::run(&net, &args).summary();
    assert_eq!(keys, real.as_object().unwrap().keys().collect::<Vec<_>>());
}
