//! A bucket may want another number of copies at any time; what it names follows, whoever else
//! names it, and whatever is written, copied and freed meanwhile.

use std::collections::BTreeMap;

use blobs::faulty::{Keep, Random};
use bytes::Bytes;
use model::{
    Condition,
    checksums::Algorithm,
    names::VersionSelector,
    preconditions::Preconditions,
    records::{Attributes, Versioning},
    tags::Tags,
};
use service::{
    body,
    copies::{SetCopies, ShowBucket},
    disks::{DirectoryId, DrainDisk},
    objects::{
        Target,
        copy::CopyObject,
        read::{GetObject, Reading},
        write::{PutObject, WriteCondition},
    },
    workers::{Progress, Recount, Scrub, Worker as _},
};
use tokio::sync::mpsc;

use crate::{
    Arriving, BUCKET, Client, Result, Store, Workers, assert_tidy,
    checking::{pass, settings},
    name, object, seeds,
    support::{SMALL_BYTES_MAX, miscounted},
};

const OTHER: &str = "other";

type Where = (&'static str, String);

impl Client {
    async fn set_copies(&self, bucket: &str, copies: Option<u8>) -> Result<()> {
        self.as_root(SetCopies { bucket: name(bucket), copies }).await
    }

    async fn put_in(&self, (bucket, key): &Where, text: &str) -> Result<()> {
        let body = Box::new(body::Whole(Some(Bytes::from(text.to_owned()))));
        let (bucket, key, attributes) = (name(bucket), object(key), Attributes::default());
        let condition = WriteCondition::default();
        self.call(PutObject {
            bucket,
            key,
            attributes,
            condition,
            acl: None,
            tags: Tags::default(),
            body,
        })
        .await
        .map(drop)
    }

    async fn copy_over(&self, from: &Where, to: &Where, sum: Option<Algorithm>) -> Result<()> {
        let copy = CopyObject {
            acl: None,
            tags: None,
            source: target(from),
            source_preconditions: Preconditions::default(),
            bucket: name(to.0),
            key: object(&to.1),
            replace: None,
            storage_class: None,
            checksum: sum,
            condition: WriteCondition::default(),
        };
        self.call(copy).await.map(drop)
    }

    async fn get_from(&self, at: &Where) -> Result<Bytes> {
        let reading = Reading {
            target: target(at),
            preconditions: Preconditions::default(),
            range: None,
            lenient_range: false,
            part: None,
        };
        let (_, mut reader) = self.call(GetObject(reading)).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| error.condition)?);
        }
        Ok(bytes.into())
    }
}

fn target((bucket, key): &Where) -> Target {
    Target { bucket: name(bucket), key: object(key), version: VersionSelector::Latest }
}

async fn finish(recount: &mut Recount, store: &Store) {
    while recount.step(&store.service).await.expect("it steps") != Progress::Idle {
        tokio::task::yield_now().await;
    }
}

/// A pass over the store, after which what is no longer shared gets rid of surplus copies.
async fn scrub(store: &mut Store) {
    store.scrub_with(settings()).await;
    pass(&mut Scrub::default(), store).await;
    finish(&mut Recount::default(), store).await;
}

fn text(random: &mut Random) -> String {
    let size = if random.below(2) == 0 { 10 } else { SMALL_BYTES_MAX * 2 };
    random.below(1_000_000).to_string().repeat(size / 6 + 1)
}

fn place(random: &mut Random) -> Where {
    let bucket = if random.below(2) == 0 { BUCKET } else { OTHER };
    (bucket, format!("k{}", random.below(6)))
}

async fn upload(client: &Client, key: &str, texts: &[String]) {
    let upload = client.create_upload(key).await;
    for (number, text) in (1..).zip(texts) {
        client.upload_part(&upload, number, text).await.expect("a part");
        tokio::task::yield_now().await;
    }
    client.complete(&upload, WriteCondition::default()).await.expect("it is completed");
}

/// Changes that come in any order, each beside the worker and the wish for another number.
#[tokio::test]
async fn what_a_bucket_names_has_the_copies_it_wants_whatever_is_done_meanwhile() {
    for seed in seeds(40) {
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        client.create_bucket(OTHER).await;
        let mut random = Random(seed);
        let mut kept: BTreeMap<Where, String> = BTreeMap::new();
        let (mut recount, mut workers) = (Recount::default(), Workers::default());
        for _ in 0..25 {
            let copies = [None, Some(1), Some(2), Some(3)][random.below(4) as usize];
            let bucket = if random.below(2) == 0 { BUCKET } else { OTHER };
            let sets = random.below(2) == 0;
            let set = async {
                if sets {
                    client.set_copies(bucket, copies).await.expect("it is set");
                }
            };
            let mut choice = Random(random.below(u64::MAX));
            let change = async {
                for _ in 0..4 {
                    let (at, from) = (place(&mut choice), place(&mut choice));
                    match (choice.below(6), kept.get(&from).cloned()) {
                        (0 | 1, Some(text)) => {
                            client.copy_over(&from, &at, None).await.expect("it is copied");
                            kept.insert(at, text);
                        }
                        (2, _) => {
                            let texts = [text(&mut choice), text(&mut choice)];
                            upload(&client, "k0", &texts).await;
                            kept.insert((BUCKET, "k0".to_owned()), texts.concat());
                        }
                        (3, _) => {
                            client.delete(&from.1).await.expect("it goes");
                            kept.remove(&(BUCKET, from.1));
                        }
                        _ => {
                            let text = text(&mut choice);
                            client.put_in(&at, &text).await.expect("it is put");
                            kept.insert(at, text);
                        }
                    }
                }
            };
            let walk = async {
                for _ in 0..6 {
                    recount.step(&store.service).await.expect("it steps");
                    tokio::task::yield_now().await;
                }
            };
            let free = async { workers.finish(&store).await.expect("they step") };
            tokio::join!(set, change, walk, free);
        }
        if seed % 2 == 0 {
            store.restart(Some(Keep::Nothing)).await;
        }
        finish(&mut Recount::default(), &store).await;
        assert_tidy(&store, seed).await;
        assert_eq!(miscounted(&store, true).await, Vec::<String>::new(), "SEED={seed}");
        scrub(&mut store).await;
        assert_tidy(&store, seed).await;
        assert_eq!(miscounted(&store, false).await, Vec::<String>::new(), "SEED={seed}");
        let client = Client { service: store.service.clone(), ..client };
        for (at, text) in &kept {
            let read = client.get_from(at).await.expect("it is there");
            assert!(read == *text, "{at:?}, SEED={seed}");
        }
    }
}

/// Its directories were chosen before the bucket wanted more; it is acknowledged after the walk.
#[tokio::test]
async fn a_slow_write_gets_the_copies_that_were_set_meanwhile() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    let (pieces, arriving) = mpsc::channel(1);
    let (bucket, key) = (name(BUCKET), object("slow"));
    let (attributes, condition) = (Attributes::default(), WriteCondition::default());
    let body = Box::new(Arriving(arriving));
    let put = client.call(PutObject {
        bucket,
        key,
        attributes,
        condition,
        acl: None,
        tags: Tags::default(),
        body,
    });
    let mut recount = Recount::default();
    let rest = async {
        let piece = Bytes::from(vec![b'x'; SMALL_BYTES_MAX * 3]);
        pieces.send(piece.clone()).await.expect("it is taken");
        pieces.send(piece).await.expect("it is taken");
        client.set_copies(BUCKET, Some(3)).await.expect("it is set");
        finish(&mut recount, &store).await;
        drop(pieces);
    };
    let (put, ()) = tokio::join!(put, rest);
    put.expect("it is put");
    assert!(client.as_root(ShowBucket(name(BUCKET))).await.expect("shown").recount.is_some());
    finish(&mut recount, &store).await;
    assert_eq!(miscounted(&store, true).await, Vec::<String>::new());
    assert!(client.as_root(ShowBucket(name(BUCKET))).await.expect("shown").recount.is_none());
}

#[tokio::test]
async fn no_more_copies_are_promised_than_there_are_directories() {
    let store = Store::new(1).await;
    let client = Client::with_bucket(&store, Versioning::Unversioned).await;
    for copies in [0, 4, 65, 255] {
        let refused = client.set_copies(BUCKET, Some(copies)).await;
        assert_eq!(refused, Err(Condition::InvalidRequest), "{copies}");
    }
    assert_eq!(client.set_copies("nobody", Some(1)).await, Err(Condition::NoSuchBucket));
    client.set_copies(BUCKET, Some(3)).await.expect("there are three");
    let drain =
        || DrainDisk { directory: DirectoryId([0; 16]), then_remove: false, successor: None };
    assert_eq!(client.as_root(drain()).await, Err(Condition::InvalidRequest));
    client.set_copies(BUCKET, None).await.expect("it is set");
    client.as_root(drain()).await.expect("two suffice");
    assert_eq!(client.set_copies(BUCKET, Some(3)).await, Err(Condition::InvalidRequest));
    let stranger = client.call(SetCopies { bucket: name(BUCKET), copies: None }).await;
    assert_eq!(stranger, Err(Condition::AccessDenied));
}
