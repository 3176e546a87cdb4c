//! MD5 of one stream, or of several at once.
//!
//! One stream cannot be computed in parallel: every step waits for the one before, and most of a
//! processor idles. Several can: [`update_all`] gives each a lane of vector registers, and eight
//! take little more time than two did.
//!
//! Source: RFC 1321.

use std::array;

use md5::block_api::compress;
use wide::u32x8;

/// Bytes that are mixed in at once.
const BLOCK_BYTES: usize = 64;
type Block = [u8; BLOCK_BYTES];

/// Streams that are computed at once.
pub const LANES: usize = 8;
/// So many and more are faster in lanes than one after another.
const LANES_MIN: usize = 3;

/// The MD5 of a stream, being computed.
#[derive(Clone, Debug)]
pub struct Md5 {
    state: [u32; 4],
    /// The beginning of a block, and how much of it is there.
    begun: Block,
    begun_bytes: usize,
    length_bytes: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            begun: [0; BLOCK_BYTES],
            begun_bytes: 0,
            length_bytes: 0,
        }
    }
}

impl Md5 {
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, end) = self.complete(bytes).as_chunks();
        compress(&mut self.state, blocks);
        self.begin(end);
    }

    pub fn finish(mut self) -> [u8; 16] {
        let length_bits = self.length_bytes.wrapping_mul(8).to_le_bytes();
        let zeroes = (2 * BLOCK_BYTES - 9 - self.begun_bytes) % BLOCK_BYTES;
        self.update(&[0x80]);
        self.update([0; BLOCK_BYTES].get(..zeroes).unwrap_or_default());
        self.update(&length_bits);
        let mut value = [0; 16];
        for (bytes, word) in value.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_le_bytes();
        }
        value
    }

    /// Counts `bytes`, and takes as many as a block lacks that was begun; answers the others.
    fn complete<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        self.length_bytes = self.length_bytes.wrapping_add(bytes.len() as u64);
        if self.begun_bytes == 0 {
            return bytes;
        }
        let lacks = BLOCK_BYTES - self.begun_bytes;
        let (taken, rest) = bytes.split_at(lacks.min(bytes.len()));
        self.begin(taken);
        if self.begun_bytes == BLOCK_BYTES {
            compress(&mut self.state, &[self.begun]);
            self.begun_bytes = 0;
        }
        rest
    }

    /// Adds the beginning of a block.
    fn begin(&mut self, bytes: &[u8]) {
        let free = self.begun.iter_mut().skip(self.begun_bytes);
        free.zip(bytes).for_each(|(to, from)| *to = *from);
        self.begun_bytes += bytes.len();
    }
}

/// A stream, and what is added to it, piece by piece.
pub struct Addition<'a, P> {
    md5: &'a mut Md5,
    pieces: P,
    /// What is left of a piece.
    blocks: &'a [Block],
    end: &'a [u8],
}

impl<'a, P: Iterator<Item = &'a [u8]>> Addition<'a, P> {
    pub fn new(md5: &'a mut Md5, pieces: P) -> Self {
        Self { md5, pieces, blocks: &[], end: &[] }
    }

    /// Sees to it that there are whole blocks; `false` at the end of everything.
    fn is_ready(&mut self) -> bool {
        while self.blocks.is_empty() {
            self.md5.begin(std::mem::take(&mut self.end));
            let Some(piece) = self.pieces.next() else { return false };
            (self.blocks, self.end) = self.md5.complete(piece).as_chunks();
        }
        true
    }

    fn take(&mut self, blocks: usize) -> &'a [Block] {
        let (taken, left) = self.blocks.split_at(blocks.min(self.blocks.len()));
        self.blocks = left;
        taken
    }
}

/// Adds to several streams. Any number will do; at best there are [`LANES`] of one length.
pub fn update_all<'a, P: Iterator<Item = &'a [u8]>>(additions: &mut [Addition<'a, P>]) {
    loop {
        let ready = additions.iter_mut().filter_map(|one| one.is_ready().then_some(one));
        let mut ready: Vec<_> = ready.take(LANES).collect();
        let blocks = ready.iter().map(|one| one.blocks.len()).min().unwrap_or(0);
        if blocks == 0 {
            return;
        }
        if ready.len() >= LANES_MIN {
            run(&mut ready, blocks);
        } else {
            for one in ready {
                let blocks = one.take(blocks);
                compress(&mut one.md5.state, blocks);
            }
        }
    }
}

/// Mixes so many blocks of each stream in.
fn run<'a, P: Iterator<Item = &'a [u8]>>(lanes: &mut [&mut Addition<'a, P>], blocks: usize) {
    let taken: Vec<_> = lanes.iter_mut().map(|lane| lane.take(blocks)).collect();
    // A lane without a stream does as the first one does, for nothing.
    let lane = |number| taken.get(number).or(taken.first()).copied().unwrap_or_default();
    let inputs: [&[Block]; LANES] = array::from_fn(lane);
    let states: [[u32; 4]; LANES] =
        array::from_fn(|number| lanes.get(number).map_or([0; 4], |lane| lane.md5.state));
    let mut state =
        array::from_fn(|word| u32x8::from(states.map(|state| *state.get(word).unwrap_or(&0))));
    for number in 0..blocks {
        mix(&mut state, &words(&inputs, number));
    }
    let state = state.map(u32x8::to_array);
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.md5.state = state.map(|word| word.get(number).copied().unwrap_or(0));
    }
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

#[cfg(test)]
mod tests {
    use ::md5::{Digest as _, Md5 as Reference};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However streams are cut, and however many there are, each has its own value.
        #[test]
        fn many_streams_are_what_each_is_alone(
            streams in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(0_usize..700, 0..6)), 0..20,
            ),
        ) {
            let pieces_of = |(seed, lengths): &(u8, Vec<usize>)| -> Vec<Vec<u8>> {
                let byte = |n: usize| seed.wrapping_add(n as u8);
                let fill = |length: &usize| (0..*length).map(byte).collect();
                lengths.iter().map(fill).collect()
            };
            let streams: Vec<_> = streams.iter().map(pieces_of).collect();
            let mut together = vec![Md5::default(); streams.len()];
            for half in 0..2 {
                let pieces = streams.iter().map(|pieces| {
                    let (first, second) = pieces.split_at(pieces.len() / 2);
                    (if half == 0 { first } else { second }).iter().map(Vec::as_slice)
                });
                let pairs = together.iter_mut().zip(pieces);
                let additions = pairs.map(|(md5, pieces)| Addition::new(md5, pieces));
                update_all(&mut additions.collect::<Vec<_>>());
            }
            for (pieces, md5) in streams.iter().zip(together) {
                let mut alone = Md5::default();
                pieces.iter().for_each(|piece| alone.update(piece));
                let expected: [u8; 16] = Reference::digest(pieces.concat()).into();
                prop_assert_eq!(md5.finish(), expected);
                prop_assert_eq!(alone.finish(), expected);
            }
        }
    }
}
