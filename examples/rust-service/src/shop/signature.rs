//! Signs orders: a chain of HMAC-SHA-256, so that no line can be changed or left out.

use sha2::{Digest, Sha256};

use super::pricing::PricedLine;

const BLOCK: usize = 64;
/// How often a customer's key is hashed again, unless it is set: four blocks of SHA-256 each time.
pub const KEY_ROUNDS: u32 = 600;

/// A signature, or a key.
pub type Tag = [u8; 32];

/// Derives a customer's key from the shop's secret, slowly on purpose (PBKDF2, one block).
#[inline(never)]
pub fn derive_key(secret: &[u8], customer: &str, rounds: u32) -> Tag {
    let mut link = hmac(secret, &[customer.as_bytes(), &1_u32.to_be_bytes()]);
    let mut key = link;
    for _ in 1..rounds {
        link = hmac(secret, &[&link]);
        for (to, from) in key.iter_mut().zip(link) {
            *to ^= from;
        }
    }
    key
}

/// Signs each line together with the signature before it; returns the last.
#[inline(never)]
pub fn sign_lines(key: &Tag, lines: &[PricedLine]) -> Tag {
    lines.iter().fold([0; 32], |before, line| sign_line(key, &before, line))
}

fn sign_line(key: &Tag, before: &Tag, line: &PricedLine) -> Tag {
    let product = line.product.to_be_bytes();
    let quantity = line.quantity.to_be_bytes();
    hmac(key, &[before, &product, &quantity, &line.total_cents.to_be_bytes()])
}

/// HMAC (RFC 2104) with SHA-256 of `parts` in a row.
#[inline(never)]
fn hmac(key: &[u8], parts: &[&[u8]]) -> Tag {
    let mut block = [0_u8; BLOCK];
    let short = if key.len() > BLOCK { &sha256(&[key])[..] } else { key };
    for (to, from) in block.iter_mut().zip(short) {
        *to = *from;
    }
    let inner_pad = block.map(|byte| byte ^ 0x36);
    let outer_pad = block.map(|byte| byte ^ 0x5c);
    let mut inner = Sha256::new_with_prefix(inner_pad);
    for part in parts {
        inner.update(part);
    }
    let inner: Tag = inner.finalize().into();
    sha256(&[&outer_pad, &inner])
}

fn sha256(parts: &[&[u8]]) -> Tag {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Writes a signature in hexadecimal digits.
pub fn hex(tag: &Tag) -> String {
    tag.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_gives_the_tags_of_rfc_4231() {
        let second = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&second), expected);
        let sixth =
            hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"]);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        assert_eq!(hex(&sixth), expected);
    }

    #[test]
    fn a_changed_or_missing_line_changes_the_signature() {
        let lines = |cents: &[u64]| -> Vec<PricedLine> {
            let line = |total_cents: &u64| PricedLine {
                product: 7,
                quantity: 1,
                total_cents: *total_cents,
            };
            cents.iter().map(line).collect()
        };
        let key = derive_key(b"secret", "ada", KEY_ROUNDS);
        let signed = sign_lines(&key, &lines(&[100, 200, 300]));
        for other in [&[100, 200][..], &[100, 300, 200], &[100, 200, 301], &[200, 300]] {
            assert_ne!(sign_lines(&key, &lines(other)), signed);
        }
        assert_ne!(
            sign_lines(&derive_key(b"secret", "bob", KEY_ROUNDS), &lines(&[100, 200, 300])),
            signed
        );
    }
}
