//! What comes in a sample, or waits in a batch: records, one behind the other,
//! with bytes of their frames or without. Lengths in there are claims.

#![forbid(unsafe_code)]

use std::mem::{align_of, size_of};

use super::{ASIDE_BYTES, BATCH_BYTES, BatchHead, Capture, REC_AHEAD, Record};

/// What has come of a frame ahead of its record, from one CPU.
#[derive(Clone, Debug, Default)]
pub struct Ahead(Vec<u8>);

impl Ahead {
    /// Hand on each record in `data`, which is this CPU's next sample or its batch,
    /// with the bytes captured of its frame. Lengths in there are claims: what goes
    /// beyond `data` ends it.
    pub fn captures(&mut self, mut data: &[u8], mut each: impl FnMut(&Record, &[u8])) {
        // What is shorter than one is the padding of a perf sample.
        while let Ok(capture) = plain::from_bytes::<Capture>(data) {
            let (rest, ahead) = (&data[size_of::<Capture>()..], capture.ahead as usize);
            let Some(bytes) = rest.get(..capture.cap_len as usize) else { return };
            data = rest.get(bytes.len().next_multiple_of(4)..).unwrap_or(&[]);
            if capture.rec.flags & REC_AHEAD != 0 {
                self.0.truncate(ahead);
                self.0.extend(bytes);
            } else if ahead > 0 && ahead == self.0.len() {
                self.0.splice(..0, bytes.iter().copied());
                each(&capture.rec, &self.0);
                self.0.clear();
            } else {
                each(&capture.rec, bytes);
            }
        }
    }
}

/// What waits in one CPU's batch, and aside of it, copied out of the map `batches`;
/// each to be read like a sample, in this order.
#[derive(Debug)]
pub struct Waiting([Aligned; 2]);

/// Bytes that are aligned for a record.
#[derive(Debug)]
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Waiting {
    /// `value` is a batch as read from the map.
    pub fn new(value: &[u8]) -> Waiting {
        let head = BatchHead::from_bytes(value).unwrap_or_default();
        let part = |from: usize, room: usize, used: u32| {
            let part = value.get(from..).unwrap_or(&[]);
            // How much is used is the kernel side's claim.
            Aligned::copy(&part[..part.len().min(room).min(used as usize)])
        };
        let aside = size_of::<BatchHead>() + BATCH_BYTES;
        Waiting([
            part(size_of::<BatchHead>(), BATCH_BYTES, head.used),
            part(aside, ASIDE_BYTES, head.aside_used),
        ])
    }

    /// The records, and bytes of their frames where these are captured.
    pub fn samples(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|part| &part.bytes[part.start..part.start + part.len])
    }
}

impl Aligned {
    fn copy(data: &[u8]) -> Aligned {
        let mut bytes = vec![0; data.len() + align_of::<Record>()];
        let start = bytes.as_ptr().align_offset(align_of::<Record>());
        bytes[start..start + data.len()].copy_from_slice(data);
        Aligned { bytes, start, len: data.len() }
    }
}

impl BatchHead {
    /// The head of a batch as read from the map; `None` if it is no batch.
    pub fn from_bytes(value: &[u8]) -> Option<BatchHead> {
        let mut head = BatchHead::default();
        plain::copy_from_bytes(&mut head, value).ok()?;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(cap_len: u32, bytes: &[u8]) -> Vec<u8> {
        with_ahead(7, cap_len, 0, bytes)
    }

    fn with_ahead(flags: u8, cap_len: u32, ahead: u32, bytes: &[u8]) -> Vec<u8> {
        [&[7; 63][..], &[flags], &cap_len.to_ne_bytes(), &ahead.to_ne_bytes(), bytes].concat()
    }

    fn read(data: &[u8]) -> Vec<Vec<u8>> {
        read_all(&[data])
    }

    /// As samples would be: aligned to 4.
    fn read_all(samples: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut ahead, mut found) = (Ahead::default(), Vec::new());
        for data in samples {
            let head = [&(data.len() as u32).to_ne_bytes()[..], &[0; 60]].concat();
            let waiting = Waiting::new(&[head, data.to_vec()].concat());
            let batch = waiting.samples().next().unwrap();
            ahead.captures(batch, |_, bytes| found.push(bytes.to_vec()));
        }
        found
    }

    #[test]
    fn what_came_ahead_is_joined() {
        let part = |before, bytes: &[u8]| with_ahead(REC_AHEAD, bytes.len() as u32, before, bytes);
        let long = |ahead| with_ahead(0, 4, ahead, b"long");
        let next = capture(4, b"next");
        let want = [&b"long and longer."[..], b"next"];
        assert_eq!(read_all(&[&part(0, b" and"), &part(4, b" longer."), &long(12), &next]), want);
        // The same in one sample, as a batch may be, and again.
        let all = [part(0, b" and"), part(4, b" longer."), long(12), next.clone()].concat();
        assert_eq!(read_all(&[&all, &all]), [want, want].concat());
        // Whatever came for a record that did not come is dropped, and a record
        // without what it claims has its own.
        let others = [&part(0, b"none of its bytes")[..], &next, &part(0, b" one"), &long(4)];
        assert_eq!(read_all(&others), [&b"next"[..], b"long one"]);
        assert_eq!(read_all(&[&part(0, b" on"), &long(4), &long(4)]), [b"long", b"long"]);
    }

    #[test]
    fn captured_frames_with_padding_and_with_lies() {
        let two = [capture(5, b"first\0\0\0"), capture(4, b"next")].concat();
        assert_eq!(read(&two), [b"first".to_vec(), b"next".to_vec()]);
        assert_eq!(read(&[two.clone(), vec![0; 4]].concat()).len(), 2, "a sample's padding");
        assert_eq!(read(&[two, capture(5, b"less")].concat()).len(), 2, "a length beyond the end");
        assert_eq!(read(&capture(u32::MAX, b"")), [[0; 0]; 0]);
        assert_eq!(read(b""), [[0; 0]; 0]);
    }

    #[test]
    fn a_batch_that_claims_too_much() {
        let counts = |value: &[u8]| -> Vec<usize> {
            Waiting::new(value).samples().map(|data| Record::all_in(data).len()).collect()
        };
        let mut value = vec![0; 64 + 128];
        value[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        value[20..24].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(counts(&value), [2, 0]);
        value.resize(64 + BATCH_BYTES + 192, 0);
        assert_eq!(counts(&value), [BATCH_BYTES / 64, 3]);
        value.resize(size_of::<crate::bpf::skel::types::batch>(), 0);
        assert_eq!(counts(&value), [BATCH_BYTES / 64, ASIDE_BYTES / 64]);
        assert_eq!(counts(&[]), [0, 0]);
    }
}
