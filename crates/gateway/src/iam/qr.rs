//! A QR code as a PNG picture.
//!
//! The picture is black, white and small, so that it is written without compression: an encoder
//! would bring eight crates along for what are forty lines. Source: PNG (Third Edition), RFC 1950
//! and RFC 1951.

use crc_fast::{CrcAlgorithm::Crc32IsoHdlc, checksum};
use qrcode::{Color, EcLevel, QrCode};

/// Pixels of one module, and modules of white around them all: ISO/IEC 18004 wants so many.
const SCALE: usize = 4;
const QUIET: usize = 4;

/// The most a block of uncompressed data holds. Source: RFC 1951, section 3.2.4.
const BLOCK_BYTES_MAX: usize = 65_535;

/// `None` for a text that is too long for any code.
pub fn png(text: &str) -> Option<Vec<u8>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (modules, colors) = (code.width(), code.to_colors());
    let side = (modules + 2 * QUIET) * SCALE;
    let dark = |x: usize, y: usize| {
        let place = |pixel: usize| (pixel / SCALE).checked_sub(QUIET).filter(|at| *at < modules);
        let at = place(x).zip(place(y)).map(|(x, y)| y * modules + x);
        at.and_then(|at| colors.get(at)) == Some(&Color::Dark)
    };
    let mut pixels = Vec::with_capacity(side * (side / 8 + 2));
    for y in 0..side {
        // No filter.
        pixels.push(0);
        for x in (0..side).step_by(8) {
            let bits = (x..x + 8).map(|x| u8::from(x < side && !dark(x, y)));
            pixels.push(bits.fold(0, |byte, bit| byte << 1 | bit));
        }
    }
    let side = u32::try_from(side).ok()?.to_be_bytes();
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    // One bit for each pixel, in shades of grey; the usual compression, filter, and no interlacing.
    chunk(&mut picture, b"IHDR", &[&side[..], &side[..], &[1, 0, 0, 0, 0]].concat());
    chunk(&mut picture, b"IDAT", &stored(&pixels));
    chunk(&mut picture, b"IEND", &[]);
    Some(picture)
}

fn chunk(picture: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    picture.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let checked = [kind, data].concat();
    picture.extend_from_slice(&checked);
    picture.extend_from_slice(&(checksum(Crc32IsoHdlc, &checked) as u32).to_be_bytes());
}

/// A zlib stream of blocks that are not compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(BLOCK_BYTES_MAX).peekable();
    while let Some(block) = blocks.next() {
        let bytes = block.len() as u16;
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend_from_slice(&bytes.to_le_bytes());
        stream.extend_from_slice(&(!bytes).to_le_bytes());
        stream.extend_from_slice(block);
    }
    let (low, high) = data.iter().fold((1_u32, 0_u32), |(low, high), byte| {
        let low = (low + u32::from(*byte)) % 65_521;
        (low, (high + low) % 65_521)
    });
    stream.extend_from_slice(&(high << 16 | low).to_be_bytes());
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture of a code of 21 modules: its corner has the ring of a finder pattern.
    #[test]
    fn the_picture_has_the_modules_of_the_code() {
        let picture = png("LARDER").expect("a picture");
        let row_bytes = ((21_usize + 2 * 4) * 4).div_ceil(8);
        assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&picture[8..29], b"\0\0\0\x0dIHDR\0\0\0\x74\0\0\0\x74\x01\0\0\0\0");
        assert!(picture.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
        // Signature, header chunk, begin of the data chunk, of the stream, and of its block.
        let pixels = &picture[8 + 25 + 8 + 2 + 5..];
        let row = |y: usize| {
            let row = &pixels[y * (1 + row_bytes)..][1..=row_bytes];
            let bit = |x: usize| row[x / 8] >> (7 - x % 8) & 1;
            (4..25)
                .map(|module| bit(module * 4 + 1))
                .map(|bit| char::from(b'#' - 3 * bit))
                .collect()
        };
        let rows: Vec<String> = (4..11).map(|module| row(module * 4)).collect();
        let finders: Vec<_> = rows.iter().map(|row| (&row[..7], &row[14..])).collect();
        let expected =
            ["#######", "#     #", "# ### #", "# ### #", "# ### #", "#     #", "#######"];
        assert_eq!(finders, expected.map(|row| (row, row)));
    }

    #[test]
    fn the_checksum_of_a_stream_is_that_of_the_standard() {
        // RFC 1950 names the sum; "Wikipedia" is the example that is used for it everywhere.
        let expected = b"\x78\x01\x01\x09\0\xf6\xffWikipedia\x11\xe6\x03\x98";
        assert_eq!(stored(b"Wikipedia"), expected);
        let long = stored(&[0; 65_536]);
        assert_eq!((long[2], long.len()), (0, 2 + 2 * 5 + 65_536 + 4));
    }
}
