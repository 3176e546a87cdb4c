//! How long the hot paths take, on one thread and with disks in memory. Whole requests include the
//! check of their signature. `cargo bench -p larder-counts --bench times` runs it.
//!
//! Times depend on the machine: for a comparison, take both sides in turn. What must not grow is
//! counted instead, see `counts.rs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a wrong answer is no time")]

use std::fmt;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use larder_counts::{Counter, paths::*};
use model::checksums::{Algorithm, md5, sha256, streams::Blockwise};

fn main() {
    divan::main();
}

/// A request by its name, and what is ready to ask it.
struct Request(&'static str, fn() -> Counter);

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const REQUESTS: [Request; 9] = [
    Request("put_4k", || put_of(4 * KIB)),
    Request("put_1m", || put_of(MIB)),
    Request("put_chunked_64k", chunked),
    Request("get_4k", || get_of(4 * KIB)),
    Request("get_4k_by_user_with_policies", || get_by_user(true)),
    Request("stat_4k", stat),
    Request("delete_4k", delete),
    Request("list_200", || list("/bkt?list-type=2")),
    Request("list_20_prefixes", || list("/bkt?list-type=2&delimiter=%2F")),
];

#[divan::bench(args = REQUESTS, sample_count = 50, sample_size = 1)]
fn request(bencher: Bencher<'_, '_>, Request(_, counter): &Request) {
    let ask = |counter: Counter| {
        let answered = counter.count();
        assert!((200..300).contains(&answered.1), "status {}", answered.1);
        answered
    };
    bencher.with_inputs(counter).bench_values(ask);
}

#[divan::bench(args = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Crc64Ecma, Algorithm::Crc32])]
fn digest_256k(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let body = body();
    let bencher = bencher.counter(BytesCount::new(256 * KIB));
    bencher.bench_local(|| digest(algorithm, black_box(&body)));
}

#[divan::bench]
fn md5_64k_of_8(bencher: Bencher<'_, '_>) {
    together::<md5::Blocks>(bencher);
}

#[divan::bench]
fn sha256_64k_of_8(bencher: Bencher<'_, '_>) {
    together::<sha256::Blocks>(bencher);
}

fn together<H: Blockwise>(bencher: Bencher<'_, '_>) {
    let bodies = bodies();
    let bencher = bencher.counter(BytesCount::new(8 * 64 * KIB));
    bencher.bench_local(|| digest_together::<H>(black_box(&bodies)));
}

#[divan::bench]
fn journal_group_of_8(bencher: Bencher<'_, '_>) {
    let group = group();
    bencher.bench_local(|| black_box(&group).encode());
}

#[divan::bench]
fn index_scan_of_500(bencher: Bencher<'_, '_>) {
    let (_folder, rows) = rows();
    bencher.bench_local(|| scan_of(black_box(&rows)));
}
