//! Writing past the page cache: large writes go to the device from memory of ours.
//!
//! Only whole pages can. What is left of a page at either end goes through the page cache, so no
//! byte is ever written both ways. A sync covers both.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use rustix::io::Errno;

use crate::format::PAGE_BYTES;

/// Below this the page cache is cheaper.
pub(crate) const DIRECT_BYTES_MIN: usize = 512 * 1024;
/// Above this too much memory would stay with the thread.
const DIRECT_BYTES_MAX: usize = 2 * 1024 * 1024;

thread_local! {
    /// Where parts are put together. Fresh pages would cost as much as is saved.
    static STAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// True if a write of so many bytes is worth it.
pub(crate) fn is_worth_it(length: usize) -> bool {
    (DIRECT_BYTES_MIN..=DIRECT_BYTES_MAX).contains(&length)
}

/// Writes `parts` from `offset` on: whole pages by `direct`, the rest by `file`. Whether `direct`
/// can go on being used.
///
/// - `direct`: the same file, opened with `O_DIRECT`.
pub(crate) fn write_all(
    file: &File,
    direct: &File,
    offset: u64,
    parts: &[Bytes],
) -> io::Result<bool> {
    STAGE.with_borrow_mut(|stage| {
        let staged = put_together(stage, offset, parts);
        let front = (PAGE_BYTES - within_page(offset)) % PAGE_BYTES;
        let (front, rest) = staged.split_at(front.min(staged.len()));
        let (whole, end) = rest.split_at(rest.len() - rest.len() % PAGE_BYTES);
        file.write_all_at(front, offset)?;
        let offset = offset + front.len() as u64;
        let written = write_whole(direct, offset, whole)?;
        let left = whole.get(written..).unwrap_or_default();
        file.write_all_at(left, offset + written as u64)?;
        file.write_all_at(end, offset + whole.len() as u64)?;
        Ok(left.is_empty())
    })
}

fn within_page(offset: u64) -> usize {
    (offset % PAGE_BYTES as u64) as usize
}

/// The bytes of `parts` in a row, at a place in memory that is as far into a page as `offset`.
fn put_together<'s>(stage: &'s mut Vec<u8>, offset: u64, parts: &[Bytes]) -> &'s [u8] {
    let length: usize = parts.iter().map(Bytes::len).sum();
    let needed = length + 2 * PAGE_BYTES;
    if stage.len() < needed {
        // Not what was there: that need not be copied.
        *stage = vec![0; needed.next_multiple_of(DIRECT_BYTES_MIN)];
    }
    let start = stage.as_ptr().align_offset(PAGE_BYTES) + within_page(offset);
    let place = stage.get_mut(start..start + length).unwrap_or_default();
    let mut rest = &mut *place;
    for part in parts {
        let Some((here, after)) = rest.split_at_mut_checked(part.len()) else { break };
        here.copy_from_slice(part);
        rest = after;
    }
    place
}

/// Writes whole pages directly; how many bytes, which is less if the file cannot be written so.
fn write_whole(direct: &File, offset: u64, whole: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while let Some(rest) = whole.get(written..).filter(|rest| !rest.is_empty()) {
        match rustix::io::pwrite(direct, rest, offset + written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) if more % PAGE_BYTES == 0 => written += more,
            // The part of a page that is there is written once more.
            Ok(more) => return Ok(written + more - more % PAGE_BYTES),
            Err(Errno::INTR) => {}
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(written),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::OFlags;

    use super::*;

    fn parts(length: usize) -> Vec<Bytes> {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        Bytes::from(bytes).chunks(30_001).map(Bytes::copy_from_slice).collect()
    }

    /// Wherever a write begins and ends, the file holds what was written and nothing else.
    #[test]
    fn writes_of_any_place_and_length_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        for (first, second) in [(64, 1_000_000), (0, 8192), (4096, 700_000), (5000, 100), (1, 4095)]
        {
            let path = folder.path().join(format!("{first}-{second}"));
            let file = File::create_new(&path).expect("a file");
            let flags = OFlags::DIRECT.bits() as i32;
            // Where the file system has no direct writes, the ordinary ones stand in for them.
            let open = File::options().write(true).custom_flags(flags).open(&path);
            let direct = open.unwrap_or_else(|_| file.try_clone().expect("a handle"));
            write_all(&file, &direct, 0, &parts(first)).expect("written");
            write_all(&file, &direct, first as u64, &parts(second)).expect("written");
            let found = std::fs::read(&path).expect("read");
            assert!(found == [parts(first).concat(), parts(second).concat()].concat());
        }
    }

    /// A handle that refuses to write directly costs nothing but the speed.
    #[test]
    fn what_cannot_be_written_directly_is_written_all_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let file = File::create_new(&path).expect("a file");
        let refused = write_whole(&file, u64::MAX >> 1, &[0; PAGE_BYTES]).expect("no error");
        assert_eq!(refused, 0, "beyond the largest file is invalid");
        file.write_at(b"abc", 0).expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"abc");
    }
}
