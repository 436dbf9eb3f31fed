//! RSA in its plainest form, for keys that no library signs with any more: a refusal of a weak key shows nothing if the
//! signature was bad anyway. The same code signs with a key that is long enough, and that one is accepted.
//!
//! The keys are in the open: they are of no use for anything but this.

use std::sync::Arc;

use rcgen::{PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::crypto::hash::Hash;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureScheme, SupportedCipherSuite};

use super::der::tlv;

/// Modulus and secret exponent, as text in hexadecimal. The public exponent is 65537.
pub(super) const OF_1024_BITS: [&str; 2] = include!("openssl/rsa-1024.in");
pub(super) const OF_2048_BITS: [&str; 2] = include!("openssl/rsa-2048.in");

/// The public half, as certificates carry it.
pub(super) struct Public(Vec<u8>);

impl Public {
    pub(super) fn of(key: [&str; 2]) -> Public {
        let modulus = [&[0][..], &bytes(key[0])].concat();
        Public(tlv(0x30, &[tlv(2, &modulus), tlv(2, &[1, 0, 1])].concat()))
    }
}

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// The secret half.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    modulus: Vec<u32>,
    exponent: Vec<u8>,
}

impl Secret {
    pub(super) fn of(key: [&str; 2]) -> Arc<dyn SigningKey> {
        Arc::new(Secret { modulus: words(&bytes(key[0])), exponent: bytes(key[1]) })
    }
}

impl SigningKey for Secret {
    fn choose_scheme(&self, _offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> rustls::SignatureAlgorithm {
        rustls::SignatureAlgorithm::RSA
    }
}

impl Signer for Secret {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let length = self.modulus.len() * 4;
        let padded = words(&pss(&hash(message), length));
        let signature = power(&padded, &self.exponent, &self.modulus);
        Ok(signature.iter().rev().flat_map(|word| word.to_be_bytes()).collect())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::RSA_PSS_SHA256
    }
}

fn hash(message: &[u8]) -> Vec<u8> {
    let SupportedCipherSuite::Tls13(suite) = TLS13_AES_128_GCM_SHA256;
    let sha256: &dyn Hash = suite.common.hash_provider;
    sha256.hash(message).as_ref().to_vec()
}

/// EMSA-PSS with SHA-256 and a salt of zeros. The top bit of the modulus is set.
fn pss(digest: &[u8], length: usize) -> Vec<u8> {
    let salt = [0; 32];
    let sealed = hash(&[&[0; 8], digest, &salt].concat());
    let mut block = vec![0; length - 34 - salt.len()];
    block.push(1);
    block.extend(salt);
    let mask = (0_u32..).flat_map(|round| hash(&[&sealed[..], &round.to_be_bytes()].concat()));
    for (byte, mask) in block.iter_mut().zip(mask) {
        *byte ^= mask;
    }
    block[0] &= 0x7f;
    [&block[..], &sealed, &[0xbc]].concat()
}

/// Words of a number, the lowest first.
fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.rchunks(4).map(word).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// `base` to the power of `exponent`, modulo an odd number; by Montgomery's method.
fn power(base: &[u32], exponent: &[u8], modulus: &[u32]) -> Vec<u32> {
    let bits = modulus.len() * 32;
    // 2^bits and 2^(2 bits), modulo the number.
    let mut one = vec![0; modulus.len()];
    one[0] = 1;
    let doubled = |from: Vec<u32>| (0..bits).fold(from, |number, _| double(&number, modulus));
    let shifted = doubled(one);
    let twice_shifted = doubled(shifted.clone());
    let base = multiply(base, &twice_shifted, modulus);
    let mut result = shifted;
    for bit in exponent.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        result = multiply(&result, &result, modulus);
        if bit == 1 {
            result = multiply(&result, &base, modulus);
        }
    }
    let mut one = vec![0; modulus.len()];
    one[0] = 1;
    multiply(&result, &one, modulus)
}

fn double(number: &[u32], modulus: &[u32]) -> Vec<u32> {
    let mut carry = 0;
    let mut out: Vec<u32> = number
        .iter()
        .map(|word| {
            let doubled = word << 1 | carry;
            carry = word >> 31;
            doubled
        })
        .collect();
    out.push(carry);
    reduced(out, modulus)
}

/// `a b / 2^bits`, modulo the number.
fn multiply(a: &[u32], b: &[u32], modulus: &[u32]) -> Vec<u32> {
    let low = |number: u64| (number & 0xffff_ffff) as u32;
    // The inverse of the lowest word, by Newton.
    let inverse = (0..5).fold(1_u32, |x, _| x.wrapping_mul(2_u32.wrapping_sub(modulus[0].wrapping_mul(x))));
    let size = modulus.len();
    let mut sum = vec![0_u32; size + 2];
    for word in a {
        let add = |sum: &mut [u32], factor: u32, number: &[u32]| {
            let mut carry = 0;
            for (at, other) in number.iter().enumerate() {
                let next = u64::from(sum[at]) + u64::from(factor) * u64::from(*other) + carry;
                sum[at] = low(next);
                carry = next >> 32;
            }
            let next = u64::from(sum[size]) + carry;
            sum[size] = low(next);
            sum[size + 1] += low(next >> 32);
        };
        add(&mut sum, *word, b);
        let factor = sum[0].wrapping_neg().wrapping_mul(inverse);
        add(&mut sum, factor, modulus);
        sum.remove(0);
        sum.push(0);
    }
    sum.truncate(size + 1);
    reduced(sum, modulus)
}

/// Takes the modulus off once, if it fits in.
fn reduced(number: Vec<u32>, modulus: &[u32]) -> Vec<u32> {
    let mut borrow = false;
    let mut less = Vec::with_capacity(modulus.len());
    for (at, word) in modulus.iter().enumerate() {
        let (once, first) = number[at].overflowing_sub(*word);
        let (twice, second) = once.overflowing_sub(u32::from(borrow));
        borrow = first || second;
        less.push(twice);
    }
    if borrow && number[modulus.len()] == 0 { number[..modulus.len()].to_vec() } else { less }
}
