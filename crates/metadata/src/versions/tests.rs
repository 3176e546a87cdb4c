//! The rules of versions as tables: what is done to a key, and what it holds then.
//!
//! A row's first text is a script of steps: `put x` writes an object whose content is called x,
//! `delete` deletes the latest, `remove x` removes the version of that content for good (`-` the
//! newest marker, `null` the null version), `enable` and `suspend` switch versioning.
//!
//! The second text is the key's versions, newest first: `x` is an object, `-` a marker, `*` says
//! that it is null, and brackets that it is the current object.

#![allow(clippy::expect_used, clippy::panic, reason = "tests")]

use std::{collections::BTreeSet, sync::Arc};

use model::{
    Condition,
    acl::Acl,
    audit::AuditEntry,
    environment::Entropy,
    listing::Question,
    names::{AccountId, BucketId, BucketName, ContentId, ObjectKey, VersionId, VersionSelector},
    records::{
        Account, Attributes, Bucket, Content, Etag, Garbage, ObjectData, Version, Versioning,
    },
    tags::{Rules, Tags},
};

use crate::{
    Created, Metadata, NamedContent, NewContent, NewVersion, Scope, StreamedVersion, Usage,
    codec::{decode, encode},
    engine::memory::Memory,
    keys,
};

/// Counts upwards, so that no two draws are alike.
struct Counting(std::sync::atomic::AtomicU64);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        let drawn = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst).to_be_bytes();
        bytes.iter_mut().rev().zip(drawn.iter().rev()).for_each(|(byte, drawn)| *byte = *drawn);
    }
}

/// A bucket with one key.
struct Fixture {
    metadata: Metadata,
    bucket: Bucket,
    key: ObjectKey,
    put: BTreeSet<char>,
    now_ms: i64,
}

impl Fixture {
    async fn new() -> Self {
        let entropy = Arc::new(Counting(1.into()));
        let metadata = Metadata::open(Arc::new(Memory::default()), entropy, [9; 16], 0).await;
        let metadata = metadata.expect("it opens");
        let owner = AccountId::parse("owner").expect("an id");
        let account = Account {
            id: owner.clone(),
            canonical_id: String::new(),
            name: "owner".into(),
            email: None,
            created_ms: 0,
            root: false,
            access_block: None,
        };
        metadata
            .create_account(&account, &[], &model::audit::AuditEntry::default())
            .await
            .expect("an account");
        let wanted = Bucket {
            id: BucketId(0),
            name: BucketName::parse("bucket").expect("a name"),
            owner,
            created_ms: 0,
            region: "home".into(),
            location: None,
            versioning: Versioning::Unversioned,
            storage_class: None,
            redundancy: None,
            documents: Vec::new(),
            access_block: None,
            copies: None,
            acl: None,
            object_ownership: None,
            mfa_delete: None,
        };
        let created =
            metadata.create_bucket(&wanted, &AuditEntry::default()).await.expect("a bucket");
        let Created::New(bucket) = created else { panic!("{created:?}") };
        let key = ObjectKey::parse("key").expect("a key");
        Self { metadata, bucket, key, put: BTreeSet::new(), now_ms: 1000 }
    }

    async fn after(script: &str) -> Self {
        let mut fixture = Self::new().await;
        for step in script.split(", ") {
            fixture.take(step).await;
        }
        fixture
    }

    async fn take(&mut self, step: &str) {
        match step.split_once(' ').unwrap_or((step, "")) {
            ("enable", _) => self.switch(Versioning::Enabled).await,
            ("suspend", _) => self.switch(Versioning::Suspended).await,
            ("put", name) => {
                let name = name.chars().next().expect("a content has a name");
                self.put.insert(name);
                self.write(Some(name)).await;
            }
            ("delete", _) => drop(self.write(None).await),
            ("remove", name) => self.remove(name).await,
            _ => panic!("{step} is no step"),
        }
    }

    async fn switch(&mut self, versioning: Versioning) {
        let by = AuditEntry::default();
        let switched = self.metadata.set_versioning(&self.bucket, versioning, None, &by).await;
        switched.expect("it is switched");
        self.bucket.versioning = versioning;
    }

    async fn write(&self, name: Option<char>) -> Version {
        let object = name.map(|name| ObjectData {
            content: content(name),
            size_bytes: 10,
            etag: Etag { md5: [0; 16], parts: None },
            crc64: 0,
            checksum: None,
            attributes: Attributes::default(),
        });
        let new_content = name.map(|name| NewContent {
            id: content(name),
            content: Content {
                size_bytes: 10,
                location: Some(Vec::new()),
                part_rows: 0,
                manifest: None,
                region: "home".into(),
            },
            segments: Vec::new(),
        });
        let new = NewVersion {
            key: &self.key,
            owner: &self.bucket.owner,
            object: object.as_ref(),
            content: new_content.as_ref().map(NamedContent::New),
            acl: None,
            tags: None,
            now_ms: self.now_ms,
        };
        let written = self.metadata.write_version(&self.bucket, &new, |_, _| Ok(())).await;
        written.expect("it is written").version
    }

    async fn remove(&self, name: &str) {
        let versions = self.versions().await;
        let named = versions.iter().find(|listed| text(&listed.version) == name);
        let selector = match named {
            _ if name == "null" => VersionSelector::Null,
            Some(listed) => VersionSelector::Id(listed.version.id),
            None => panic!("there is no {name}"),
        };
        let (metadata, bucket) = (&self.metadata, &self.bucket);
        let removed =
            metadata.remove_version(bucket, &self.key, selector, self.now_ms, |_| Ok(())).await;
        removed.expect("it is removed");
    }

    async fn versions(&self) -> Vec<StreamedVersion> {
        let all = Question::default();
        let stream = self.metadata.version_stream(&self.bucket, &all, None);
        let mut stream = stream.await.expect("it streams");
        let mut versions = Vec::new();
        while let Some(version) = stream.next(&self.metadata).await.expect("it streams") {
            versions.push(version);
        }
        versions
    }

    async fn current(&self) -> Option<VersionId> {
        let mut stream = self.metadata.current_stream(self.bucket.id, &Question::default());
        let next = stream.next(&self.metadata).await.expect("it streams");
        next.map(|object| object.version().expect("it reads").id)
    }

    /// The versions in the form of the tables.
    async fn shown(&self) -> String {
        let current = self.current().await;
        let shown = |listed: &StreamedVersion| {
            let mut shown = text(&listed.version);
            if listed.version.null {
                shown.push('*');
            }
            if Some(listed.version.id) == current { format!("[{shown}]") } else { shown }
        };
        self.versions().await.iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    /// The counters are exact, and the contents of versions that are gone are queued.
    async fn check_books(&self, script: &str) {
        let versions = self.versions().await;
        let objects = versions.iter().filter_map(|listed| listed.version.object.as_ref());
        let kept: BTreeSet<_> = objects.map(|object| object.content).collect();
        let count = kept.len() as i64;
        let usage = Usage {
            objects: count,
            bytes: count * 10,
            delete_markers: versions.len() as i64 - count,
            ..Usage::default()
        };
        for scope in [Scope::Bucket(self.bucket.id), Scope::Account(self.bucket.owner.clone())] {
            let counted = self.metadata.usage(&scope).await.expect("it counts");
            assert_eq!(counted, usage, "{script}");
        }
        let queued = self.metadata.garbage(None, 100).await.expect("the queue");
        let queued: Vec<_> = queued.into_iter().map(|entry| entry.garbage).collect();
        let gone = self.put.iter().map(|name| content(*name)).filter(|id| !kept.contains(id));
        let gone: Vec<_> = gone.map(Garbage::Content).collect();
        assert_eq!(queued.len(), gone.len(), "{script}: {queued:?}");
        assert!(gone.iter().all(|content| queued.contains(content)), "{script}: {queued:?}");
        let latest = self.metadata.version(&self.bucket, &self.key, VersionSelector::Latest).await;
        let latest = latest.expect("it is found").map(|version| version.id);
        assert_eq!(latest, versions.first().map(|listed| listed.version.id), "{script}");
    }
}

fn content(name: char) -> ContentId {
    ContentId([name as u8; 16])
}

fn text(version: &Version) -> String {
    let name = version.object.as_ref().map(|object| char::from(object.content.0[0]));
    name.unwrap_or('-').to_string()
}

async fn check(table: &[(&str, &str)]) {
    for (script, expected) in table {
        let fixture = Fixture::after(script).await;
        assert_eq!(fixture.shown().await, *expected, "{script}");
        fixture.check_books(script).await;
    }
}

#[tokio::test]
async fn an_unversioned_bucket_keeps_one_version_a_versioned_one_all() {
    check(&[
        ("put a", "[a*]"),
        ("put a, put b", "[b*]"),
        ("put a, delete", ""),
        ("delete", ""),
        ("enable, put a, put b", "[b] a"),
        ("enable, put a, delete", "- a"),
        ("enable, put a, delete, put b", "[b] - a"),
        ("enable, put a, delete, delete", "- - a"),
        ("enable, delete", "-"),
        ("put a, enable, put b", "[b] a*"),
        ("put a, enable, delete", "- a*"),
    ])
    .await;
}

#[tokio::test]
async fn a_write_in_a_suspended_bucket_takes_the_place_of_the_null_version() {
    check(&[
        ("suspend, put a", "[a*]"),
        ("suspend, put a, put b", "[b*]"),
        ("suspend, put a, delete", "-*"),
        ("suspend, delete, delete", "-*"),
        ("suspend, delete, put a", "[a*]"),
        ("put a, suspend, put b", "[b*]"),
        ("put a, enable, put b, suspend, put c", "[c*] b"),
        ("put a, enable, put b, suspend, delete", "-* b"),
        ("put a, enable, delete, suspend, put b", "[b*] -"),
        ("put a, enable, delete, suspend, delete", "-* -"),
        ("enable, put a, suspend, put b, put c", "[c*] a"),
        ("enable, put a, suspend, put b, enable, put c", "[c] b* a"),
        ("enable, put a, suspend, put b, enable, put c, suspend, put d", "[d*] c a"),
        ("enable, put a, suspend, delete, enable, put b, suspend, delete", "-* b a"),
        ("enable, put a, suspend, delete, enable, delete, suspend, put b", "[b*] - a"),
    ])
    .await;
}

#[tokio::test]
async fn a_removal_uncovers_the_newest_version_behind_it() {
    check(&[
        ("put a, remove null", ""),
        ("enable, put a, put b, remove b", "[a]"),
        ("enable, put a, put b, remove a", "[b]"),
        ("enable, put a, put b, put c, remove c", "[b] a"),
        ("enable, put a, put b, put c, remove b", "[c] a"),
        ("enable, put a, delete, remove -", "[a]"),
        ("enable, put a, delete, delete, remove -", "- a"),
        ("enable, put a, delete, delete, remove -, remove -", "[a]"),
        ("enable, put a, delete, put b, remove b", "- a"),
        ("enable, put a, delete, put b, remove b, remove -", "[a]"),
        ("enable, put a, delete, put b, remove -", "[b] a"),
        ("enable, put a, delete, remove a", "-"),
        ("enable, delete, remove -", ""),
    ])
    .await;
}

#[tokio::test]
async fn the_null_version_is_found_wherever_it_moved() {
    check(&[
        ("put a, enable, put b, remove null", "[b]"),
        ("put a, enable, delete, remove null", "-"),
        ("put a, enable, put b, remove b", "[a*]"),
        ("put a, enable, put b, remove b, remove null", ""),
        ("put a, enable, put b, remove b, suspend, put c", "[c*]"),
        ("put a, enable, delete, remove -, put b", "[b] a*"),
        ("put a, enable, delete, remove -, suspend, put b", "[b*]"),
        ("put a, enable, put b, suspend, delete, remove null", "[b]"),
        ("enable, put a, suspend, delete, remove null, put b", "[b*] a"),
        ("enable, put a, remove null", "[a]"),
    ])
    .await;
}

/// The order of a version that is gone may come again; its id does not.
#[tokio::test]
async fn an_id_never_comes_again() {
    let mut fixture = Fixture::after("enable, put a").await;
    let first = fixture.current().await.expect("an object");
    fixture.take("remove a").await;
    fixture.take("put b").await;
    let second = fixture.current().await.expect("an object");
    assert_eq!((first.order, second.order), (1, 1));
    assert_ne!(first, second);
    let (bucket, key) = (&fixture.bucket, &fixture.key);
    let found = fixture.metadata.version(bucket, key, VersionSelector::Id(first)).await;
    assert_eq!(found.expect("metadata answers"), None);
}

#[tokio::test]
async fn the_null_version_goes_by_no_other_name() {
    for script in ["put a", "put a, enable, put b", "suspend, delete"] {
        let fixture = Fixture::after(script).await;
        let versions = fixture.versions().await;
        let null = versions.iter().find(|listed| listed.version.null).expect("a null version");
        let find = async |selector| {
            let found = fixture.metadata.version(&fixture.bucket, &fixture.key, selector).await;
            found.expect("metadata answers")
        };
        assert_eq!(find(VersionSelector::Id(null.version.id)).await, None, "{script}");
        assert_eq!(find(VersionSelector::Null).await.as_ref(), Some(&null.version), "{script}");
    }
}

#[tokio::test]
async fn times_rise_with_the_versions_even_if_the_clock_goes_back() {
    let mut fixture = Fixture::after("enable, put a").await;
    fixture.now_ms = 400;
    fixture.take("put b").await;
    fixture.take("delete").await;
    let times = fixture.versions().await.into_iter().map(|listed| listed.version.modified_ms);
    assert_eq!(times.collect::<Vec<_>>(), [1002, 1001, 1000]);
}

#[tokio::test]
async fn a_condition_sees_the_object_that_would_be_replaced_and_no_marker() {
    for (script, seen) in [
        ("put a", Some("a")),
        ("enable, put a, put b", Some("b")),
        ("enable, put a, delete", None),
        ("suspend, put a, delete", None),
        ("enable", None),
    ] {
        let fixture = Fixture::after(script).await;
        let new = NewVersion {
            key: &fixture.key,
            owner: &fixture.bucket.owner,
            object: None,
            content: None,
            acl: None,
            tags: None,
            now_ms: 0,
        };
        let decide = |_: &Bucket, existing: Option<&Version>| {
            assert_eq!(existing.map(text).as_deref(), seen, "{script}");
            Err(Condition::PreconditionFailed)
        };
        let before = fixture.shown().await;
        let refused = fixture.metadata.write_version(&fixture.bucket, &new, decide).await;
        assert!(refused.is_err(), "{script}");
        assert_eq!(fixture.shown().await, before, "{script}: a refusal changes nothing");
    }
}

#[test]
fn a_version_without_tags_is_written_as_before_there_were_any() {
    #[derive(minicbor::Encode)]
    struct Before {
        #[n(0)]
        id: VersionId,
        #[n(1)]
        null: bool,
        #[n(2)]
        modified_ms: i64,
        #[n(3)]
        object: Option<ObjectData>,
        #[n(4)]
        owner: AccountId,
        #[n(5)]
        acl: Option<Acl>,
    }
    let (id, owner) = (VersionId { order: 1, random: 2 }, AccountId::parse("1").expect("an id"));
    let before = Before { id, null: true, modified_ms: 5, object: None, owner, acl: None };
    let before = encode(&before);
    let version: Version = decode(keys::CURRENT, &before).expect("it decodes");
    assert!(version.tags.is_empty());
    assert_eq!(encode(&version), before);
    let tags = Tags::new(vec![("a".to_owned(), "1".to_owned())], &Rules::OF_OBJECT_S3);
    let tagged = Version { tags: tags.expect("tags"), ..version };
    assert_eq!(decode::<Version>(keys::CURRENT, &encode(&tagged)).expect("it decodes"), tagged);
}
