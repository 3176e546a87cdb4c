//! Buckets: create, look at, delete; and what OSS tells of one (`?bucketInfo`, `?stat`).

use model::{
    Condition,
    acl::{Acl, Ownership, Word},
    policy::Action,
    records::{AccessBlock, Account, Bucket, Versioning},
};
use serde::Deserialize;
use service::{
    Ask, Error,
    buckets::{
        BucketInfo, CreateBucket, CreatedBucket, DeleteBucket, LookAtBucket, StatBucket, Usage,
    },
};

use super::acl;
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// The region whose buckets S3 calls by no name.
const UNNAMED_REGION: &str = "us-east-1";

/// `PUT /{bucket}`
pub struct Create;

#[derive(Default, Deserialize)]
struct CreateBucketConfiguration {
    #[serde(rename = "LocationConstraint")]
    location: Option<String>,
    #[serde(rename = "Location")]
    zone: Option<Ignored>,
    #[serde(rename = "Bucket")]
    kind: Option<Ignored>,
    #[serde(rename = "Tags")]
    tags: Option<Ignored>,
    #[serde(rename = "StorageClass")]
    storage_class: Option<String>,
    #[serde(rename = "DataRedundancyType")]
    redundancy: Option<String>,
}

/// What an OSS client asked of a new bucket, to compare with one that exists.
#[derive(Clone)]
struct Wanted {
    storage_class: Option<String>,
    redundancy: Option<String>,
}

impl Wanted {
    fn is_met_by(&self, bucket: &Bucket) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>, default: &str| {
            wanted.as_deref().unwrap_or(default) == found.as_deref().unwrap_or(default)
        };
        same(&self.storage_class, &bucket.storage_class, "Standard")
            && same(&self.redundancy, &bucket.redundancy, "LRS")
    }
}

/// An element whose content does not matter.
#[derive(Deserialize)]
struct Ignored {}

impl WireOperation for Create {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "CreateBucket")
        .needs(Action::CreateBucket)
        .named("PutBucket")
        .tested_by(
            Some("tests/s3/test_buckets.py::test_create_answers_with_the_location"),
            Some("tests/oss/test_buckets.py::test_a_bucket_is_created_found_and_deleted"),
        );
    type Call = CreateBucket;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::new_bucket(request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let name = request.bucket()?;
        if request.dialect == Dialect::Oss && name.as_str().contains('.') {
            let error = Error::from(Condition::InvalidBucketName);
            return Err(error.field("BucketName", name.as_str()));
        }
        refuse_unserved_headers(request)?;
        let (acl, object_ownership) = (acl::of_headers(request)?, object_ownership(request)?);
        let document: CreateBucketConfiguration =
            request.optional_document().await?.unwrap_or_default();
        if document.zone.is_some() || document.kind.is_some() || document.tags.is_some() {
            return Err(not_implemented("Directory buckets and tags of new buckets"));
        }
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let wanted = Wanted {
            storage_class: given(document.storage_class),
            redundancy: given(document.redundancy),
        };
        request.note(wanted.clone());
        let Wanted { storage_class, redundancy } = wanted;
        let location = given(document.location);
        Ok(CreateBucket { name, location, storage_class, redundancy, acl, object_ownership })
    }

    fn render(request: &Request, created: CreatedBucket) -> Result<Reply> {
        let CreatedBucket { bucket, existed } = created;
        if existed && request.dialect == Dialect::Oss {
            let same = request.noted::<Wanted>().is_none_or(|wanted| wanted.is_met_by(&bucket));
            let taken = Error::from(Condition::BucketAlreadyExists);
            return if same { Ok(wire::empty(200)) } else { Err(taken) };
        }
        let unnamed = bucket.location.as_deref().is_none_or(|location| {
            location == UNNAMED_REGION || location == request.presence.region
        });
        if existed && !unnamed {
            let error = Error::from(Condition::BucketAlreadyOwnedByYou);
            return Err(error.field("BucketName", bucket.name.as_str()));
        }
        Ok(wire::empty(200).header("location", format!("/{}", bucket.name)))
    }
}

/// Headers that ask for what a new bucket cannot have yet.
fn refuse_unserved_headers(request: &Request) -> Result<()> {
    if let Some(value) = request.own_header("bucket-object-lock-enabled")?
        && value.eq_ignore_ascii_case("true")
    {
        return Err(not_implemented("Object Lock"));
    }
    Ok(())
}

/// Whose the objects are to be that others write, if the request says so.
fn object_ownership(request: &Request) -> Result<Option<Ownership>> {
    let name = "object-ownership";
    let given = request.own_header(name)?.filter(|_| request.dialect == Dialect::S3);
    let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok(None) };
    let ownership = Ownership::parse(text);
    ownership.map(Some).ok_or_else(|| invalid("x-amz-object-ownership", text))
}

fn not_implemented(what: &str) -> Error {
    Error::new(Condition::NotImplemented, format!("{what}: not implemented."))
}

fn invalid(name: &str, value: &str) -> Error {
    Error::from(Condition::InvalidArgument)
        .field("ArgumentName", name)
        .field("ArgumentValue", value)
}

/// `HEAD /{bucket}`
pub struct Head;

impl WireOperation for Head {
    const ROUTE: Route =
        Route::new("HEAD", Target::Bucket, "HeadBucket").needs(Action::ListBucket).tested_by(
            Some("tests/s3/test_buckets.py::test_a_created_bucket_can_be_headed_and_is_listed"),
            Some("tests/oss/test_buckets.py::test_head_tells_whether_a_bucket_exists"),
        );
    type Call = LookAtBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        look(request, Action::ListBucket)
    }

    fn render(request: &Request, info: BucketInfo) -> Result<Reply> {
        let region = region_of(request, &info.bucket);
        Ok(wire::empty(200).own_header(request.dialect, "bucket-region", region))
    }
}

/// `DELETE /{bucket}`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route =
        Route::new("DELETE", Target::Bucket, "DeleteBucket").needs(Action::DeleteBucket).tested_by(
            Some("tests/s3/test_buckets.py::test_a_new_bucket_of_the_same_name_is_empty"),
            Some("tests/oss/test_buckets.py::test_a_bucket_is_created_found_and_deleted"),
        );
    type Call = DeleteBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let abort_uploads = request.dialect == Dialect::S3;
        Ok(DeleteBucket { name: request.bucket()?, abort_uploads })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}

/// `GET /{bucket}?location`
pub struct GetLocation;

impl WireOperation for GetLocation {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketLocation")
        .needs(Action::GetBucketLocation)
        .query(&["location"])
        .tested_by(
            Some("tests/s3/test_buckets.py::test_location_is_the_region_but_for_us_east_1"),
            Some("tests/oss/test_buckets.py::test_location_is_the_region_with_its_prefix"),
        );
    type Call = LookAtBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        look(request, Action::GetBucketLocation)
    }

    fn render(request: &Request, info: BucketInfo) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "LocationConstraint");
        match request.dialect {
            Dialect::Oss => xml.content(oss_location(request, &info.bucket)),
            Dialect::S3 => match region_of(request, &info.bucket) {
                UNNAMED_REGION => &mut xml,
                region => xml.content(region),
            },
        };
        Ok(wire::xml(200, xml.finish()))
    }
}

/// `GET /{bucket}?bucketInfo`
pub struct GetInfo;

impl WireOperation for GetInfo {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketInfo")
        .needs(Action::GetBucketInfo)
        .query(&["bucketInfo"])
        .only(Dialect::Oss)
        .tested_by(
            None,
            Some("tests/oss/test_buckets.py::test_bucket_info_tells_name_place_owner_and_acl"),
        );
    type Call = LookAtBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        look(request, Action::GetBucketInfo)
    }

    fn render(request: &Request, info: BucketInfo) -> Result<Reply> {
        let BucketInfo { bucket, owner } = info;
        let blocked = bucket.access_block == Some(AccessBlock::ALL);
        let mut xml = xml::document(request.dialect, "BucketInfo");
        xml.open("Bucket");
        describe(&mut xml, request, &bucket);
        write_owner(&mut xml, request.dialect, &owner);
        let word =
            bucket.acl.as_ref().filter(|acl| bucket.heeds(acl)).map_or(Word::Private, Acl::word);
        xml.open("AccessControlList").text("Grant", word.name()).close();
        xml.text("DataRedundancyType", bucket.redundancy.as_deref().unwrap_or("LRS"));
        match bucket.versioning {
            Versioning::Unversioned => {}
            Versioning::Enabled => _ = xml.text("Versioning", "Enabled"),
            Versioning::Suspended => _ = xml.text("Versioning", "Suspended"),
        }
        xml.text("Comment", "").text("TransferAcceleration", "Disabled");
        xml.text("CrossRegionReplication", "Disabled").text("AccessMonitor", "Disabled");
        xml.text("ResourceGroupId", "").flag("BlockPublicAccess", blocked);
        xml.open("ServerSideEncryptionRule").text("SSEAlgorithm", "None").close();
        xml.open("BucketPolicy").text("LogBucket", "").text("LogPrefix", "").close();
        Ok(wire::xml(200, xml.finish()))
    }
}

/// `GET /{bucket}?stat`
pub struct GetStat;

impl WireOperation for GetStat {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketStat")
        .needs(Action::GetBucketStat)
        .query(&["stat"])
        .only(Dialect::Oss)
        .tested_by(None, Some("tests/oss/test_buckets.py::test_bucket_stat_counts_exactly"));
    type Call = StatBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(StatBucket { name: request.bucket()? })
    }

    fn render(request: &Request, usage: Usage) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "BucketStat");
        xml.number("Storage", usage.bytes).number("ObjectCount", usage.objects);
        xml.number("MultipartUploadCount", usage.uploads).number("MultipartPartCount", usage.parts);
        xml.number("LiveChannelCount", 0).number("DeleteMarkerCount", usage.delete_markers);
        // The moment the figures are of (OSS GetBucketStat). The counters are exact at any.
        xml.number("LastModifiedTime", request.caller.facts.now_ms / 1000);
        xml.number("StandardStorage", usage.bytes);
        xml.number("StandardObjectCount", usage.objects);
        for (storage, real, objects) in [
            (
                "InfrequentAccessStorage",
                "InfrequentAccessRealStorage",
                "InfrequentAccessObjectCount",
            ),
            ("ArchiveStorage", "ArchiveRealStorage", "ArchiveObjectCount"),
            ("ColdArchiveStorage", "ColdArchiveRealStorage", "ColdArchiveObjectCount"),
            ("DeepColdArchiveStorage", "DeepColdArchiveRealStorage", "DeepColdArchiveObjectCount"),
        ] {
            xml.number(storage, 0).number(real, 0).number(objects, 0);
        }
        Ok(wire::xml(200, xml.finish()))
    }
}

fn look(request: &Request, action: Action) -> Result<LookAtBucket> {
    Ok(LookAtBucket { name: request.bucket()?, action })
}

/// The region as clients know it: what the creator asked for, else the default one.
pub fn region_of<'r>(request: &'r Request, bucket: &'r Bucket) -> &'r str {
    bucket.location.as_deref().unwrap_or(&request.presence.region)
}

/// The region as OSS writes it, `oss-<region>`.
pub fn oss_location(request: &Request, bucket: &Bucket) -> String {
    oss_region(region_of(request, bucket))
}

/// `oss-<region>`.
pub fn oss_region(region: &str) -> String {
    if region.starts_with("oss-") { region.to_owned() } else { format!("oss-{region}") }
}

/// The elements of a bucket that its information and the list of buckets share in OSS.
pub fn describe(xml: &mut Writer, request: &Request, bucket: &Bucket) {
    let location = oss_location(request, bucket);
    let region = location.strip_prefix("oss-").unwrap_or(&location).to_owned();
    xml.text("Name", bucket.name.as_str()).text("CreationDate", xml::date(bucket.created_ms));
    xml.text("Location", location).text("Region", region);
    xml.text("ExtranetEndpoint", request.endpoint()).text("IntranetEndpoint", request.endpoint());
    xml.text("StorageClass", bucket.storage_class.as_deref().unwrap_or("Standard"));
}

/// The `Owner` element.
pub fn write_owner(xml: &mut Writer, dialect: Dialect, owner: &Account) {
    xml.open("Owner");
    write_account(xml, dialect, owner);
    xml.close();
}

/// `ID` and `DisplayName`: S3 shows the canonical id, OSS the account id in both.
pub fn write_account(xml: &mut Writer, dialect: Dialect, account: &Account) {
    match dialect {
        Dialect::S3 => xml.text("ID", &account.canonical_id).text("DisplayName", &account.name),
        Dialect::Oss => {
            xml.text("ID", account.id.as_str()).text("DisplayName", account.id.as_str())
        }
    };
}
