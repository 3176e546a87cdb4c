//! The one choke point: only this file makes a [`Permit`].

use std::{marker::PhantomData, sync::Arc};

use model::{
    Condition,
    acl::{self, Acl, Of, WantedAcl},
    names::{AccountId, BucketName, ObjectKey, VersionId, VersionSelector},
    policy::{Action, Context, Decision, Facts, Layers, Resource, evaluate, might_allow},
    records::{AccessBlock, Bucket, Version},
};

use crate::{Caller, Error, Operation, Result, Service, objects::Target, policies::Policy};

/// A bucket as it was found.
struct Found {
    /// With its version: every commit expects the one it writes to.
    row: (Bucket, metadata::Guard),
    policy: Option<Arc<Policy>>,
    /// What the blocks of bucket and account keep from everybody else.
    blocked: AccessBlock,
}

impl Found {
    fn bucket(&self) -> &Bucket {
        &self.row.0
    }

    fn named<'f>(all: &'f [Self], name: &BucketName) -> Option<&'f Self> {
        all.iter().find(|found| found.bucket().name == *name)
    }

    /// Whether access control lists that make public count.
    fn lets_public_acls(&self) -> bool {
        !self.blocked.ignore_public_acls
    }

    /// - `acl`: whether an access control list lets the request through.
    fn layers(&self, acl: bool) -> Layers<'_> {
        let restricts = self.blocked.restrict_public_buckets;
        Layers {
            acl,
            resource: self.policy.as_ref().map(|policy| &policy.document),
            restricted: restricts && self.policy.as_ref().is_some_and(|policy| policy.public),
            ..Layers::default()
        }
    }
}

/// One thing an operation needs to be allowed.
pub struct Need<'n> {
    pub action: Action,
    pub resource: Resource<'n>,
    /// The version of the object that is named.
    pub version: VersionSelector,
    /// The resource is read as the source of a copy.
    pub source: bool,
    /// It is enough that it may be allowed for something in the bucket: what is meant is asked for
    /// one by one later.
    pub somewhere: bool,
    /// The object is written by this very request: who may write it may do this to it too.
    pub written: bool,
}

/// A version whose own access control list was asked; `None` where there was none.
struct Asked {
    bucket: BucketName,
    key: ObjectKey,
    selector: VersionSelector,
    version: Option<VersionId>,
}

impl<'n> Need<'n> {
    fn one(action: Action, resource: Resource<'n>) -> Self {
        let version = VersionSelector::Latest;
        Self { action, resource, version, source: false, somewhere: false, written: false }
    }

    pub fn service(action: Action) -> Vec<Self> {
        vec![Self::one(action, Resource::Service)]
    }

    /// A bucket that is to be made.
    pub fn new_bucket(bucket: &'n BucketName) -> Vec<Self> {
        Self::of_new_bucket(&[Action::CreateBucket], bucket)
    }

    /// Several rights to a bucket that is to be made.
    pub fn of_new_bucket(actions: &[Action], bucket: &'n BucketName) -> Vec<Self> {
        actions.iter().map(|action| Self::one(*action, Resource::New(bucket))).collect()
    }

    pub fn bucket(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self::one(action, Resource::Bucket(bucket))]
    }

    pub fn object(action: Action, bucket: &'n BucketName, key: &'n ObjectKey) -> Vec<Self> {
        vec![Self::one(action, Resource::Object(bucket, key))]
    }

    /// An object, perhaps by the id of a version.
    pub fn target(action: Action, target: &'n Target) -> Vec<Self> {
        vec![Self::of(action, target)]
    }

    fn of(action: Action, target: &'n Target) -> Self {
        let need = Self::one(action, Resource::Object(&target.bucket, &target.key));
        Self { version: target.version, ..need }
    }

    /// Something in the bucket that the request names in its body.
    pub fn somewhere(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self { somewhere: true, ..Self::one(action, Resource::Bucket(bucket)) }]
    }

    /// Writing an object, perhaps with an access control list.
    pub fn write(bucket: &'n BucketName, key: &'n ObjectKey, acl: Option<&WantedAcl>) -> Vec<Self> {
        let mut needs = Self::object(Action::PutObject, bucket, key);
        if acl.is_some_and(WantedAcl::shares) {
            let need = Self::one(Action::PutObjectAcl, Resource::Object(bucket, key));
            needs.push(Self { written: true, ..need });
        }
        needs
    }

    /// The action by which access control lists decide.
    fn acl_action(&self) -> Action {
        if self.written { Action::PutObject } else { self.action }
    }

    /// Adds the right to read the source of a copy.
    pub fn and_source(mut needs: Vec<Self>, source: &'n Target) -> Vec<Self> {
        needs.push(Self { source: true, ..Self::of(source.read_action(), source) });
        needs
    }
}

/// The right to run one operation `O`, once.
///
/// ```compile_fail
/// // A permit cannot be made outside this file:
/// use service::{Permit, buckets::StatBucket};
/// let permit = Permit::<StatBucket> {
///     caller: todo!(), buckets: vec![], asked: vec![], operation: todo!(),
/// };
/// ```
pub struct Permit<'c, O: ?Sized> {
    caller: &'c Caller,
    buckets: Vec<Found>,
    asked: Vec<Asked>,
    operation: PhantomData<fn() -> Box<O>>,
}

impl<O: ?Sized> Permit<'_, O> {
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// The bucket of this name the permit was given for.
    ///
    /// # Errors
    /// [`Condition::NoSuchBucket`] when the operation did not need it.
    pub fn bucket(&self, name: &BucketName) -> Result<&(Bucket, metadata::Guard)> {
        let found = Found::named(&self.buckets, name);
        found.map(|found| &found.row).ok_or_else(|| Condition::NoSuchBucket.into())
    }

    /// Whether the bucket's policy is public; `None` if it has none.
    pub(crate) fn has_public_policy(&self, name: &BucketName) -> Option<bool> {
        let found = Found::named(&self.buckets, name)?;
        found.policy.as_ref().map(|policy| policy.public)
    }

    /// Asks for one more thing within the buckets of this permit.
    pub fn allows(&self, action: Action, resource: Resource<'_>) -> bool {
        decide(&self.buckets, self.caller, &Need::one(action, resource)).is_allowed()
    }

    /// As [`Self::allows`] for an object, as batch operations ask per key.
    ///
    /// # Errors
    /// When the object's access control list cannot be read.
    pub async fn allows_target(
        &self,
        service: &Service,
        action: Action,
        target: &Target,
    ) -> Result<bool> {
        let need = Need::of(action, target);
        Ok(may(service, &self.buckets, self.caller, &need).await?.is_ok())
    }

    /// Checks that a version is the one whose own access control list let the request through.
    ///
    /// # Errors
    /// [`Condition::SlowDown`] if another one took its place meanwhile: it was not asked.
    pub(crate) fn check_version(&self, target: &Target, version: &Version) -> Result<()> {
        let same = |asked: &&Asked| {
            asked.bucket == target.bucket
                && asked.key == target.key
                && asked.selector == target.version
        };
        match self.asked.iter().find(same) {
            Some(asked) if asked.version != Some(version.id) => Err(Condition::SlowDown.into()),
            _ => Ok(()),
        }
    }
}

/// Gives the permit to run `operation`, or says why not.
pub(crate) async fn authorize<'c, O: Operation>(
    service: &Service,
    caller: &'c Caller,
    operation: &O,
) -> Result<Permit<'c, O>> {
    let needs = operation.needs();
    let mut buckets: Vec<Found> = Vec::new();
    for need in &needs {
        let (Resource::Bucket(name) | Resource::Object(name, _)) = need.resource else { continue };
        if Found::named(&buckets, name).is_none() {
            let found = service.bucket_with_policy(name).await?;
            let (row, policy) = found.ok_or_else(|| no_such_bucket(name))?;
            service.check_referer(&row.0, &caller.facts).await?;
            // No block binds the owner.
            let blocked = match caller.account_id() == Some(&row.0.owner) {
                true => AccessBlock::NONE,
                false => row.0.blocked().and(service.account_block(&row.0.owner).await?),
            };
            buckets.push(Found { row, policy, blocked });
        }
        let bucket = Found::named(&buckets, name).map(Found::bucket);
        let expected =
            if need.source { &caller.expected_source_owner } else { &caller.expected_owner };
        if let (Some(bucket), Some(expected)) = (bucket, expected)
            && bucket.owner.as_str() != expected
        {
            return Err(Condition::AccessDenied.into());
        }
    }
    let mut asked = Vec::new();
    for need in &needs {
        match may(service, &buckets, caller, need).await? {
            Ok(version) => asked.extend(version),
            Err(condition) => return Err(condition.into()),
        }
    }
    Ok(Permit { caller, buckets, asked, operation: PhantomData })
}

/// The right to look at or change the users, groups, roles and policies of the caller's account.
pub(crate) struct Granted<'c> {
    account: &'c AccountId,
}

impl<'c> Granted<'c> {
    /// Gives it to whoever may do `action` with the resource of this ARN.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn give(caller: &'c Caller, action: Action, arn: &str) -> Result<Self> {
        Self::give_with(caller, &caller.facts, action, arn)
    }

    /// As [`Self::give`], with more known of the request.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn give_with(caller: &'c Caller, facts: &Facts, action: Action, arn: &str) -> Result<Self> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let context =
            Context { owner: Some(account), ..Context::new(facts, action, Resource::Arn(arn)) };
        let layers = caller.standing.join(Layers::default());
        match evaluate(&layers, &context).is_allowed() {
            true => Ok(Self { account }),
            false => Err(not_authorized(facts, action, arn)),
        }
    }

    pub fn account(&self) -> &'c AccountId {
        self.account
    }
}

/// IAM says who may not do what.
pub(crate) fn not_authorized(facts: &Facts, action: Action, arn: &str) -> Error {
    let who = facts.principal.caller_arn().unwrap_or_else(|| "anonymous".to_owned());
    let action = action.word();
    let detail = format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
    Error::new(Condition::AccessDenied, detail)
}

fn no_such_bucket(name: &BucketName) -> Error {
    Error::from(Condition::NoSuchBucket).field("BucketName", name.as_str())
}

/// Whether a need is met, and the version that was asked for that, if its own list decided.
async fn may(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    need: &Need<'_>,
) -> Result<Result<Option<Asked>, Condition>> {
    let facts = &caller.facts;
    if need.somewhere {
        let (layers, owner) = layers(buckets, facts, need);
        let may = owner.is_some_and(|owner| might_allow(&layers, owner, facts, need.action));
        return Ok(if may { Ok(None) } else { Err(Condition::AccessDenied) });
    }
    let decision = decide(buckets, caller, need);
    match (decision, need.resource) {
        (Decision::Allowed(..), _) => Ok(Ok(None)),
        (Decision::NotAllowed(_), Resource::Object(name, key)) => {
            let Some(found) = Found::named(buckets, name) else {
                return Ok(Err(Condition::AccessDenied));
            };
            let asked = ask_object(service, buckets, caller, found, need, key).await?;
            Ok(asked.map(Some).ok_or(Condition::AccessDenied))
        }
        _ => Ok(Err(Condition::AccessDenied)),
    }
}

/// Asks the access control list of the object itself, after all else did not allow it.
async fn ask_object(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    found: &Found,
    need: &Need<'_>,
    key: &ObjectKey,
) -> Result<Option<Asked>> {
    let facts = &caller.facts;
    let (bucket, action) = (found.bucket(), need.acl_action());
    // No list lets these through: nothing needs to be read.
    if !acl::may_let(action) {
        return Ok(None);
    }
    let version = service.metadata.version(bucket, key, need.version).await?;
    let object = version.as_ref().filter(|version| version.object.is_some());
    let lets = match object {
        Some(version) => object_lets(found, version, facts, action),
        // Who may list learns that there is none.
        None if acl::is_read(action) => {
            let list = Need::one(Action::ListBucket, Resource::Bucket(&bucket.name));
            return Ok(decide(buckets, caller, &list).is_allowed().then(|| Asked {
                bucket: bucket.name.clone(),
                key: key.clone(),
                selector: need.version,
                version: version.map(|version| version.id),
            }));
        }
        None => bucket_word(bucket)
            .is_some_and(|acl| acl.lets(facts, action, Of::Object, found.lets_public_acls())),
    };
    let Need { action, resource, version: selector, .. } = *need;
    let context =
        Context { facts, action, resource, version: selector, owner: Some(&bucket.owner) };
    let layers = caller.standing.join(found.layers(true));
    let allowed = lets && evaluate(&layers, &context).is_allowed();
    Ok(allowed.then(|| Asked {
        bucket: bucket.name.clone(),
        key: key.clone(),
        selector,
        version: version.map(|version| version.id),
    }))
}

/// The bucket's list, if it is one word, which counts for its objects too.
fn bucket_word(bucket: &Bucket) -> Option<&Acl> {
    bucket.acl.as_ref().filter(|acl| matches!(acl, Acl::Word(_)))
}

fn object_lets(found: &Found, version: &Version, facts: &Facts, action: Action) -> bool {
    let (bucket, public) = (found.bucket(), found.lets_public_acls());
    // A bucket's list that is no word says nothing of reading its objects.
    let acl = version.acl.as_ref().or_else(|| bucket_word(bucket));
    acl.is_some_and(|acl| bucket.heeds(acl) && acl.lets(facts, action, Of::Object, public))
        || owns(bucket, version, facts) && acl::is_about_acl(action)
}

/// Whether the caller's account owns a version in a bucket of somebody else.
fn owns(bucket: &Bucket, version: &Version, facts: &Facts) -> bool {
    bucket.ownership() != acl::Ownership::BucketOwnerEnforced
        && facts.principal.account() == Some(&version.owner)
}

/// Decides over all policies in force.
fn decide(buckets: &[Found], caller: &Caller, need: &Need<'_>) -> Decision {
    let facts = &caller.facts;
    let (layers, owner) = layers(buckets, facts, need);
    let layers = caller.standing.join(layers);
    let Need { action, resource, version, .. } = *need;
    evaluate(&layers, &Context { facts, action, resource, version, owner })
}

/// The policies that have a say over a resource, and the account it belongs to.
fn layers<'b>(
    buckets: &'b [Found],
    facts: &Facts,
    need: &Need<'_>,
) -> (Layers<'b>, Option<&'b AccountId>) {
    let (Resource::Bucket(name) | Resource::Object(name, _)) = need.resource else {
        return (Layers::default(), None);
    };
    let Some(found) = Found::named(buckets, name) else { return (Layers::default(), None) };
    let bucket = found.bucket();
    let public = found.lets_public_acls();
    let acl = bucket.acl.as_ref().filter(|acl| bucket.heeds(acl)).is_some_and(|acl| {
        let action = need.acl_action();
        acl.lets(facts, action, Of::Bucket, public)
            || need.somewhere && acl.lets(facts, action, Of::Object, public)
    });
    (found.layers(acl), Some(&bucket.owner))
}
