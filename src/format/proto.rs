//! What IP protocols are called.

#![forbid(unsafe_code)]

use super::line::Chunk;

/// The keywords of IANA's "Assigned Internet Protocol Numbers", in lower case,
/// by number; but icmpv6, which all the world says for ipv6-icmp. Empty where
/// there is none.
#[rustfmt::skip]
const KEYWORDS: [&str; 147] = [
    "hopopt", "icmp", "igmp", "ggp", "ipv4", "st", "tcp", "cbt", "egp", "igp", "bbn-rcc-mon",
    "nvp-ii", "pup", "argus", "emcon", "xnet", "chaos", "udp", "mux", "dcn-meas", "hmp", "prm",
    "xns-idp", "trunk-1", "trunk-2", "leaf-1", "leaf-2", "rdp", "irtp", "iso-tp4", "netblt",
    "mfe-nsp", "merit-inp", "dccp", "3pc", "idpr", "xtp", "ddp", "idpr-cmtp", "tp++", "il",
    "ipv6", "sdrp", "ipv6-route", "ipv6-frag", "idrp", "rsvp", "gre", "dsr", "bna", "esp", "ah",
    "i-nlsp", "swipe", "narp", "min-ipv4", "tlsp", "skip", "icmpv6", "ipv6-nonxt", "ipv6-opts",
    "", "cftp", "", "sat-expak", "kryptolan", "rvd", "ippc", "", "sat-mon", "visa", "ipcv",
    "cpnx", "cphb", "wsn", "pvp", "br-sat-mon", "sun-nd", "wb-mon", "wb-expak", "iso-ip",
    "vmtp", "secure-vmtp", "vines", "iptm", "nsfnet-igp", "dgp", "tcf", "eigrp", "ospfigp",
    "sprite-rpc", "larp", "mtp", "ax.25", "ipip", "micp", "scc-sp", "etherip", "encap", "",
    "gmtp", "ifmp", "pnni", "pim", "aris", "scps", "qnx", "a/n", "ipcomp", "snp", "compaq-peer",
    "ipx-in-ip", "vrrp", "pgm", "", "l2tp", "ddx", "iatp", "stp", "srp", "uti", "smp", "sm",
    "ptp", "isis over ipv4", "fire", "crtp", "crudp", "sscopmce", "iplt", "sps", "pipe", "sctp",
    "fc", "rsvp-e2e-ignore", "mobility header", "udplite", "mpls-in-ip", "manet", "hip",
    "shim6", "wesp", "rohc", "ethernet", "aggfrag", "nsh", "homa",
];

/// The longest of them.
pub const MAX_KEYWORD: usize = "rsvp-e2e-ignore".len();

/// The keyword of a protocol, if it has one.
pub const fn keyword(proto: u8) -> Option<&'static str> {
    if proto as usize >= KEYWORDS.len() || KEYWORDS[proto as usize].is_empty() {
        return None;
    }
    Some(KEYWORDS[proto as usize])
}

/// For each protocol its keyword between two texts, or its number where it has
/// none, and then with `before_number` before it.
pub const fn chunks<const N: usize>(
    before: &[u8],
    before_number: &[u8],
    after: &[u8],
) -> [Chunk<N>; 256] {
    let mut all = [Chunk::of(&[]); 256];
    let mut proto = 0;
    while proto < 256 {
        all[proto] = match keyword(proto as u8) {
            Some(keyword) => Chunk::of(&[before, keyword.as_bytes(), after]),
            None => Chunk::of(&[before, before_number, decimal(&digits(proto as u8)), after]),
        };
        proto += 1;
    }
    all
}

const fn digits(number: u8) -> [u8; 3] {
    [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10]
}

/// Without leading zeros.
const fn decimal(digits: &[u8; 3]) -> &[u8] {
    let zeros = if digits[0] != b'0' {
        0
    } else if digits[1] != b'0' {
        1
    } else {
        2
    };
    digits.split_at(zeros).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_each_part_of_the_list() {
        for (number, name) in [
            (0, "hopopt"),
            (1, "icmp"),
            (6, "tcp"),
            (17, "udp"),
            (33, "dccp"),
            (47, "gre"),
            (50, "esp"),
            (58, "icmpv6"),
            (89, "ospfigp"),
            (112, "vrrp"),
            (132, "sctp"),
            (136, "udplite"),
            (138, "manet"),
            (139, "hip"),
            (140, "shim6"),
            (141, "wesp"),
            (145, "nsh"),
            (146, "homa"),
        ] {
            assert_eq!(keyword(number), Some(name));
        }
        for number in [61, 63, 68, 99, 114, 147, 253, 255] {
            assert_eq!(keyword(number), None, "{number}");
        }
        let chunks = chunks::<32>(b"<", b"proto ", b">");
        let texts = [6, 61, 253].map(|proto: usize| chunks[proto].text().to_vec());
        assert_eq!(texts, [&b"<tcp>"[..], b"<proto 61>", b"<proto 253>"]);
        assert!(KEYWORDS.iter().all(|keyword| keyword.len() <= MAX_KEYWORD));
    }
}
