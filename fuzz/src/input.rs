//! An input: a byte that says how the frames are run, and then the frames, with
//! a separator between two. Any bytes are an input; what they mean on the wire
//! is not known here.

/// Between two frames; a fuzzer that has seen it moves whole frames about.
pub const SEPARATOR: [u8; 4] = *b"NEXT";
/// No more frames are run of one input: they fit in a
/// ring, also with all their bytes.
pub const MAX_FRAMES: usize = 16;
/// Bytes behind each frame of a long input, which are the frame's own again and
/// again: it is then one of several buffers, with room for headers in each, up
/// to the eight longest that are walked.
pub const TAIL: usize = 8 * 2048 + 512;

/// Ways in which frames are run; the last one is without Ethernet.
pub const PROGRAMS: usize = 5;

/// How an input's frames are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Which of the [`PROGRAMS`] runs them.
    pub program: usize,
    /// Each has [`TAIL`] bytes more.
    pub long: bool,
}

impl Control {
    fn of(byte: u8) -> Control {
        // Long ones take several times as long: an eighth are enough.
        let program = if byte & 0x60 == 0x60 { 4 } else { usize::from(byte & 3) };
        Control { program, long: byte & 0x1c == 0x1c }
    }

    fn byte(self) -> u8 {
        let program = if self.program == 4 { 0x60 } else { self.program as u8 & 3 };
        program | if self.long { 0x1c } else { 0 }
    }
}

/// The input that has these frames run so.
pub fn write(control: Control, frames: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![control.byte()];
    out.extend(frames.join(&SEPARATOR[..]));
    out
}

/// What an input says; `None` if it is empty.
pub fn read(data: &[u8]) -> Option<(Control, impl Iterator<Item = &[u8]>)> {
    let (&control, rest) = data.split_first()?;
    let mut rest = Some(rest);
    let frames = std::iter::from_fn(move || {
        let all = rest?;
        let at = all.windows(SEPARATOR.len()).position(|four| four == SEPARATOR);
        rest = at.map(|at| &all[at + SEPARATOR.len()..]);
        Some(at.map_or(all, |at| &all[..at]))
    });
    Some((Control::of(control), frames.take(MAX_FRAMES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for program in 0..PROGRAMS {
            for long in [false, true] {
                let control = Control { program, long };
                let frames: [&[u8]; 3] = [b"one", b"", b"three"];
                let input = write(control, &frames);
                let (read, rest) = read(&input).unwrap();
                assert_eq!(read, control);
                assert_eq!(rest.collect::<Vec<_>>(), frames);
            }
        }
        assert!(read(b"").is_none());
    }
}
