//! The hot paths whose instructions are counted; `tests/counts/run` compares them with
//! `counts.json`.

#![allow(clippy::expect_used, clippy::panic, reason = "a wrong answer is no count")]
#![allow(clippy::disallowed_methods, reason = "gungraun's main ends by exit")]

use std::env;
use std::hint::black_box;

use bytes::Bytes;
use gateway::counting::Asked;
use gungraun::prelude::*;
use larder_counts::{Counter, get, put};
use metadata::embedded::counting::{Group, Rows};
use metadata::engine::ScanRange;
use model::checksums::{Algorithm, Hasher};
use tempfile::TempDir;

type Counted = (Counter, u16, usize);

/// In the environment it makes two paths slower.
const PLANTED: &str = "LARDER_COUNTS_PLANTED";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn put_of(bytes: usize) -> Counter {
    Counter::new().put("first", bytes).then(put("second", bytes))
}

fn get_of(bytes: usize) -> Counter {
    Counter::new().put("key", bytes).again(200, get("/bkt/key"))
}

/// As a user, with policies or without. Asked often enough that what the preparations left in the
/// heap no longer matters.
fn get_by_user(many: bool) -> Counter {
    let key = "reports/2026/summary.pdf";
    let read = || get(&format!("/bkt/{key}"));
    let slow = env::var_os(PLANTED).is_some();
    let mut counter = Counter::of_user(many, slow).put(key, 4 * KIB);
    (0..20).for_each(|_| _ = counter.expect(200, read()));
    counter.then(read())
}

fn stat() -> Counter {
    let head = Asked::new("HEAD", "/bkt/key", &[], Vec::new());
    Counter::new().put("key", 4 * KIB).again(200, head)
}

fn delete() -> Counter {
    let delete = |key: &str| Asked::new("DELETE", key, &[], Vec::new());
    let mut counter = Counter::new().put("first", 4 * KIB).put("second", 4 * KIB);
    counter.expect(204, delete("/bkt/first"));
    counter.then(delete("/bkt/second"))
}

/// 200 keys in 20 folders.
fn list(target: &str) -> Counter {
    let keys = (0..200).map(|number| format!("folder-{:02}/key-{number:04}", number / 10));
    keys.fold(Counter::new(), |counter, key| counter.put(&key, 16)).again(200, get(target))
}

/// 64 KiB in the `aws-chunked` coding with a trailer.
fn chunked() -> Counter {
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

fn body() -> Vec<Bytes> {
    vec![Bytes::from(vec![b'x'; 32 * KIB]); 8]
}

/// Not in the function that is counted: its closures would switch the counting off again.
fn digest(algorithm: Algorithm, body: &[Bytes]) -> Vec<u8> {
    let mut hasher = Hasher::new(algorithm);
    body.iter().for_each(|piece| hasher.update(piece));
    // A control of `run`: an eighth more is too much.
    if env::var_os(PLANTED).is_some() {
        body.iter().take(1).for_each(|piece| hasher.update(piece));
    }
    hasher.finish()
}

/// Eight commits of four rows.
fn group() -> Group {
    let row = |number: u8| (vec![number; 60], vec![number; 200]);
    Group::new((0..8).map(|commit| (0..4).map(|it| row(4 * commit + it)).collect()).collect())
}

fn rows() -> (TempDir, Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let row = |number: u32| (format!("a-bucket/key-{number:06}").into_bytes(), vec![b'v'; 200]);
    let rows = Rows::new(folder.path(), (0..2000).map(row).collect()).expect("an index");
    scan_of(&rows);
    (folder, rows)
}

fn scan_of(rows: &Rows) -> usize {
    let range = ScanRange { start: b"a-bucket/".to_vec(), end: b"a-bucket0".to_vec() };
    rows.scan(&range, 500).expect("a page").rows.len()
}

/// The answer was the wanted one, and is dropped, where neither counts.
fn ok((counter, status, bytes): Counted) {
    drop(counter);
    assert!((200..300).contains(&status), "status {status}, {bytes} bytes");
}

#[library_benchmark(teardown = ok)]
#[bench::put_4k(put_of(4 * KIB))]
#[bench::put_1m(put_of(MIB))]
#[bench::put_chunked_64k(chunked())]
#[bench::get_4k(get_of(4 * KIB))]
#[bench::get_4k_by_user(get_by_user(false))]
#[bench::get_4k_by_user_with_policies(get_by_user(true))]
#[bench::get_1m(get_of(MIB))]
#[bench::stat_4k(stat())]
#[bench::delete_4k(delete())]
#[bench::list_200(list("/bkt?list-type=2"))]
#[bench::list_20_prefixes(list("/bkt?list-type=2&delimiter=%2F"))]
fn request(counter: Counter) -> Counted {
    counter.count()
}

#[library_benchmark]
#[bench::md5(Algorithm::Md5, body())]
#[bench::sha256(Algorithm::Sha256, body())]
#[bench::crc64(Algorithm::Crc64Ecma, body())]
#[bench::crc32(Algorithm::Crc32, body())]
fn digest_256k(algorithm: Algorithm, body: Vec<Bytes>) -> (Vec<u8>, Vec<Bytes>) {
    (digest(algorithm, black_box(&body)), body)
}

#[library_benchmark]
#[bench::group_of_8(group())]
fn journal(group: Group) -> (Vec<u8>, Group) {
    (black_box(&group).encode(), group)
}

#[library_benchmark]
#[bench::scan_of_500(rows())]
fn index((folder, rows): (TempDir, Rows)) -> (usize, TempDir, Rows) {
    (scan_of(black_box(&rows)), folder, rows)
}

library_benchmark_group!(name = counts, benchmarks = [request, digest_256k, journal, index]);
/// What was freed is handed out again as it is. Else glibc tidies its heap up now and then, which
/// takes thousands of instructions and depends on all that happened before.
const HEAP: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=60000");

main!(
    config = LibraryBenchmarkConfig::default().pass_through_env(PLANTED).env(HEAP.0, HEAP.1),
    library_benchmark_groups = counts
);
