//! Wrong usage: a refusal that is the command line's, not the machine's; and what
//! looks like a filter expression, which only whoever knows the interfaces can tell.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;

use crate::names::plain;

/// What is wrong, and what to do next; its exit status is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    what: String,
    next: String,
}

impl UsageError {
    /// `what` is wrong; `next` is to be done about it.
    pub fn new(what: impl Into<String>, next: impl Into<String>) -> UsageError {
        UsageError { what: what.into(), next: next.into() }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments are quoted in it, and it is one line.
        f.write_str(&plain(&format!("{}. Next: {}", self.what, self.next)))
    }
}

impl Error for UsageError {}

/// Words that filter expressions begin with or consist of: pcap-filter(7).
const KEYWORDS: &[&str] = &[
    "host",
    "net",
    "port",
    "portrange",
    "src",
    "dst",
    "ether",
    "ip",
    "ip6",
    "arp",
    "rarp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "igmp",
    "sctp",
    "vlan",
    "mpls",
    "proto",
    "gateway",
    "less",
    "greater",
    "broadcast",
    "multicast",
    "inbound",
    "outbound",
    "not",
    "and",
    "or",
    "!",
    "(",
];

/// What to say of `words` if a filter expression is what they look like.
pub fn expression(words: &[String]) -> Option<UsageError> {
    let first = words.first()?.trim_start_matches(['(', '!', ' ']);
    let first = first.split([' ', '[']).next().unwrap_or_default();
    if !(KEYWORDS.contains(&first) || first.is_empty() && !words[0].is_empty()) {
        return None;
    }
    Some(UsageError::new(
        format!(
            "`{}` looks like a filter expression, and these are not supported",
            words.join(" ")
        ),
        "use -4 or -6 for one family, or filter what is logged: `xdplog -f json ... | jq \
         'select(.dport == 53)'`, `xdplog -f pcapng ... | tshark -r - -Y 'udp.port == 53'`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|word| word.to_string()).collect()
    }

    #[test]
    fn expressions_and_what_is_none() {
        for text in [
            &["port", "53"][..],
            &["port 53"],
            &["tcp[tcpflags] & tcp-syn != 0"],
            &["!", "arp"],
            &["!arp"],
            &["(src host 10.0.0.1)"],
            &["not", "port", "22"],
            &["icmp"],
        ] {
            let said = expression(&words(text)).expect(text[0]).to_string();
            assert!(said.starts_with(&format!("`{}` looks like", text.join(" "))), "{said}");
        }
        for text in [&["eth0"][..], &["eth0", "port", "53"], &["portal0"], &[""], &[]] {
            assert_eq!(expression(&words(text)), None, "{text:?}");
        }
    }
}
