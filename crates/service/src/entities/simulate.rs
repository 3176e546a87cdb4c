//! What would be allowed: the simulator of IAM, over the same decision as every request.

use std::sync::Arc;

use model::{
    Condition,
    entities::EntityKind,
    names::{BucketName, ObjectKey, VersionSelector},
    policy::{
        Action, Context, Decision, Document, Facts, Key, Kind, Layers, Principal, Resource,
        Vocabulary, actions_named, evaluate,
    },
};

use super::arn::invalid;
use crate::{Caller, Error, Result, Service, authorize::Granted};

/// What is asked of the simulator.
#[derive(Clone, Debug, Default)]
pub struct Simulation {
    pub actions: Vec<String>,
    /// ARNs; everything if there are none.
    pub resources: Vec<String>,
    pub policies: Vec<String>,
    pub boundaries: Vec<String>,
    pub resource_policy: Option<String>,
    /// What the request would say: keys of conditions with their values.
    pub context: Vec<(String, Vec<String>)>,
}

/// One answer of the simulator.
#[derive(Clone, Debug)]
pub struct Simulated {
    pub action: String,
    pub resource: String,
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub decision: &'static str,
}

/// The most questions in one request.
const QUESTIONS_MAX: usize = 1000;

impl Service {
    /// Asks policies that are given.
    ///
    /// # Errors
    /// `InvalidInput` for policies, actions and ARNs that cannot be read.
    pub fn simulate_custom(
        &self,
        caller: &Caller,
        simulation: &Simulation,
    ) -> Result<Vec<Simulated>> {
        Granted::give(caller, Action::SimulateCustomPolicy, "*")?;
        let documents = compiled(&simulation.policies)?;
        simulate(caller, simulation, &documents, None)
    }

    /// Asks the policies of a user, group or role, and those that are given.
    ///
    /// # Errors
    /// As [`Self::simulate_custom`], and `NoSuchEntity`.
    pub async fn simulate_principal(
        &self,
        caller: &Caller,
        arn: &str,
        simulation: &Simulation,
    ) -> Result<Vec<Simulated>> {
        let granted = Granted::give(caller, Action::SimulatePrincipalPolicy, arn)?;
        let account = granted.account();
        let rest = arn.strip_prefix(&format!("arn:aws:iam::{account}:"));
        let parts = rest.and_then(|rest| rest.split_once('/'));
        let (word, path) = parts.ok_or_else(|| invalid(format!("{arn} is no principal")))?;
        let kind = EntityKind::ALL.into_iter().find(|kind| kind.word() == word);
        let kind = kind.ok_or_else(|| invalid(format!("{arn} is no principal")))?;
        let name = path.rsplit('/').next().unwrap_or_default();
        let missing = || super::arn::no_such(kind.word(), name);
        let found = self.standing_of(account, kind, name).await?.ok_or_else(missing)?;
        let mut documents = found.documents.clone();
        documents.extend(compiled(&simulation.policies)?);
        let mut caller = caller.clone();
        let facts = &mut caller.facts;
        facts.principal = match kind {
            EntityKind::Role => Principal::Session {
                account: account.clone(),
                role: found.entity.full_name(),
                role_id: found.entity.id.clone(),
                session: "simulated".to_owned(),
            },
            EntityKind::User | EntityKind::Group => Principal::User {
                account: account.clone(),
                name: found.entity.full_name(),
                id: found.entity.id.clone(),
            },
        };
        facts.root = false;
        facts.groups = found.groups.clone();
        facts.principal_tags.clone_from(&found.entity.tags);
        simulate(&caller, simulation, &documents, found.boundary.clone())
    }
}

fn compiled(texts: &[String]) -> Result<Vec<Arc<Document>>> {
    let parse = |text: &String| Document::parse(text, Kind::Identity).map(Arc::new);
    let parsed = texts.iter().map(parse).collect::<Result<_, String>>();
    parsed.map_err(|error| Error::new(Condition::InvalidInput, error))
}

fn simulate(
    caller: &Caller,
    simulation: &Simulation,
    documents: &[Arc<Document>],
    boundary: Option<Arc<Document>>,
) -> Result<Vec<Simulated>> {
    let own = caller.account_id().ok_or(Condition::AccessDenied)?;
    let boundary = match compiled(&simulation.boundaries)?.pop() {
        Some(given) => Some(given),
        None => boundary,
    };
    let resource_policy = simulation.resource_policy.as_ref();
    let resource = resource_policy.map(|text| Document::parse(text, Kind::Bucket)).transpose();
    let resource = resource.map_err(|error| Error::new(Condition::InvalidInput, error))?;
    let layers = Layers {
        identity: documents,
        boundary: boundary.as_deref(),
        resource: resource.as_ref(),
        ..Layers::default()
    };
    let facts = facts(caller, own, simulation);
    let everything = ["*".to_owned()];
    let resources = match simulation.resources.as_slice() {
        [] => &everything,
        named => named,
    };
    if simulation.actions.len().saturating_mul(resources.len()) > QUESTIONS_MAX {
        return Err(Error::new(Condition::LimitExceeded, "The request asks too many questions."));
    }
    let mut answers = Vec::new();
    for word in &simulation.actions {
        let action = actions_named(vocabulary(word), word).iter().next();
        for name in resources {
            let decision = match action {
                Some(action) => decided(&layers, &facts, action, name),
                None => "implicitDeny",
            };
            let (action, resource) = (word.clone(), name.clone());
            answers.push(Simulated { action, resource, decision });
        }
    }
    Ok(answers)
}

fn vocabulary(word: &str) -> Vocabulary {
    if word.starts_with("oss:") { Vocabulary::Oss } else { Vocabulary::S3 }
}

/// The request that is thought of: nothing is known of it but what the simulation says.
fn facts(caller: &Caller, own: &model::AccountId, simulation: &Simulation) -> Facts {
    let principal = match &caller.facts.principal {
        // An account may do everything: policies are asked as if they were a user's.
        Principal::Account(_) => Principal::User {
            account: own.clone(),
            name: "simulated".to_owned(),
            id: "AIDASIMULATED".to_owned(),
        },
        other => other.clone(),
    };
    let mut facts = Facts {
        principal,
        groups: caller.facts.groups.clone(),
        principal_tags: caller.facts.principal_tags.clone(),
        ..Facts::system("", caller.facts.now_ms)
    };
    for (name, values) in &simulation.context {
        let Some(value) = values.first().cloned() else { continue };
        match Key::parse(name) {
            Key::SourceIp => facts.source = value.parse().ok(),
            Key::SecureTransport => facts.secure = value == "true",
            Key::UserAgent => facts.user_agent = Some(value),
            Key::Referer => facts.referer = Some(value),
            Key::MfaAge => facts.mfa_age_seconds = value.parse().ok(),
            Key::MfaPresent if value == "true" => {
                facts.mfa_age_seconds = facts.mfa_age_seconds.or(Some(0));
            }
            Key::PrincipalTag(tag) => facts.principal_tags.push((tag, value)),
            Key::RequestObjectTag(tag) => facts.request_tags.push((tag, value)),
            Key::ExistingObjectTag(tag) => {
                facts.object_tags.get_or_insert_default().push((tag, value));
            }
            key => facts.request.push((key, value)),
        }
    }
    facts
}

/// An object or bucket here, or another resource by its ARN.
fn decided(layers: &Layers<'_>, facts: &Facts, action: Action, arn: &str) -> &'static str {
    let owner = facts.principal.account();
    let path = arn.strip_prefix("arn:aws:s3:::").unwrap_or_default();
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (BucketName::parse(bucket).ok(), ObjectKey::parse(key).ok());
    let resource = match (&bucket, &key) {
        (Some(bucket), Some(key)) => Resource::Object(bucket, key),
        (Some(bucket), None) => Resource::Bucket(bucket),
        (None, _) if arn == "*" => Resource::Service,
        (None, _) => Resource::Arn(arn),
    };
    let version = VersionSelector::Latest;
    match evaluate(layers, &Context { facts, action, resource, version, owner }) {
        Decision::Allowed(..) => "allowed",
        Decision::Denied(..) => "explicitDeny",
        Decision::NotAllowed(_) => "implicitDeny",
    }
}
