//! The tags hash: Java's `String.hashCode()` of the whole TAGS value, sign-extended to 64 bits. Consume queues hold it
//! and clients send it, so it never changes.

/// Java's `String.hashCode()`: `s[0]*31^(n-1) + ...` over UTF-16 code units, wrapping at 32 bits.
#[must_use]
pub fn java_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if text.is_ascii() {
        return text.bytes().fold(0, |hash, byte| step(hash, u16::from(byte)));
    }
    text.encode_utf16().fold(0, step)
}

/// The code that a consume queue holds for a message with these tags: 0 for none.
#[must_use]
pub fn tags_code(tags: &str) -> i64 {
    i64::from(java_hash(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_jdk() {
        for (text, hash) in [
            ("", 0),
            ("a", 97),
            ("TagA", 2_598_919),
            ("hello", 99_162_322),
            ("polygenelubricants", i32::MIN),
            // One character outside the basic plane counts as its two surrogates.
            ("\u{1F600}", 1_772_899),
            ("\u{4E2D}\u{6587}", 646_394),
        ] {
            assert_eq!(java_hash(text), hash, "{text}");
        }
        assert_eq!(tags_code("polygenelubricants"), -2_147_483_648);
    }
}
