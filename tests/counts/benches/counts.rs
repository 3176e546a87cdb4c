//! The hot paths whose instructions are counted; `tests/counts/run` compares them with
//! `counts.json`.

#![allow(clippy::expect_used, clippy::panic, reason = "a wrong answer is no count")]
#![allow(clippy::disallowed_methods, reason = "gungraun's main ends by exit")]

use std::hint::black_box;

use bytes::Bytes;
use gungraun::prelude::*;
use larder_counts::{Counter, paths::*};
use metadata::embedded::counting::{Group, Rows};
use model::checksums::{Algorithm, md5};
use tempfile::TempDir;

type Counted = (Counter, u16, usize);

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
#[bench::of_8(bodies())]
fn md5_together(bodies: Vec<Vec<Bytes>>) -> (Vec<[u8; 16]>, Vec<Vec<Bytes>>) {
    (digest_together::<md5::Blocks>(black_box(&bodies)), bodies)
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

library_benchmark_group!(
    name = counts,
    benchmarks = [request, digest_256k, md5_together, journal, index]
);

/// What was freed is handed out again as it is. Else glibc tidies its heap up now and then, which
/// takes thousands of instructions and depends on all that happened before.
const HEAP: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=60000");

main!(
    config = LibraryBenchmarkConfig::default().pass_through_env(PLANTED).env(HEAP.0, HEAP.1),
    library_benchmark_groups = counts
);
