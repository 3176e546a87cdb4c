//! MD5, of up to eight streams in the lanes of vector registers: eight take as long as one, or
//! twice as long where the registers turn words in three steps.
//!
//! Source: RFC 1321.

use std::array;
use std::hint::black_box;
use std::num::Wrapping;
use std::ops::{Add, BitAnd, BitOr, BitXor};

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
        // Each step waits for the one before. What else it adds is to be added up by then, but a
        // compiler that sees through all of it adds in another order, and a fifth more slowly.
        let zero = Wrapping(black_box(0));
        let mut now = state.map(Wrapping);
        for block in blocks {
            let mut words = [Wrapping(0); 16];
            for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
                word.0 = u32::from_le_bytes(*bytes);
            }
            mix(&mut now, &words, zero);
        }
        *state = now.map(|word| word.0);
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
        mix(&mut now, &words(inputs, number), u32x8::ZERO);
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

/// A word of one stream, or of several in the lanes of a register. Sums wrap.
trait Word:
    Copy + Add<Output = Self> + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self>
{
    /// The same number in every lane.
    fn every(number: u32) -> Self;

    fn turned(self, by: u32) -> Self;

    /// Adds the bits of `b` where `d` has ones, and those of `c` elsewhere.
    fn plus_chosen(self, b: Self, c: Self, d: Self, zero: Self) -> Self;
}

impl Word for u32x8 {
    #[inline(always)]
    fn every(number: u32) -> Self {
        Self::splat(number)
    }

    #[inline(always)]
    fn turned(self, by: u32) -> Self {
        (self << by) | (self >> (32 - by))
    }

    #[inline(always)]
    fn plus_chosen(self, b: Self, c: Self, d: Self, _zero: Self) -> Self {
        // One step where registers fold three words at once.
        self + (c ^ (d & (b ^ c)))
    }
}

impl Word for Wrapping<u32> {
    #[inline(always)]
    fn every(number: u32) -> Self {
        Self(number)
    }

    #[inline(always)]
    fn turned(self, by: u32) -> Self {
        Self(self.0.rotate_left(by))
    }

    #[inline(always)]
    fn plus_chosen(self, b: Self, c: Self, d: Self, zero: Self) -> Self {
        // `b` is the newest: all else is done before.
        ((self + (c & !d)) ^ zero) + (b & d)
    }
}

/// Mixes a block of every lane into its state.
///
/// - `zero`: zero, whether the compiler knows or not.
#[inline(always)]
fn mix<W: Word>(state: &mut [W; 4], words: &[W; 16], zero: W) {
    let mut now = *state;
    let ones = W::every(u32::MAX);
    // Of 16 steps each: which word comes with a step, and how the state is folded into a sum.
    now = round(now, words, (0, zero), |step| step, |sum, b, c, d| sum + (d ^ (b & (c ^ d))));
    now = round(
        now,
        words,
        (1, zero),
        |step| 5 * step + 1,
        |sum, b, c, d| sum.plus_chosen(b, c, d, zero),
    );
    now = round(now, words, (2, zero), |step| 3 * step + 5, |sum, b, c, d| sum + (b ^ (c ^ d)));
    now =
        round(now, words, (3, zero), |step| 7 * step, |sum, b, c, d| sum + (c ^ (b | (d ^ ones))));
    for (state, now) in state.iter_mut().zip(now) {
        *state = *state + now;
    }
}

#[inline(always)]
fn round<W: Word>(
    mut state: [W; 4],
    words: &[W; 16],
    (number, zero): (usize, W),
    word: impl Fn(usize) -> usize,
    fold: impl Fn(W, W, W, W) -> W,
) -> [W; 4] {
    // No loop: everything but the state is to be known when this is compiled.
    state = four_steps(state, words, (number, 0, zero), &word, &fold);
    state = four_steps(state, words, (number, 4, zero), &word, &fold);
    state = four_steps(state, words, (number, 8, zero), &word, &fold);
    four_steps(state, words, (number, 12, zero), &word, &fold)
}

#[inline(always)]
fn four_steps<W: Word>(
    [mut a, mut b, mut c, mut d]: [W; 4],
    words: &[W; 16],
    (round, first, zero): (usize, usize, W),
    word: &impl Fn(usize) -> usize,
    fold: &impl Fn(W, W, W, W) -> W,
) -> [W; 4] {
    let [turn_a, turn_d, turn_c, turn_b] = *TURNS.get(round).unwrap_or(&[0; 4]);
    let add = |to: W, step: usize| {
        let sine = W::every(*SINES.get(16 * round + first + step).unwrap_or(&0));
        (to + sine + *words.get(word(first + step) % 16).unwrap_or(&zero)) ^ zero
    };
    a = b + fold(add(a, 0), b, c, d).turned(turn_a);
    d = a + fold(add(d, 1), a, b, c).turned(turn_d);
    c = d + fold(add(c, 2), d, a, b).turned(turn_c);
    b = c + fold(add(b, 3), c, d, a).turned(turn_b);
    [a, b, c, d]
}
