//! The one choke point: only this file makes a [`Permit`].

use std::marker::PhantomData;

use model::{
    Condition,
    names::{BucketName, ObjectKey},
    policy::{
        Action, Actions, Decision, Effect, Facts, Principals, Resource, Resources, Statement,
        evaluate, owner_statement,
    },
    records::Bucket,
};

use crate::{Caller, Error, Operation, Result, Service};

/// One thing an operation needs to be allowed.
pub struct Need<'n> {
    pub action: Action,
    pub resource: Resource<'n>,
    /// The resource is read as the source of a copy.
    pub source: bool,
}

impl<'n> Need<'n> {
    pub fn service(action: Action) -> Vec<Self> {
        vec![Self { action, resource: Resource::Service, source: false }]
    }

    pub fn bucket(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self { action, resource: Resource::Bucket(bucket), source: false }]
    }

    pub fn object(action: Action, bucket: &'n BucketName, key: &'n ObjectKey) -> Vec<Self> {
        vec![Self { action, resource: Resource::Object(bucket, key), source: false }]
    }

    /// Adds the right to read the source of a copy.
    pub fn and_source(
        mut needs: Vec<Self>,
        action: Action,
        bucket: &'n BucketName,
        key: &'n ObjectKey,
    ) -> Vec<Self> {
        needs.push(Self { action, resource: Resource::Object(bucket, key), source: true });
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
    /// The bucket rows found, with their versions: every commit expects the one it writes to.
    buckets: Vec<(Bucket, metadata::Guard)>,
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
        let found = self.buckets.iter().find(|(bucket, _)| bucket.name == *name);
        found.ok_or_else(|| Condition::NoSuchBucket.into())
    }

    /// Asks for one more thing within the buckets of this permit, as batch operations do per key.
    pub fn allows(&self, action: Action, resource: Resource<'_>) -> bool {
        decide(&self.buckets, &self.caller.facts, action, resource) == Decision::Allowed
    }
}

/// Gives the permit to run `operation`, or says why not.
pub(crate) async fn authorize<'c, O: Operation>(
    service: &Service,
    caller: &'c Caller,
    operation: &O,
) -> Result<Permit<'c, O>> {
    let needs = operation.needs();
    let mut buckets: Vec<(Bucket, metadata::Guard)> = Vec::new();
    for need in &needs {
        let (Resource::Bucket(name) | Resource::Object(name, _)) = need.resource else { continue };
        if !buckets.iter().any(|(bucket, _)| bucket.name == *name) {
            let found = service.metadata.bucket(name).await?;
            let found = found.ok_or_else(|| no_such_bucket(name))?;
            buckets.push(found);
        }
        let bucket = buckets.iter().find(|(bucket, _)| bucket.name == *name);
        let expected =
            if need.source { &caller.expected_source_owner } else { &caller.expected_owner };
        if let (Some((bucket, _)), Some(expected)) = (bucket, expected)
            && bucket.owner.as_str() != expected
        {
            return Err(Condition::AccessDenied.into());
        }
    }
    for need in &needs {
        if decide(&buckets, &caller.facts, need.action, need.resource) != Decision::Allowed {
            return Err(Condition::AccessDenied.into());
        }
    }
    Ok(Permit { caller, buckets, operation: PhantomData })
}

fn no_such_bucket(name: &BucketName) -> Error {
    Error::from(Condition::NoSuchBucket).field("BucketName", name.as_str())
}

/// The statements in force: later also identity, bucket and session policies.
fn decide(
    buckets: &[(Bucket, metadata::Guard)],
    facts: &Facts,
    action: Action,
    resource: Resource<'_>,
) -> Decision {
    let mut statements: Vec<Statement> = vec![Statement {
        effect: Effect::Allow,
        principals: Principals::AnyAccount,
        actions: Actions::Some(vec![
            Action::CreateBucket,
            Action::DescribeRegions,
            Action::ListAllMyBuckets,
        ]),
        resources: Resources::Service,
    }];
    statements.extend(facts.root.then(|| Statement {
        effect: Effect::Allow,
        principals: Principals::AnyAccount,
        actions: Actions::Some(vec![Action::AdminAccounts, Action::AdminStore]),
        resources: Resources::Service,
    }));
    statements
        .extend(buckets.iter().map(|(bucket, _)| owner_statement(&bucket.owner, &bucket.name)));
    evaluate(&statements, facts, action, resource)
}
