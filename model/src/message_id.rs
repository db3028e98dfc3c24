//! The offset message id: where a message is stored, as upper-case hex of the store host's address (4 or 16 bytes), its
//! port (4 bytes) and the physical offset (8 bytes); 32 or 56 characters (`MessageDecoder.createMessageId`).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::PhysicalOffset;

/// Names a stored message by its broker and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    /// The broker that stored it.
    pub host: SocketAddr,
    /// Where it is in that broker's log.
    pub position: PhysicalOffset,
}

/// The text is no offset message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an offset message id: 32 or 56 hexadecimal digits")]
pub struct BadMessageId;

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

impl OffsetMessageId {
    /// Appends the id's text to `out`: what [`fmt::Display`] writes, without its machinery.
    pub fn write_to(&self, out: &mut String) {
        let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
        let mut hex = |bytes: &[u8]| {
            out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        };
        match self.host.ip() {
            IpAddr::V4(ip) => hex(&ip.octets()),
            IpAddr::V6(ip) => hex(&ip.octets()),
        }
        hex(&u32::from(self.host.port()).to_be_bytes());
        hex(&self.position.0.to_be_bytes());
    }
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(56);
        self.write_to(&mut text);
        f.write_str(&text)
    }
}

impl FromStr for OffsetMessageId {
    type Err = BadMessageId;

    fn from_str(text: &str) -> Result<Self, BadMessageId> {
        let digits: Option<Vec<u8>> = text
            .bytes()
            .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.ok_or(BadMessageId)?;
        let (pairs, odd) = digits.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(BadMessageId);
        }
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| (high << 4) | low).collect();
        let (ip, rest) = match bytes.len() {
            16 => {
                let (ip, rest) = bytes.split_first_chunk::<4>().ok_or(BadMessageId)?;
                (IpAddr::V4(Ipv4Addr::from(*ip)), rest)
            }
            28 => {
                let (ip, rest) = bytes.split_first_chunk::<16>().ok_or(BadMessageId)?;
                (IpAddr::V6(Ipv6Addr::from(*ip)), rest)
            }
            _ => return Err(BadMessageId),
        };
        let (port, position) = rest.split_first_chunk::<4>().ok_or(BadMessageId)?;
        let port = u16::try_from(u32::from_be_bytes(*port)).map_err(|_| BadMessageId)?;
        let position = position.first_chunk::<8>().ok_or(BadMessageId)?;
        Ok(Self {
            host: SocketAddr::new(ip, port),
            position: PhysicalOffset(u64::from_be_bytes(*position)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for (host, text) in [
            ("192.168.0.1:10911", "C0A8000100002A9F0000000000000400"),
            ("[::1]:10911", "0000000000000000000000000000000100002A9F0000000000000400"),
        ] {
            let id =
                OffsetMessageId { host: host.parse().unwrap(), position: PhysicalOffset(1024) };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
            assert_eq!(text.to_lowercase().parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "C0A8", "C0A8000100002A9F00000000000004", "C0A80001FFFF2A9F0000000000000400", "ä"]
        {
            assert_eq!(text.parse::<OffsetMessageId>(), Err(BadMessageId), "{text}");
        }
    }
}
