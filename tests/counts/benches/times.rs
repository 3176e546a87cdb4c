//! How long the hot paths take, on one thread and with disks in memory. Whole requests include the
//! check of their signature. `cargo bench -p larder-counts --bench times` runs it.
//!
//! Times depend on the machine: for a comparison, take both sides in turn. What must not grow is
//! counted instead, see `counts.rs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a wrong answer is no time")]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use larder_counts::{Counter, paths::*};
use model::checksums::{Algorithm, md5, sha256, streams::Blockwise};

fn main() {
    divan::main();
}

fn request(bencher: Bencher<'_, '_>, counter: fn() -> Counter) {
    let ask = |counter: Counter| {
        let answered = counter.count();
        assert!((200..300).contains(&answered.1), "status {}", answered.1);
        answered
    };
    bencher.with_inputs(counter).bench_values(ask);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn put_4k(bencher: Bencher<'_, '_>) {
    request(bencher, || put_of(4 * KIB));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn put_1m(bencher: Bencher<'_, '_>) {
    request(bencher, || put_of(MIB));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn put_chunked_64k(bencher: Bencher<'_, '_>) {
    request(bencher, chunked);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn get_4k(bencher: Bencher<'_, '_>) {
    request(bencher, || get_of(4 * KIB));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn get_4k_by_user_with_policies(bencher: Bencher<'_, '_>) {
    request(bencher, || get_by_user(true));
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn stat_4k(bencher: Bencher<'_, '_>) {
    request(bencher, stat);
}

#[divan::bench(sample_count = 50, sample_size = 1)]
fn delete_4k(bencher: Bencher<'_, '_>) {
    request(bencher, delete);
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn list_200(bencher: Bencher<'_, '_>) {
    request(bencher, || list("/bkt?list-type=2"));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn list_20_prefixes(bencher: Bencher<'_, '_>) {
    request(bencher, || list("/bkt?list-type=2&delimiter=%2F"));
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
