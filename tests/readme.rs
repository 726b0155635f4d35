//! Every xdplog command that the README shows works as shown, in a namespace
//! whose interfaces have the names that it uses.

mod common;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::frames::{syn6, udp4};
use common::net::{Net, ip_batch};
use common::process::{BIN, PATIENCE};
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
        let mut child = Command::new("ip")
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
        while child.try_wait().unwrap().is_none() {
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
                kill(Pid::from_raw(-(child.id() as i32)), Signal::SIGINT).unwrap();
            }
            std::thread::yield_now();
        }
        let output = child.wait_with_output().unwrap();
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
        if !["-f ", "--format", "--compress", ".pcapng"].iter().any(|word| command.contains(word)) {
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
    let help = String::from_utf8(help.stdout).unwrap();
    let options: Vec<&str> = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .filter(|word| !["--help", "--version", "--ipv4", "--ipv6"].contains(word))
        .collect();
    assert!(options.len() >= 7, "{options:?}");
    for option in options {
        assert!(README.contains(option), "{option} is not in the README");
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
