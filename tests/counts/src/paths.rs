//! The hot paths, each as what it needs and what is done with it.

use std::env;

use bytes::Bytes;
use gateway::counting::Asked;
use metadata::embedded::counting::{Group, Rows};
use metadata::engine::ScanRange;
use model::checksums::{
    Algorithm, Hasher,
    streams::{Addition, Blockwise, Stream, update_all},
};
use tempfile::TempDir;

use crate::{Counter, get, put};

/// In the environment it makes two paths slower.
pub const PLANTED: &str = "LARDER_COUNTS_PLANTED";
pub const KIB: usize = 1024;
pub const MIB: usize = 1024 * KIB;

pub fn put_of(bytes: usize) -> Counter {
    Counter::new().put("first", bytes).then(put("second", bytes))
}

pub fn get_of(bytes: usize) -> Counter {
    Counter::new().put("key", bytes).again(200, get("/bkt/key"))
}

/// As a user, with policies or without. Asked often enough that what the preparations left in the
/// heap no longer matters.
pub fn get_by_user(many: bool) -> Counter {
    let key = "reports/2026/summary.pdf";
    let read = || get(&format!("/bkt/{key}"));
    let slow = env::var_os(PLANTED).is_some();
    let mut counter = Counter::of_user(many, slow).put(key, 4 * KIB);
    (0..20).for_each(|_| _ = counter.expect(200, read()));
    counter.then(read())
}

pub fn stat() -> Counter {
    let head = Asked::new("HEAD", "/bkt/key", &[], Vec::new());
    Counter::new().put("key", 4 * KIB).again(200, head)
}

pub fn delete() -> Counter {
    let delete = |key: &str| Asked::new("DELETE", key, &[], Vec::new());
    let mut counter = Counter::new().put("first", 4 * KIB).put("second", 4 * KIB);
    counter.expect(204, delete("/bkt/first"));
    counter.then(delete("/bkt/second"))
}

/// 200 keys in 20 folders.
pub fn list(target: &str) -> Counter {
    let keys = (0..200).map(|number| format!("folder-{:02}/key-{number:04}", number / 10));
    keys.fold(Counter::new(), |counter, key| counter.put(&key, 16)).again(200, get(target))
}

/// 64 KiB in the `aws-chunked` coding with a trailer.
pub fn chunked() -> Counter {
    let ask = |key: &str| {
        let data = vec![b'x'; 16 * KIB];
        let chunk = [b"4000\r\n", data.as_slice(), b"\r\n"].concat();
        let mut pieces = vec![Bytes::from(chunk); 4];
        pieces.push(Bytes::from_static(b"0\r\nx-amz-checksum-crc32:LLRYmg==\r\n\r\n"));
        let headers = [
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "65536"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        Asked::new("PUT", &format!("/bkt/{key}"), &headers, pieces)
    };
    let mut counter = Counter::new();
    counter.expect(200, ask("first"));
    counter.then(ask("second"))
}

pub fn body() -> Vec<Bytes> {
    vec![Bytes::from(vec![b'x'; 32 * KIB]); 8]
}

/// Not in the function that is counted: its closures would switch the counting off again.
pub fn digest(algorithm: Algorithm, body: &[Bytes]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    body.iter().for_each(|piece| hasher.update(piece));
    // A control of `run`: an eighth more is too much.
    if env::var_os(PLANTED).is_some() {
        body.iter().take(1).for_each(|piece| hasher.update(piece));
    }
    hasher.finish()
}

/// Eight commits of four rows.
pub fn group() -> Group {
    let row = |number: u8| (vec![number; 60], vec![number; 200]);
    Group::new((0..8).map(|commit| (0..4).map(|it| row(4 * commit + it)).collect()).collect())
}

pub fn rows() -> (TempDir, Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |number: u32| (format!("a-bucket/key-{number:06}").into_bytes(), vec![b'v'; 200]);
    let rows = Rows::new(folder.path(), (0..2000).map(row).collect()).expect("an index");
    scan_of(&rows);
    (folder, rows)
}

pub fn scan_of(rows: &Rows) -> usize {
    let range = ScanRange { start: b"a-bucket/".to_vec(), end: b"a-bucket0".to_vec() };
    rows.scan(&range, 500).expect("a page").rows.len()
}

/// What each of eight uploads brought.
pub fn bodies() -> Vec<Vec<Bytes>> {
    vec![vec![Bytes::from(vec![b'x'; 32 * KIB]); 2]; 8]
}

pub fn digest_together<H: Blockwise>(bodies: &[Vec<Bytes>]) -> Vec<H::Value> {
    let mut streams: Vec<_> = bodies.iter().map(|_| Stream::<H>::default()).collect();
    let pieces = bodies.iter().map(|body| body.iter().map(|bytes| bytes.as_ref()));
    let pairs = streams.iter_mut().zip(pieces);
    let additions = pairs.map(|(stream, pieces)| Addition::new(stream, pieces));
    update_all(&mut additions.collect::<Vec<_>>());
    streams.into_iter().map(Stream::finish).collect()
}
