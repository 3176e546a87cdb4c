//! MD5, of up to eight streams in the lanes of vector registers: eight take as long as one, or
//! twice as long where the registers turn words in three steps.
//!
//! Source: RFC 1321.

use std::array;

use md5::block_api::compress;
use multiversion::multiversion;
use wide::u32x8;

use super::streams::{BLOCK_BYTES, Block, Blockwise, Stream};

pub type Md5 = Stream<Blocks>;

/// MD5 of the blocks of a stream.
#[derive(Clone, Debug)]
pub enum Blocks {}

const LANES: usize = 8;

impl Blockwise for Blocks {
    type State = [u32; 4];
    type Value = [u8; 16];
    const BEGIN: Self::State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    const LANES: usize = LANES;

    fn mix(state: &mut Self::State, blocks: &[Block]) {
        compress(state, blocks);
    }

    fn mix_all(streams: &mut [(&mut Self::State, &[Block])]) {
        // A lane without a stream does as the first one does, for nothing.
        let first = streams.first().map_or(&[] as &[Block], |(_, blocks)| *blocks);
        let blocks = |lane| streams.get(lane).map_or(first, |(_, blocks)| *blocks);
        let inputs: [&[Block]; LANES] = array::from_fn(blocks);
        let states: [[u32; 4]; LANES] =
            array::from_fn(|lane| streams.get(lane).map_or([0; 4], |(state, _)| **state));
        let mut state =
            array::from_fn(|word| u32x8::from(states.map(|state| *state.get(word).unwrap_or(&0))));
        mix_lanes(&mut state, &inputs);
        let mixed = state.map(u32x8::to_array);
        for (lane, (state, _)) in streams.iter_mut().enumerate() {
            **state = mixed.map(|word| word.get(lane).copied().unwrap_or(0));
        }
    }

    fn length(bits: u64) -> [u8; 8] {
        bits.to_le_bytes()
    }

    fn value(state: Self::State) -> Self::Value {
        let mut value = [0; 16];
        for (bytes, word) in value.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_le_bytes();
        }
        value
    }
}

/// Mixes the blocks of every lane in. AVX-512 turns and folds words in one step; it is only chosen
/// on processors that do not slow down for it.
#[multiversion(targets("x86_64+avx2+avx512f+avx512vl", "x86_64+avx2"))]
fn mix_lanes(state: &mut [u32x8; 4], inputs: &[&[Block]; LANES]) {
    let mut now = *state;
    let blocks = inputs.first().map_or(0, |blocks| blocks.len());
    for number in 0..blocks {
        mix(&mut now, &words(inputs, number));
    }
    *state = now;
}

/// Words of the lanes' blocks of a number: all first ones, all second ones and so on.
#[inline(always)]
fn words(inputs: &[&[Block]; LANES], number: usize) -> [u32x8; 16] {
    let (mut low, mut high) = ([u32x8::ZERO; LANES], [u32x8::ZERO; LANES]);
    for ((low, high), input) in low.iter_mut().zip(&mut high).zip(inputs) {
        let block = input.get(number).unwrap_or(&[0; BLOCK_BYTES]);
        (*low, *high) = (eight_words(block, 0), eight_words(block, 1));
    }
    let mut words = [u32x8::ZERO; 16];
    let (first, second) = words.split_at_mut(LANES);
    first.copy_from_slice(&transpose(low));
    second.copy_from_slice(&transpose(high));
    words
}

#[inline(always)]
fn eight_words(block: &Block, half: usize) -> u32x8 {
    let mut words = [0; 8];
    let bytes = block.as_chunks().0.iter().skip(8 * half);
    words.iter_mut().zip(bytes).for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
    u32x8::new(words)
}

/// Rows become columns. Each turn shuffles all words as a pack of cards, which moves the highest
/// bit of a word's place to the end; after three of six bits, row and column have changed places.
#[inline(always)]
fn transpose(mut rows: [u32x8; LANES]) -> [u32x8; LANES] {
    for _ in 0..3 {
        let [a, b, c, d, e, f, g, h] = rows;
        rows = [
            a.unpack_lo(e),
            a.unpack_hi(e),
            b.unpack_lo(f),
            b.unpack_hi(f),
            c.unpack_lo(g),
            c.unpack_hi(g),
            d.unpack_lo(h),
            d.unpack_hi(h),
        ];
    }
    rows
}

/// How far each step turns its word, by round and step modulo 4.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// 2³² times the sine of each step's number, counted from 1, without sign and fraction.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

/// Mixes a block of every lane into its state.
#[inline(always)]
fn mix(state: &mut [u32x8; 4], words: &[u32x8; 16]) {
    let mut now = *state;
    // Of 16 steps each: which word comes with a step, and how the state is folded.
    now = round(now, words, 0, |step| step, |b, c, d| d ^ (b & (c ^ d)));
    now = round(now, words, 1, |step| 5 * step + 1, |b, c, d| c ^ (d & (b ^ c)));
    now = round(now, words, 2, |step| 3 * step + 5, |b, c, d| b ^ c ^ d);
    now = round(now, words, 3, |step| 7 * step, |b, c, d| c ^ (b | (d ^ u32x8::MAX)));
    for (state, now) in state.iter_mut().zip(now) {
        *state += now;
    }
}

#[inline(always)]
fn round(
    mut state: [u32x8; 4],
    words: &[u32x8; 16],
    number: usize,
    word: impl Fn(usize) -> usize,
    fold: impl Fn(u32x8, u32x8, u32x8) -> u32x8,
) -> [u32x8; 4] {
    // No loop: everything but the state is to be known when this is compiled.
    state = four_steps(state, words, (number, 0), &word, &fold);
    state = four_steps(state, words, (number, 4), &word, &fold);
    state = four_steps(state, words, (number, 8), &word, &fold);
    four_steps(state, words, (number, 12), &word, &fold)
}

#[inline(always)]
fn four_steps(
    [mut a, mut b, mut c, mut d]: [u32x8; 4],
    words: &[u32x8; 16],
    (round, first): (usize, usize),
    word: &impl Fn(usize) -> usize,
    fold: &impl Fn(u32x8, u32x8, u32x8) -> u32x8,
) -> [u32x8; 4] {
    let [turn_a, turn_d, turn_c, turn_b] = *TURNS.get(round).unwrap_or(&[0; 4]);
    let add = |to: u32x8, step: usize| {
        let sine = u32x8::splat(*SINES.get(16 * round + first + step).unwrap_or(&0));
        to + sine + *words.get(word(first + step) % 16).unwrap_or(&u32x8::ZERO)
    };
    a = b + turned(add(a, 0) + fold(b, c, d), turn_a);
    d = a + turned(add(d, 1) + fold(a, b, c), turn_d);
    c = d + turned(add(c, 2) + fold(d, a, b), turn_c);
    b = c + turned(add(b, 3) + fold(c, d, a), turn_b);
    [a, b, c, d]
}

#[inline(always)]
fn turned(word: u32x8, by: u32) -> u32x8 {
    (word << by) | (word >> (32 - by))
}
