//! Reading an object: whole, in part, or only what is known of it.

use std::{ops::Range, sync::Arc};

use model::{
    Condition,
    names::VersionSelector,
    policy::Action,
    preconditions::{ByteRange, Preconditions},
    records::{Account, Bucket, ContentPart, ObjectData, Version, Versioning},
};

use super::Target;
use crate::{
    ContentReader, Error, Need, Operation, Permit, Result, Service, contents::Layout,
    readers::Ticket,
};

/// What both GET and HEAD ask.
pub struct Reading {
    pub target: Target,
    pub preconditions: Preconditions,
    pub range: Option<ByteRange>,
    /// Serve a range outside the object as the whole, as OSS does without
    /// `x-oss-range-behavior: standard`.
    pub lenient_range: bool,
    /// `partNumber`: that part only.
    pub part: Option<u32>,
}

/// Reads bytes.
pub struct GetObject(pub Reading);

/// Reads what is known of an object, without its bytes.
pub struct HeadObject(pub Reading);

/// What is known of an object, and the bytes asked for.
pub struct ObjectFacts {
    pub version: Version,
    /// The bucket's: answers name version ids only where it is not [`Versioning::Unversioned`].
    pub versioning: Versioning,
    /// The bytes asked for; the whole object unless `partial`.
    pub range: Range<u64>,
    pub partial: bool,
    /// Number of parts, when `part` was asked for and the object has parts.
    pub parts_count: Option<u32>,
    /// The part asked for by `part`: its own checksum is the answer's.
    pub part: Option<ContentPart>,
    /// How many tags it has; 0 too for whoever may not know them.
    pub tags_count: usize,
}

/// Reads size, checksums and parts: S3 `?attributes`.
pub struct GetObjectAttributes {
    pub target: Target,
    pub preconditions: Preconditions,
    /// Parts after this number.
    pub parts_after: u32,
    pub parts_limit: usize,
}

pub struct ObjectAttributes {
    pub version: Version,
    pub versioning: Versioning,
    /// Total number of parts, when uploaded in parts.
    pub parts_count: Option<u32>,
    pub parts: Vec<ContentPart>,
    pub parts_truncated: bool,
}

impl Target {
    /// The action to ask for: another one if a version is named.
    pub const fn action(&self, action: Action) -> Action {
        match self.version {
            VersionSelector::Latest => action,
            VersionSelector::Null | VersionSelector::Id(_) => action.of_version(),
        }
    }

    /// The action that reads it.
    pub(crate) const fn read_action(&self) -> Action {
        self.action(Action::GetObject)
    }
}

/// Looks whether an object is there, for one of its documents.
pub struct LookAtObject {
    pub target: Target,
    pub action: Action,
}

/// An object that is there, and whose bucket it is in.
pub struct LookedAt {
    pub bucket: Bucket,
    pub owner: Account,
    pub version: Version,
}

impl Operation for LookAtObject {
    type Output = LookedAt;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.action, &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let Found { version, bucket, .. } = find(service, &permit, &self.target).await?;
        let owner = service.owner(&bucket).await?;
        Ok(LookedAt { bucket, owner, version })
    }
}

impl Operation for GetObject {
    type Output = (ObjectFacts, ContentReader);

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.0.target.read_action(), &self.0.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = find(service, &permit, &self.0.target).await?;
        let (facts, object, layout) =
            examine(service, &permit, &self.0, found.version, found.bucket).await?;
        let layout = match layout {
            Some(layout) => layout,
            None => service.layout(object.content).await?,
        };
        let range = facts.range.clone();
        let mut reader = service.read_content(object.content, &layout, range, found.ticket).await?;
        reader.read_ahead().await?;
        Ok((facts, reader))
    }
}

impl Operation for HeadObject {
    type Output = ObjectFacts;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.0.target.read_action(), &self.0.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = find(service, &permit, &self.0.target).await?;
        let (facts, ..) = examine(service, &permit, &self.0, found.version, found.bucket).await?;
        Ok(facts)
    }
}

impl Operation for GetObjectAttributes {
    type Output = ObjectAttributes;

    fn needs(&self) -> Vec<Need<'_>> {
        let mut needs = Need::target(self.target.read_action(), &self.target);
        let action = self.target.action(Action::GetObjectAttributes);
        needs.extend(Need::target(action, &self.target));
        needs
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = find(service, &permit, &self.target).await?;
        let object = object_of(&found.version)?;
        check_read(&self.preconditions, &object, found.version.modified_ms)?;
        let mut parts = match object.etag.parts {
            Some(_) => service.layout(object.content).await?.parts,
            None => Vec::new(),
        };
        parts.retain(|part| part.number > self.parts_after);
        let parts_truncated = parts.len() > self.parts_limit;
        parts.truncate(self.parts_limit);
        Ok(ObjectAttributes {
            parts_count: object.etag.parts,
            version: found.version,
            versioning: found.bucket.versioning,
            parts,
            parts_truncated,
        })
    }
}

/// A version that was found, and the ticket under which its content may be read.
pub(crate) struct Found {
    pub version: Version,
    pub bucket: Bucket,
    pub ticket: Ticket,
}

/// Finds the object a request names; delete markers are errors of their own.
///
/// # Errors
/// [`Condition::NoSuchKey`] and its kin; [`Condition::AccessDenied`] instead of them for a caller
/// who may not list the bucket, so that nobody learns what exists by asking.
pub(crate) async fn find<O>(
    service: &Service,
    permit: &Permit<'_, O>,
    target: &Target,
) -> Result<Found> {
    let (bucket, _) = permit.bucket(&target.bucket)?;
    let ticket = service.begin_read();
    let version = service.metadata.version(bucket, &target.key, target.version).await?;
    let Some(version) = version else {
        if !permit.allows_to_miss(target) {
            return Err(Condition::AccessDenied.into());
        }
        let condition = match target.version {
            VersionSelector::Latest => Condition::NoSuchKey,
            VersionSelector::Null | VersionSelector::Id(_) => Condition::NoSuchVersion,
        };
        return Err(Error::from(condition).field("Key", target.key.as_str()));
    };
    if version.object.is_none() {
        // A marker tells that something was there.
        if target.version == VersionSelector::Latest && !permit.allows_to_miss(target) {
            return Err(Condition::AccessDenied.into());
        }
        let condition = match target.version {
            VersionSelector::Latest => Condition::NoSuchKey,
            VersionSelector::Null | VersionSelector::Id(_) => Condition::MethodNotAllowed,
        };
        let mut error = Error::from(condition).field("Key", target.key.as_str());
        error.marker = Some(Box::new(version));
        return Err(error);
    }
    permit.check_version(target, &version)?;
    Ok(Found { version, bucket: bucket.clone(), ticket })
}

/// The object in a version that is no delete marker.
pub(crate) fn object_of(version: &Version) -> Result<ObjectData> {
    version.object.clone().ok_or_else(|| Condition::NoSuchKey.into())
}

/// Decides the conditions of a read; a refusal names the entity tag, for the answer's header.
pub(crate) fn check_read(
    conditions: &Preconditions,
    object: &ObjectData,
    modified_ms: i64,
) -> Result<()> {
    conditions
        .check_read(&object.etag, modified_ms)
        .map_err(|condition| Error::from(condition).field("ETag", object.etag.to_string()))
}

/// Decides conditions and range; the layout comes along if a part was asked for.
async fn examine<O>(
    service: &Service,
    permit: &Permit<'_, O>,
    reading: &Reading,
    version: Version,
    bucket: Bucket,
) -> Result<(ObjectFacts, ObjectData, Option<Layout>)> {
    let object = object_of(&version)?;
    check_read(&reading.preconditions, &object, version.modified_ms)?;
    let tags_count = match version.tags.as_slice() {
        [] => 0,
        tags => {
            let action = reading.target.action(Action::GetObjectTagging);
            let need = Need::of(action, &reading.target);
            if permit.allows_version(service, &need, &version).await? { tags.len() } else { 0 }
        }
    };
    let mut facts = ObjectFacts {
        range: 0..object.size_bytes,
        partial: false,
        parts_count: None,
        part: None,
        tags_count,
        versioning: bucket.versioning,
        version,
    };
    let mut layout = None;
    if let Some(number) = reading.part {
        layout = locate_part(service, &object, number, &mut facts).await?;
    }
    if let Some(range) = reading.range {
        match range.resolve(object.size_bytes) {
            Ok(range) => {
                facts.range = range;
                facts.partial = true;
            }
            Err(_) if reading.lenient_range => {}
            Err(condition) => {
                let size = object.size_bytes.to_string();
                return Err(Error::from(condition).field("ActualObjectSize", size));
            }
        }
    }
    Ok((facts, object, layout))
}

async fn locate_part(
    service: &Service,
    object: &ObjectData,
    number: u32,
    facts: &mut ObjectFacts,
) -> Result<Option<Layout>> {
    let Some(count) = object.etag.parts else {
        // An object put in one piece is its own first part.
        facts.partial = number == 1;
        return if number == 1 { Ok(None) } else { Err(Condition::InvalidPartNumber.into()) };
    };
    let layout = service.layout(object.content).await?;
    let index = usize::try_from(number).unwrap_or_default().wrapping_sub(1);
    let part = layout.parts.get(index).ok_or(Condition::InvalidPartNumber)?;
    let start = layout.parts.iter().take(index).map(|part| part.size_bytes).sum::<u64>();
    facts.range = start..start + part.size_bytes;
    facts.partial = true;
    facts.parts_count = Some(count);
    facts.part = Some(part.clone());
    Ok(Some(layout))
}
