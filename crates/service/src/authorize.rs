//! The one choke point: only this file makes a [`Permit`].

use std::{marker::PhantomData, sync::Arc};

use model::{
    Condition,
    names::{AccountId, BucketName, ObjectKey, VersionSelector},
    policy::{Action, Context, Decision, Facts, Layers, Resource, evaluate, might_allow},
    records::Bucket,
};

use crate::{Caller, Error, Operation, Result, Service, objects::Target, policies::Policy};

/// A bucket as it was found.
struct Found {
    /// With its version: every commit expects the one it writes to.
    row: (Bucket, metadata::Guard),
    policy: Option<Arc<Policy>>,
}

impl Found {
    fn bucket(&self) -> &Bucket {
        &self.row.0
    }

    fn named<'f>(all: &'f [Self], name: &BucketName) -> Option<&'f Self> {
        all.iter().find(|found| found.bucket().name == *name)
    }

    fn layers(&self) -> Layers<'_> {
        let block = self.bucket().access_block;
        let restricts = block.is_some_and(|block| block.restrict_public_buckets);
        Layers {
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
}

impl<'n> Need<'n> {
    fn one(action: Action, resource: Resource<'n>) -> Self {
        let version = VersionSelector::Latest;
        Self { action, resource, version, source: false, somewhere: false }
    }

    pub fn service(action: Action) -> Vec<Self> {
        vec![Self::one(action, Resource::Service)]
    }

    /// A bucket that is to be made.
    pub fn new_bucket(bucket: &'n BucketName) -> Vec<Self> {
        vec![Self::one(Action::CreateBucket, Resource::New(bucket))]
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
/// let permit = Permit::<StatBucket> { caller: todo!(), buckets: vec![], operation: todo!() };
/// ```
pub struct Permit<'c, O: ?Sized> {
    caller: &'c Caller,
    buckets: Vec<Found>,
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
    pub fn allows_target(&self, action: Action, target: &Target) -> bool {
        decide(&self.buckets, self.caller, &Need::of(action, target)).is_allowed()
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
            buckets.push(Found { row, policy });
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
    for need in &needs {
        if !may(&buckets, caller, need) {
            return Err(Condition::AccessDenied.into());
        }
    }
    Ok(Permit { caller, buckets, operation: PhantomData })
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
        let facts = &caller.facts;
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

fn may(buckets: &[Found], caller: &Caller, need: &Need<'_>) -> bool {
    if !need.somewhere {
        return decide(buckets, caller, need).is_allowed();
    }
    let (layers, owner) = layers(buckets, need.resource);
    owner.is_some_and(|owner| might_allow(&layers, owner, &caller.facts, need.action))
}

/// Decides over all policies in force.
fn decide(buckets: &[Found], caller: &Caller, need: &Need<'_>) -> Decision {
    let (layers, owner) = layers(buckets, need.resource);
    let (layers, facts) = (caller.standing.join(layers), &caller.facts);
    let Need { action, resource, version, .. } = *need;
    evaluate(&layers, &Context { facts, action, resource, version, owner })
}

/// The policies that have a say over a resource, and the account it belongs to.
fn layers<'b>(buckets: &'b [Found], resource: Resource<'_>) -> (Layers<'b>, Option<&'b AccountId>) {
    let (Resource::Bucket(name) | Resource::Object(name, _)) = resource else {
        return (Layers::default(), None);
    };
    match Found::named(buckets, name) {
        Some(found) => (found.layers(), Some(&found.bucket().owner)),
        None => (Layers::default(), None),
    }
}
