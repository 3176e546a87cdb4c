//! SHA-256, of two streams by turns: the instructions for it give their result late, and those for
//! the other stream fill the time.
//!
//! Source: FIPS 180-4.

use multiversion::{multiversion, target::match_target};
use sha2::block_api::compress256;

use super::streams::{Block, Blockwise, Stream};

pub type Sha256 = Stream<Blocks>;

/// SHA-256 of the blocks of a stream.
#[derive(Clone, Debug)]
pub enum Blocks {}

const LANES: usize = 2;

impl Blockwise for Blocks {
    type State = [u32; 8];
    type Value = [u8; 32];
    const BEGIN: Self::State = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    const LANES: usize = LANES;

    fn mix(state: &mut Self::State, blocks: &[Block]) {
        compress256(state, blocks);
    }

    fn mix_all(streams: &mut [(&mut Self::State, &[Block])]) {
        let [(one, first), (other, second)] = streams else {
            return streams.iter_mut().for_each(|(state, blocks)| Self::mix(state, blocks));
        };
        let mut states = [**one, **other];
        mix_lanes(&mut states, &[first, second]);
        [**one, **other] = states;
    }

    fn length(bits: u64) -> [u8; 8] {
        bits.to_be_bytes()
    }

    fn value(state: Self::State) -> Self::Value {
        let mut value = [0; 32];
        for (bytes, word) in value.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        value
    }
}

#[multiversion(targets("x86_64+sha+avx2"))]
fn mix_lanes(states: &mut [[u32; 8]; LANES], inputs: &[&[Block]; LANES]) {
    match_target! {
        "x86_64+sha+avx2" => x86::mix(states, inputs),
        _ => states.iter_mut().zip(inputs).for_each(|(state, blocks)| compress256(state, blocks)),
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
        _mm_shuffle_epi32,
    };
    use std::array;

    use super::*;

    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    #[rustfmt::skip]
    const CUBE_ROOTS: [[u32; 4]; 16] = [
        [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5],
        [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
        [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3],
        [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
        [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc],
        [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
        [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7],
        [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
        [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13],
        [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
        [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3],
        [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
        [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5],
        [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
        [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208],
        [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
    ];
    /// Four words stand in a register in the order of bytes of the processor.
    const TURN: [i64; 2] = [0x0405_0607_0001_0203, 0x0c0d_0e0f_0809_0a0b];

    /// A state as the instructions want it, and the next 16 words.
    #[derive(Clone, Copy)]
    struct Lane {
        abef: __m128i,
        cdgh: __m128i,
        words: [__m128i; 4],
    }

    #[target_feature(enable = "sha,avx2")]
    #[inline]
    pub fn mix(states: &mut [[u32; 8]; LANES], inputs: &[&[Block]; LANES]) {
        let mut lanes: [Lane; LANES] = array::from_fn(|lane| new_lane(states.get(lane)));
        let blocks = inputs.first().map_or(0, |blocks| blocks.len());
        for number in 0..blocks {
            let before = lanes;
            for (lane, input) in lanes.iter_mut().zip(inputs) {
                lane.words = words(input.get(number).unwrap_or(&[0; 64]));
            }
            for (number, roots) in CUBE_ROOTS.iter().enumerate() {
                let [a, b, c, d] = roots.map(u32::cast_signed);
                let roots = _mm_set_epi32(d, c, b, a);
                for lane in &mut lanes {
                    four_rounds(lane, roots, number < 12);
                }
            }
            for (lane, before) in lanes.iter_mut().zip(before) {
                lane.abef = _mm_add_epi32(lane.abef, before.abef);
                lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
            }
        }
        for (state, lane) in states.iter_mut().zip(lanes) {
            *state = state_of(lane);
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn words(block: &Block) -> [__m128i; 4] {
        let [low, high] = TURN;
        let turn = _mm_set_epi64x(high, low);
        let mut words = [turn; 4];
        for (words, bytes) in words.iter_mut().zip(block.as_chunks().0) {
            let bytes = i128::from_le_bytes(*bytes);
            let plain = _mm_set_epi64x((bytes >> 64) as i64, bytes as i64);
            *words = _mm_shuffle_epi8(plain, turn);
        }
        words
    }

    #[target_feature(enable = "sha,avx2")]
    #[inline]
    fn four_rounds(lane: &mut Lane, roots: __m128i, more: bool) {
        let [now, second, third, last] = lane.words;
        let sum = _mm_add_epi32(now, roots);
        lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
        lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
        let next = if more {
            let first = _mm_sha256msg1_epu32(now, second);
            let sum = _mm_add_epi32(first, _mm_alignr_epi8(last, third, 4));
            _mm_sha256msg2_epu32(sum, last)
        } else {
            now
        };
        lane.words = [second, third, last, next];
    }

    #[target_feature(enable = "sse4.1")]
    #[inline]
    fn new_lane(state: Option<&[u32; 8]>) -> Lane {
        let [a, b, c, d, e, f, g, h] = state.unwrap_or(&[0; 8]).map(u32::cast_signed);
        let (abef, cdgh) = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
        Lane { abef, cdgh, words: [abef; 4] }
    }

    #[target_feature(enable = "sse4.1")]
    #[inline]
    fn state_of(Lane { abef, cdgh, .. }: Lane) -> [u32; 8] {
        [
            _mm_extract_epi32::<3>(abef),
            _mm_extract_epi32::<2>(abef),
            _mm_extract_epi32::<3>(cdgh),
            _mm_extract_epi32::<2>(cdgh),
            _mm_extract_epi32::<1>(abef),
            _mm_extract_epi32::<0>(abef),
            _mm_extract_epi32::<1>(cdgh),
            _mm_extract_epi32::<0>(cdgh),
        ]
        .map(i32::cast_unsigned)
    }
}
