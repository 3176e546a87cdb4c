//! Where the copies of a blob lie, as kept by the caller.

use bytes::{Buf, BufMut};

use crate::error::{Error, Result};
use crate::format::FileLayout;
use crate::identifiers::{BlobId, DirectoryId, IncarnationId, SegmentId, SegmentKey};

/// Version bytes of [`Location::encode`]: without and with a number of copies of its own.
const VERSION: u8 = 1;
const VERSION_WITH_WISH: u8 = 2;
const PLACE_INTERLEAVED_FILE: u8 = 0;
const PLACE_SEGMENT: u8 = 1;
const PLACE_CONTIGUOUS_FILE: u8 = 2;
/// More copies than this in stored bytes are a sign of damage.
const COPIES_MAX: usize = 64;

/// Where the copies of a blob lie. Opaque above this crate: stored in metadata as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub blob: BlobId,
    pub size_bytes: u64,
    /// How many copies it is to have; `None` means as many as every blob.
    pub wish: Option<Wish>,
    pub copies: Vec<CopyAt>,
}

/// A number of copies that somebody asked for: at least one, at most [`Self::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    copies: u8,
    /// Or as many as every blob, if that is more.
    or_more: bool,
}

impl Wish {
    pub const MAX: u8 = COPIES_MAX as u8;
    /// In the encoding: the bit for `or_more`.
    const OR_MORE: u8 = 0x80;

    /// Exactly so many; `None` for none, and for too many.
    pub fn exactly(copies: u8) -> Option<Self> {
        (1..=Self::MAX).contains(&copies).then_some(Self { copies, or_more: false })
    }

    /// What satisfies both of two who share a blob, also if the usual number changes later.
    pub fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        if one == other {
            return one;
        }
        let copies = one.into_iter().chain(other).map(|wish| wish.copies).max()?;
        Some(Self { copies, or_more: true })
    }

    /// Whether it was made [`Self::of_both`].
    pub fn is_joint(self) -> bool {
        self.or_more
    }

    /// How many copies that makes where `usual` is the number for every blob.
    pub(crate) fn of(self, usual: usize) -> usize {
        let copies = usize::from(self.copies);
        if self.or_more { copies.max(usual) } else { copies }
    }

    fn encode(self) -> u8 {
        if self.or_more { self.copies | Self::OR_MORE } else { self.copies }
    }

    fn decode(byte: u8) -> Option<Self> {
        let or_more = byte & Self::OR_MORE != 0;
        Some(Self { or_more, ..Self::exactly(byte & !Self::OR_MORE)? })
    }
}

/// Where a new blob is to lie, and in how many copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub region: String,
    /// As [`Location::wish`].
    pub copies: Option<Wish>,
}

impl Wanted {
    /// As many copies as every blob of the region.
    pub fn usual(region: &str) -> Self {
        Self { region: region.to_owned(), copies: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyAt {
    pub directory: DirectoryId,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file of its own, named by the blob.
    File(FileLayout),
    /// A record in a segment; `length` counts the whole record with header and padding.
    Segment { segment: SegmentId, offset: u64, length: u64 },
}

impl Place {
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

impl Location {
    /// The segments that hold a copy, and the bytes the copy takes there.
    pub fn segments(&self) -> Vec<(SegmentKey, u64)> {
        let in_segment = |copy: &CopyAt| match copy.place {
            Place::File(_) => None,
            Place::Segment { segment, length, .. } => {
                Some((SegmentKey { directory: copy.directory, segment }, length))
            }
        };
        self.copies.iter().filter_map(in_segment).collect()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 64 * self.copies.len());
        bytes.put_u8(self.wish.map_or(VERSION, |_| VERSION_WITH_WISH));
        bytes.put_slice(&self.blob.0);
        put_varint(&mut bytes, self.size_bytes);
        bytes.extend(self.wish.map(Wish::encode));
        bytes.put_u8(u8::try_from(self.copies.len()).unwrap_or(u8::MAX));
        for copy in &self.copies {
            bytes.put_slice(&copy.directory.0);
            match copy.place {
                Place::File(FileLayout::Interleaved) => bytes.put_u8(PLACE_INTERLEAVED_FILE),
                Place::File(FileLayout::Contiguous) => bytes.put_u8(PLACE_CONTIGUOUS_FILE),
                Place::Segment { segment, offset, length } => {
                    bytes.put_u8(PLACE_SEGMENT);
                    bytes.put_slice(&segment.incarnation.0);
                    put_varint(&mut bytes, segment.number);
                    put_varint(&mut bytes, offset);
                    put_varint(&mut bytes, length);
                }
            }
        }
        bytes
    }

    /// # Errors
    /// [`Error::InvalidFormat`] for anything that [`Self::encode`] does not write.
    pub fn decode(mut bytes: &[u8]) -> Result<Self> {
        decode(&mut bytes)
            .filter(|_| bytes.is_empty())
            .ok_or(Error::InvalidFormat("not a blob location of a known version"))
    }
}

fn decode(bytes: &mut &[u8]) -> Option<Location> {
    let with_wish = match bytes.try_get_u8().ok()? {
        VERSION => false,
        VERSION_WITH_WISH => true,
        _ => return None,
    };
    let blob = BlobId(identifier(bytes)?);
    let size_bytes = varint(bytes)?;
    let wish = match with_wish {
        true => Some(Wish::decode(bytes.try_get_u8().ok()?)?),
        false => None,
    };
    let count = usize::from(bytes.try_get_u8().ok()?);
    if count > COPIES_MAX {
        return None;
    }
    let mut copies = Vec::with_capacity(count);
    for _ in 0..count {
        let directory = DirectoryId(identifier(bytes)?);
        let place = match bytes.try_get_u8().ok()? {
            PLACE_INTERLEAVED_FILE => Place::File(FileLayout::Interleaved),
            PLACE_CONTIGUOUS_FILE => Place::File(FileLayout::Contiguous),
            PLACE_SEGMENT => {
                let incarnation = IncarnationId(identifier(bytes)?);
                let segment = SegmentId { incarnation, number: varint(bytes)? };
                Place::Segment { segment, offset: varint(bytes)?, length: varint(bytes)? }
            }
            _ => return None,
        };
        copies.push(CopyAt { directory, place });
    }
    Some(Location { blob, size_bytes, wish, copies })
}

fn identifier(bytes: &mut &[u8]) -> Option<[u8; 16]> {
    let (id, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*id)
}

/// Seven bits a byte, lowest first; the top bit says that more follow (LEB128).
fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.put_u8((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.put_u8(number as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes.try_get_u8().ok()?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            // One number has one spelling.
            return (byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_copy() -> impl Strategy<Value = CopyAt> {
        let segment = (any::<[u8; 16]>(), any::<u64>(), any::<u64>(), any::<u64>());
        let place = prop_oneof![
            Just(Place::File(FileLayout::Interleaved)),
            Just(Place::File(FileLayout::Contiguous)),
            segment.prop_map(|(incarnation, number, offset, length)| {
                let segment = SegmentId { incarnation: IncarnationId(incarnation), number };
                Place::Segment { segment, offset, length }
            }),
        ];
        (any::<[u8; 16]>(), place)
            .prop_map(|(directory, place)| CopyAt { directory: DirectoryId(directory), place })
    }

    proptest! {
        #[test]
        fn location_survives_its_encoding(
            blob in any::<[u8; 16]>(),
            size_bytes in any::<u64>(),
            wish in any::<u8>(),
            copies in proptest::collection::vec(any_copy(), 0..5),
        ) {
            let wish = Wish::decode(wish);
            let location = Location { blob: BlobId(blob), size_bytes, wish, copies };
            prop_assert_eq!(Location::decode(&location.encode()).unwrap(), location);
        }

        #[test]
        fn garbage_is_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(location) = Location::decode(&bytes) {
                prop_assert_eq!(location.encode(), bytes);
            }
        }

        #[test]
        fn cut_or_longer_encodings_are_refused(
            wish in 0u8..3,
            copies in proptest::collection::vec(any_copy(), 0..3),
        ) {
            let wish = Wish::exactly(wish);
            let location = Location { blob: BlobId([7; 16]), size_bytes: 300, wish, copies };
            let bytes = location.encode();
            for length in 0..bytes.len() {
                prop_assert!(Location::decode(&bytes[..length]).is_err());
            }
            let longer = [&bytes[..], &[0]].concat();
            prop_assert!(Location::decode(&longer).is_err());
        }
    }

    #[test]
    fn encoding_of_a_file_copy_is_as_documented() {
        for (layout, place) in [(FileLayout::Interleaved, 0), (FileLayout::Contiguous, 2)] {
            let copies =
                vec![CopyAt { directory: DirectoryId([2; 16]), place: Place::File(layout) }];
            let location = Location { blob: BlobId([1; 16]), size_bytes: 300, wish: None, copies };
            let blob = [&[1; 16][..], &[0xac, 0x02]].concat();
            let copies = [&[1][..], &[2; 16], &[place]].concat();
            assert_eq!(location.encode(), [&[1], &blob[..], &copies].concat());
            let wished = Location { wish: Wish::exactly(3), ..location };
            assert_eq!(wished.encode(), [&[2], &blob[..], &[3], &copies].concat());
        }
        let none = [&[2u8][..], &[1; 16], &[0xac, 0x02], &[0], &[1], &[2; 16], &[2]].concat();
        assert!(Location::decode(&none).is_err(), "no copies cannot be wished for");
    }

    #[test]
    fn who_shares_a_blob_has_at_least_what_each_wants() {
        let wishes = [None, Wish::exactly(1), Wish::exactly(2), Wish::exactly(3)];
        for (one, other) in wishes.iter().flat_map(|one| wishes.map(|other| (*one, other))) {
            let both = Wish::of_both(one, other);
            assert_eq!(both, Wish::of_both(other, one));
            assert_eq!(both, Wish::of_both(both, one), "it is joined once");
            for usual in 1..5 {
                let count = |wish: Option<Wish>| wish.map_or(usual, |wish| wish.of(usual));
                assert!(count(both) >= count(one).max(count(other)), "{one:?}, {other:?}, {usual}");
            }
        }
    }

    #[test]
    fn segment_key_survives_its_encoding() {
        let segment = SegmentId { incarnation: IncarnationId([3; 16]), number: 0x0102 };
        let key = SegmentKey { directory: DirectoryId([9; 16]), segment };
        assert_eq!(SegmentKey::decode(&key.encode()).unwrap(), key);
        assert_eq!(key.encode()[38..], [1, 2]);
        assert!(SegmentKey::decode(&[0; 39]).is_err());
    }
}
