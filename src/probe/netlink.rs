//! One question to the kernel by netlink(7), and all its answers. What is asked is
//! not known here.

#![forbid(unsafe_code)]

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NlaBuffer, NlasIterator};
use netlink_sys::{Socket, SocketAddr};
use nix::libc;

/// Ask for all that there is of message type `kind`; what each answer of type
/// `answer` carries.
pub fn dump(protocol: isize, kind: u16, answer: u16, body: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&request(kind, body), 0)?;
    let mut all = Vec::new();
    loop {
        let (messages, _) = socket.recv_from_full()?;
        if take(&messages, answer, &mut all)? {
            return Ok(all);
        }
    }
}

fn request(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 16];
    message.extend(body);
    let len = message.len() as u32;
    let mut header = NetlinkBuffer::new(&mut message);
    header.set_length(len);
    header.set_message_type(kind);
    header.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
    header.set_sequence_number(1);
    message
}

/// Take some messages; whether the last one is among them.
fn take(mut messages: &[u8], answer: u16, all: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while !messages.is_empty() {
        let message = NetlinkBuffer::new_checked(messages).map_err(io::Error::other)?;
        let payload = message.payload();
        match i32::from(message.message_type()) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                let code =
                    payload.first_chunk().map_or(libc::EIO, |code| -i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(code));
            }
            _ if message.message_type() == answer => all.push(payload.to_vec()),
            _ => {}
        }
        let len = (message.length() as usize).next_multiple_of(4);
        messages = messages.get(len..).unwrap_or(&[]);
    }
    Ok(false)
}

/// The attributes in `bytes`, by their types; what is none ends them.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|nla: NlaBuffer<&[u8]>| {
        let value = nla.into_inner();
        // Behind its length and its type.
        (nla.kind(), value.get(4..4 + nla.value_length()).unwrap_or(&[]))
    })
}

/// A name in an attribute, whose end is a NUL; with `?` for what is not UTF-8, so
/// that it gets no longer.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).replace('\u{fffd}', "?")
}

/// A number of 32 bits in an attribute; 0 where it has less.
pub fn number(value: &[u8]) -> u32 {
    value.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}
