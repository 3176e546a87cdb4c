//! Compares every row and every file with what versions and uploads need: nothing live is missing,
//! nothing dead is left.
//!
//! The layout of the rows is persisted and documented with `metadata`'s keys.

use std::collections::{BTreeMap, BTreeSet};

use blobs::{Location, Wanted, Wish};
use metadata::engine::{Direction, Engine, ScanRange};
use minicbor::Decode;
use model::records::{Bucket, Content, ContentPart, Garbage, Part, Version};

use super::{REGION, Store};

/// All rows by family.
struct Rows(BTreeMap<u8, BTreeMap<Vec<u8>, Vec<u8>>>);

/// What was found wrong; empty if all is well.
pub type Faults = Vec<String>;

impl Rows {
    async fn read(store: &Store) -> Self {
        let mut families: BTreeMap<u8, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
        let mut rest = Some(ScanRange { start: vec![0], end: vec![u8::MAX] });
        while let Some(range) = rest {
            let page = store.engine.scan(&range, 1000, Direction::Forward).await;
            let page = page.expect("the memory answers");
            for (key, row) in page.rows {
                let (family, rest) = key.split_first().expect("no key is empty");
                families.entry(*family).or_default().insert(rest.to_vec(), row.value.to_vec());
            }
            rest = page.next;
        }
        Self(families)
    }

    fn family(&self, family: u8) -> impl Iterator<Item = (&Vec<u8>, &Vec<u8>)> {
        self.0.get(&family).into_iter().flatten()
    }

    fn count(&self, family: u8) -> usize {
        self.family(family).count()
    }

    fn keys(&self, family: u8) -> BTreeSet<Vec<u8>> {
        self.family(family).map(|(key, _)| key.clone()).collect()
    }

    fn records<T: for<'b> Decode<'b, ()>>(&self, family: u8) -> Vec<(Vec<u8>, T)> {
        let decode = |row: &Vec<u8>| minicbor::decode(&row[1..]).expect("a row decodes");
        self.family(family).map(|(key, row)| (key.clone(), decode(row))).collect()
    }

    /// Counters that are not zero.
    fn counters(&self, family: u8) -> BTreeMap<Vec<u8>, i64> {
        let number = |row: &Vec<u8>| {
            i64::from_be_bytes(row.as_slice().try_into().expect("a counter has 8 bytes"))
        };
        let counters = self.family(family).map(|(key, row)| (key.clone(), number(row)));
        counters.filter(|(_, value)| *value != 0).collect()
    }
}

/// Looks at a store that has nothing left to reclaim, and nobody reading.
pub async fn audit(store: &Store) -> Faults {
    let rows = Rows::read(store).await;
    let mut faults = Faults::new();
    let contents: BTreeMap<Vec<u8>, Content> = rows.records(b'c').into_iter().collect();
    references(&rows, &contents, &mut faults);
    let named = multipart(&rows, &contents, &mut faults);
    let manifests = contents.values().filter_map(|content| content.manifest);
    let blobs = named.iter().map(|part| part.blob).chain(manifests);
    uploads(&rows, blobs.map(|blob| blob.to_vec()).collect(), &mut faults);
    let whole = contents.values().filter_map(|content| content.location.clone());
    let parts = rows.family(b'b').map(|(_, location)| location.clone());
    let locations: Vec<_> = whole.chain(parts).collect();
    bytes(store, &rows, &locations, &mut faults).await;
    let queued: Vec<_> = rows.records::<Garbage>(b'G').into_iter().map(|(_, row)| row).collect();
    compare("garbage", &queued, &Vec::new(), &mut faults);
    faults
}

/// Looks at a store from which everything was deleted: only accounts may be left.
pub async fn leftovers(store: &Store) -> Faults {
    let mut faults = audit(store).await;
    let rows = Rows::read(store).await;
    for family in "BCFGHOPUbcnp".bytes() {
        compare(&format!("rows of {}", char::from(family)), &rows.count(family), &0, &mut faults);
    }
    for family in "QRSru".bytes() {
        let what = format!("counters of {}", char::from(family));
        compare(&what, &rows.counters(family), &BTreeMap::new(), &mut faults);
    }
    let segments = store.blobs.segments().await.expect("the disks answer");
    check(segments.is_empty(), || format!("segments are left: {segments:?}"), &mut faults);
    faults
}

/// Whether all that buckets name has the copies they want: exactly so many, or more if others that
/// want more name it too.
///
/// - `surplus`: or if others that wanted more named it once.
pub async fn miscounted(store: &Store, surplus: bool) -> Faults {
    let rows = Rows::read(store).await;
    let mut faults = Faults::new();
    let wish = |bucket: Bucket| (bucket.id.0.to_be_bytes(), bucket.copies.and_then(Wish::exactly));
    let wishes: BTreeMap<[u8; 8], Option<Wish>> =
        rows.records::<Bucket>(b'B').into_iter().map(|(_, bucket)| wish(bucket)).collect();
    let count = |copies| store.blobs.copies(&Wanted { region: REGION.to_owned(), copies });
    let mut wanted: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for (key, version) in rows.records::<Version>(b'C').into_iter().chain(rows.records(b'H')) {
        let Some(object) = version.object else { continue };
        let wish = wishes.get(&key[..8]).expect("the bucket exists");
        wanted.entry(object.content.0.to_vec()).or_default().push(count(*wish));
    }
    let contents: BTreeMap<Vec<u8>, Content> = rows.records(b'c').into_iter().collect();
    let parts: BTreeMap<Vec<u8>, Vec<ContentPart>> = rows.records(b'p').into_iter().collect();
    let locations: BTreeMap<_, _> = rows.family(b'b').collect();
    for (id, counts) in wanted {
        let content = &contents[&id];
        let whole = content.location.as_ref().into_iter();
        let parts = parts.iter().filter(|(key, _)| key[..16] == id).flat_map(|(_, parts)| parts);
        let blobs = parts.map(|part| part.blob).chain(content.manifest);
        let blobs: Vec<_> = blobs.map(|blob| locations[&blob.to_vec()]).collect();
        let most = counts.iter().copied().max().unwrap_or_default();
        for location in whole.chain(blobs) {
            let location = decode(location);
            let found = location.copies.len();
            let exact = [None, Wish::exactly(1), Wish::exactly(2), Wish::exactly(3)];
            let joint = !exact.contains(&location.wish) && (surplus || counts.len() > 1);
            let well = if joint { found >= most } else { counts.iter().all(|it| *it == found) };
            check(well, || format!("{found} copies of {id:?}, wanted {counts:?}"), &mut faults);
        }
    }
    faults
}

fn check(well: bool, fault: impl FnOnce() -> String, faults: &mut Faults) {
    if !well {
        faults.push(fault());
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, wanted: &T, faults: &mut Faults) {
    check(found == wanted, || format!("{what}: found {found:?}, wanted {wanted:?}"), faults);
}

/// A content is there exactly as long as versions name it, and the references are counted.
fn references(rows: &Rows, contents: &BTreeMap<Vec<u8>, Content>, faults: &mut Faults) {
    let mut names: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for (_, version) in rows.records::<Version>(b'C').into_iter().chain(rows.records(b'H')) {
        if let Some(object) = version.object {
            *names.entry(object.content.0.to_vec()).or_default() += 1;
        }
    }
    let found: BTreeSet<_> = contents.keys().cloned().collect();
    compare("contents", &found, &names.keys().cloned().collect(), faults);
    let shared = names.into_iter().map(|(content, count)| (content, count - 1));
    let shared: BTreeMap<_, _> = shared.filter(|(_, count)| *count > 0).collect();
    compare("references", &rows.counters(b'r'), &shared, faults);
    let nulls = rows.records::<Version>(b'H').into_iter().filter(|(_, version)| version.null);
    let nulls: BTreeSet<_> = nulls.map(|(_, version)| version.id.order).collect();
    let orders: BTreeSet<u64> = rows.records(b'n').into_iter().map(|(_, order)| order).collect();
    compare("orders of null versions", &orders, &nulls, faults);
}

/// The parts of all multipart contents.
fn multipart(
    rows: &Rows,
    contents: &BTreeMap<Vec<u8>, Content>,
    faults: &mut Faults,
) -> Vec<ContentPart> {
    let mut parts = Vec::new();
    for (key, row) in rows.records::<Vec<ContentPart>>(b'p') {
        let content = key[..16].to_vec();
        match contents.get(&content) {
            Some(_) => parts.extend(row),
            None => faults.push(format!("parts of the content {content:?}, which is gone")),
        }
    }
    let rows_wanted: u32 = contents.values().map(|content| content.part_rows).sum();
    let rows_found = rows.keys(b'p').iter().filter(|key| contents.contains_key(&key[..16])).count();
    compare("rows of parts", &rows_found, &(rows_wanted as usize), faults);
    parts
}

/// The parts of uploads under way are counted, rows of ended ones are gone, and each blob of a part
/// has its row.
fn uploads(rows: &Rows, mut blobs: BTreeSet<Vec<u8>>, faults: &mut Faults) {
    let live: BTreeSet<_> =
        rows.keys(b'U').iter().map(|key| key[key.len() - 16..].to_vec()).collect();
    let mut counts: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    for (key, part) in rows.records::<Part>(b'P') {
        let upload = key[..16].to_vec();
        check(live.contains(&upload), || format!("a part of the ended upload {upload:?}"), faults);
        *counts.entry(upload).or_default() += 1;
        blobs.insert(part.blob.to_vec());
    }
    compare("counts of parts", &rows.counters(b'Q'), &counts, faults);
    let writes: BTreeSet<_> = rows.counters(b'R').into_keys().collect();
    compare("uploads with part writes", &writes, &counts.into_keys().collect(), faults);
    compare("blobs of parts", &rows.keys(b'b'), &blobs, faults);
}

fn decode(location: &[u8]) -> Location {
    Location::decode(location).expect("a location decodes")
}

/// Live bytes of segments are counted exactly, and large blobs have their files and no others.
async fn bytes(store: &Store, rows: &Rows, locations: &[Vec<u8>], faults: &mut Faults) {
    let mut live: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    let mut files = Vec::new();
    for location in locations.iter().map(|location| decode(location)) {
        let wanted = Wanted { region: REGION.to_owned(), copies: location.wish };
        compare("copies", &location.copies.len(), &store.blobs.copies(&wanted), faults);
        for (segment, length) in location.segments() {
            *live.entry(segment.encode().to_vec()).or_default() += length as i64;
        }
        let copies = location.copies.iter().filter(|copy| copy.place.is_file());
        let blob = location.blob;
        files.extend(copies.map(|_| format!("blobs/{:02x}/{blob}.2", blob.0[0])));
    }
    compare("live bytes of segments", &rows.counters(b'S'), &live, faults);
    let segments = store.blobs.segments().await.expect("the disks answer");
    let segments: BTreeSet<_> = segments.iter().map(|info| info.key.encode().to_vec()).collect();
    let missing: Vec<_> = live.keys().filter(|key| !segments.contains(*key)).collect();
    check(missing.is_empty(), || format!("segments with live bytes are gone: {missing:?}"), faults);
    files.sort();
    compare("files of large blobs", &store.blob_files(), &files, faults);
}
