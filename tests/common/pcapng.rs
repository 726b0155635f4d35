//! A pcapng file as the pcap-file crate reads it: an independent hand. What is
//! in the frames is not looked at.

use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::blocks::interface_statistics::InterfaceStatisticsOption;
use pcap_file::pcapng::{Block, PcapNgReader};

/// A file, taken apart.
#[derive(Debug, Default)]
pub struct Capture {
    /// Interfaces by name, and the bytes of each frame that they promise.
    pub ifaces: Vec<(String, u32)>,
    /// What their frames begin with.
    pub links: Vec<DataLink>,
    pub packets: Vec<Packet>,
    /// Comments on what was only counted.
    pub comments: Vec<String>,
    /// What each interface received, and dropped, and was delivered.
    pub counts: Vec<[u64; 3]>,
}

/// One frame.
#[derive(Clone, Debug)]
pub struct Packet {
    pub iface: usize,
    /// Since 1970, in ns.
    pub ns: u128,
    pub data: Vec<u8>,
    /// Bytes that the frame had.
    pub len: u32,
    pub verdict: u64,
    pub queue: u32,
}

impl Capture {
    /// A whole file, of one section.
    pub fn read(file: &[u8]) -> Capture {
        let mut sections = Capture::sections(file);
        assert_eq!(sections.len(), 1);
        sections.remove(0)
    }

    /// A whole file; one that was continued has several sections.
    pub fn sections(file: &[u8]) -> Vec<Capture> {
        let mut reader = PcapNgReader::new(file).expect("a section header");
        let mut sections = vec![Capture::default()];
        while let Some(block) = reader.next_block() {
            match block.expect("a block") {
                Block::SectionHeader(_) => sections.push(Capture::default()),
                block => sections.last_mut().unwrap().add(block),
            }
        }
        sections
    }

    /// As much of a file as there are whole blocks of.
    pub fn read_cut(file: &[u8]) -> Capture {
        let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let mut end = 0;
        while end + 12 <= file.len() && end + word(end + 4) <= file.len() {
            let len = word(end + 4);
            assert_eq!(word(end + len - 4), len, "both lengths of a block are the same");
            end += len;
        }
        Capture::read(&file[..end])
    }

    /// Packets that comments stand for.
    pub fn summarised(&self) -> u64 {
        let count = |comment: &String| {
            let (_, count) = comment.split_once(", COUNT ").expect("a count in a comment");
            count.parse::<u64>().unwrap()
        };
        self.comments.iter().map(count).sum()
    }

    fn add(&mut self, block: Block<'_>) {
        match block {
            Block::InterfaceDescription(block) => {
                self.links.push(block.linktype);
                let [name, resolution] = &block.options[..] else { panic!("{block:?}") };
                assert_eq!(*resolution, InterfaceDescriptionOption::IfTsResol(9), "nanoseconds");
                let InterfaceDescriptionOption::IfName(name) = name else { panic!("{name:?}") };
                self.ifaces.push((name.to_string(), block.snaplen));
            }
            Block::EnhancedPacket(block) => {
                let mut packet = Packet {
                    iface: block.interface_id as usize,
                    ns: block.timestamp.as_nanos(),
                    data: block.data.to_vec(),
                    len: block.original_len,
                    verdict: u64::MAX,
                    queue: u32::MAX,
                };
                let mut inbound = false;
                for option in &block.options {
                    match option {
                        EnhancedPacketOption::Flags(flags) => inbound = flags & 3 == 1,
                        EnhancedPacketOption::Unknown(option) if option.code == 6 => {
                            packet.queue = u32::from_ne_bytes(option.value[..].try_into().unwrap());
                        }
                        EnhancedPacketOption::Unknown(option) if option.code == 7 => {
                            assert_eq!(option.value[0], 2, "the verdict is XDP's");
                            packet.verdict =
                                u64::from_ne_bytes(option.value[1..].try_into().unwrap());
                        }
                        other => panic!("{other:?}"),
                    }
                }
                assert!(inbound, "the direction");
                assert!(packet.iface < self.ifaces.len(), "described before");
                self.packets.push(packet);
            }
            Block::InterfaceStatistics(block) => {
                assert!((block.interface_id as usize) < self.ifaces.len(), "described before");
                if let [InterfaceStatisticsOption::Comment(comment)] = &block.options[..] {
                    self.comments.push(comment.to_string());
                    return;
                }
                assert_eq!(block.interface_id as usize, self.counts.len(), "once each, at the end");
                let mut counts = [u64::MAX; 3];
                for option in &block.options {
                    match option {
                        InterfaceStatisticsOption::IsbIfRecv(count) => counts[0] = *count,
                        InterfaceStatisticsOption::IsbIfDrop(count) => counts[1] = *count,
                        InterfaceStatisticsOption::IsbUsrDeliv(count) => counts[2] = *count,
                        _ => {}
                    }
                }
                self.counts.push(counts);
            }
            other => panic!("{other:?}"),
        }
    }
}
