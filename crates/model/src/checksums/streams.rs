//! Hashes that mix one block of 64 bytes after another into a state: of one stream, or of several
//! at once.
//!
//! One stream cannot be computed in parallel: every step waits for the one before, and most of a
//! processor idles. Several can: [`update_all`] gives each a lane.

/// Bytes that are mixed in at once.
pub const BLOCK_BYTES: usize = 64;
pub type Block = [u8; BLOCK_BYTES];

/// A hash of this form.
pub trait Blockwise {
    type State: Copy;
    /// The bytes of a state.
    type Value;
    const BEGIN: Self::State;
    /// Streams that are computed at once.
    const LANES: usize;

    fn mix(state: &mut Self::State, blocks: &[Block]);

    /// Mixes blocks into the states of several streams: at most [`Self::LANES`], and as many blocks
    /// of each.
    fn mix_all(streams: &mut [(&mut Self::State, &[Block])]);

    /// How the length of a stream stands at its end.
    fn length(bits: u64) -> [u8; 8];

    fn value(state: Self::State) -> Self::Value;
}

/// The hash of a stream, being computed.
#[derive(Clone, Debug)]
pub struct Stream<H: Blockwise> {
    state: H::State,
    /// The beginning of a block, and how much of it is there.
    begun: Block,
    begun_bytes: usize,
    length_bytes: u64,
}

impl<H: Blockwise> Default for Stream<H> {
    fn default() -> Self {
        Self { state: H::BEGIN, begun: [0; BLOCK_BYTES], begun_bytes: 0, length_bytes: 0 }
    }
}

impl<H: Blockwise> Stream<H> {
    pub fn update(&mut self, bytes: &[u8]) {
        let (blocks, end) = self.complete(bytes).as_chunks();
        H::mix(&mut self.state, blocks);
        self.begin(end);
    }

    pub fn finish(mut self) -> H::Value {
        let length = H::length(self.length_bytes.wrapping_mul(8));
        let zeroes = (2 * BLOCK_BYTES - 9 - self.begun_bytes) % BLOCK_BYTES;
        self.update(&[0x80]);
        self.update([0; BLOCK_BYTES].get(..zeroes).unwrap_or_default());
        self.update(&length);
        H::value(self.state)
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
            H::mix(&mut self.state, &[self.begun]);
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
pub struct Addition<'a, H: Blockwise, P> {
    stream: &'a mut Stream<H>,
    pieces: P,
    /// What is left of a piece.
    blocks: &'a [Block],
    end: &'a [u8],
}

impl<'a, H: Blockwise, P: Iterator<Item = &'a [u8]>> Addition<'a, H, P> {
    pub fn new(stream: &'a mut Stream<H>, pieces: P) -> Self {
        Self { stream, pieces, blocks: &[], end: &[] }
    }

    /// Sees to it that there are whole blocks; `false` at the end of everything.
    fn is_ready(&mut self) -> bool {
        while self.blocks.is_empty() {
            self.stream.begin(std::mem::take(&mut self.end));
            let Some(piece) = self.pieces.next() else { return false };
            (self.blocks, self.end) = self.stream.complete(piece).as_chunks();
        }
        true
    }

    fn take(&mut self, blocks: usize) -> (&mut H::State, &'a [Block]) {
        let (taken, left) = self.blocks.split_at(blocks.min(self.blocks.len()));
        self.blocks = left;
        (&mut self.stream.state, taken)
    }
}

/// Adds to several streams. Any number will do; at best there are as many as lanes, of one length.
pub fn update_all<'a, H, P>(additions: &mut [Addition<'a, H, P>])
where
    H: Blockwise,
    P: Iterator<Item = &'a [u8]>,
{
    loop {
        let ready = additions.iter_mut().filter_map(|one| one.is_ready().then_some(one));
        let mut ready: Vec<_> = ready.take(H::LANES).collect();
        let Some(blocks) = ready.iter().map(|one| one.blocks.len()).min() else { return };
        let mut taken: Vec<_> = ready.iter_mut().map(|one| one.take(blocks)).collect();
        match taken.as_mut_slice() {
            [(state, blocks)] => H::mix(state, blocks),
            several => H::mix_all(several),
        }
    }
}

#[cfg(test)]
mod tests {
    use ::md5::Digest;
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseResult;

    use super::super::{md5, sha256};
    use super::*;

    type Pieces = Vec<Vec<u8>>;

    /// Adds a half of the pieces to all streams together, then the other, and compares each with
    /// what it is alone, and to the reference.
    fn compare<H: Blockwise, R: Digest>(streams: &[Pieces]) -> TestCaseResult
    where
        H::Value: AsRef<[u8]>,
        Stream<H>: Clone,
    {
        let mut together = vec![Stream::<H>::default(); streams.len()];
        for half in 0..2 {
            let pieces = streams.iter().map(|pieces| {
                let (first, second) = pieces.split_at(pieces.len() / 2);
                (if half == 0 { first } else { second }).iter().map(Vec::as_slice)
            });
            let pairs = together.iter_mut().zip(pieces);
            let additions = pairs.map(|(stream, pieces)| Addition::new(stream, pieces));
            update_all(&mut additions.collect::<Vec<_>>());
        }
        for (pieces, stream) in streams.iter().zip(together) {
            let mut alone = Stream::<H>::default();
            pieces.iter().for_each(|piece| alone.update(piece));
            let expected = R::digest(pieces.concat());
            let values = (stream.finish(), alone.finish());
            prop_assert_eq!(values.0.as_ref(), expected.as_slice());
            prop_assert_eq!(values.1.as_ref(), expected.as_slice());
        }
        Ok(())
    }

    proptest! {
        /// However streams are cut, and however many there are, each has its own value.
        #[test]
        fn many_streams_are_what_each_is_alone(
            streams in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(0_usize..700, 0..6)), 0..20,
            ),
        ) {
            let pieces_of = |(seed, lengths): &(u8, Vec<usize>)| -> Pieces {
                let byte = |n: usize| seed.wrapping_add(n as u8);
                let fill = |length: &usize| (0..*length).map(byte).collect();
                lengths.iter().map(fill).collect()
            };
            let streams: Vec<_> = streams.iter().map(pieces_of).collect();
            compare::<md5::Blocks, ::md5::Md5>(&streams)?;
            compare::<sha256::Blocks, sha2::Sha256>(&streams)?;
        }
    }
}
