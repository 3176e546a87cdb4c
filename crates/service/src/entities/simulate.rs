//! What would be allowed: the simulator of IAM, over the same decision as every request.

use std::sync::Arc;

use model::{
    Condition,
    entities::{Entity, EntityKind},
    names::{AccountId, BucketName, ObjectKey},
    policy::{
        Action, Context, Decision, Document, Effect, Facts, Key, Kind, Layer, Layers, Principal,
        Resource, Vocabulary, actions_named, asked_of, evaluate, seen,
    },
};

use super::{arn::invalid, standing::Source};
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
    /// `None` if there is no such action.
    pub decision: Option<Decision>,
    /// Where the statements stand that decided.
    pub matched: Vec<Matched>,
    /// Keys that conditions ask for and nothing was said of.
    pub missing: Vec<String>,
    /// What the permission boundary says, if there is one.
    pub boundary: Option<bool>,
}

/// A policy with a statement that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    pub policy: String,
    /// As IAM names the kinds of policies.
    pub kind: &'static str,
}

/// The policies that are asked, by name.
struct Asked<'a> {
    documents: &'a [Arc<Document>],
    names: &'a [Matched],
    boundary: Option<Arc<Document>>,
}

/// The most questions in one request.
const QUESTIONS_MAX: usize = 1000;

/// The most statements that are told of one answer.
const MATCHED_MAX: usize = 20;

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
        let names = given(documents.len());
        let asked = Asked { documents: &documents, names: &names, boundary: None };
        simulate(caller, simulation, asked)
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
        let mut names: Vec<_> = found.sources.iter().map(named).collect();
        let added = compiled(&simulation.policies)?;
        names.extend(given(added.len()));
        documents.extend(added);
        let mut caller = caller.clone();
        let facts = &mut caller.facts;
        facts.principal = stand_in(account, kind, &found.entity);
        facts.root = false;
        facts.groups = found.groups.clone();
        facts.principal_tags.clone_from(&found.entity.tags);
        let boundary = found.boundary.clone();
        simulate(&caller, simulation, Asked { documents: &documents, names: &names, boundary })
    }
}

/// Who asks when an entity is asked about.
pub(crate) fn stand_in(account: &AccountId, kind: EntityKind, entity: &Entity) -> Principal {
    let (account, name, id) = (account.clone(), entity.full_name(), entity.id.clone());
    match kind {
        EntityKind::Role => {
            let session = "simulated".to_owned();
            Principal::Session { account, role: name, role_id: id, session }
        }
        EntityKind::User | EntityKind::Group => Principal::User { account, name, id },
    }
}

/// As IAM names policies that are given with the question.
fn given(count: usize) -> Vec<Matched> {
    let one = |number| Matched { policy: format!("PolicyInputList.{number}"), kind: "none" };
    (1..=count).map(one).collect()
}

fn named(source: &Source) -> Matched {
    let policy = source.policy.rsplit('/').next().unwrap_or_default().to_owned();
    let kind = match source.policy.as_str() {
        arn if arn.starts_with("arn:aws:iam::aws:") => "aws-managed",
        arn if arn.starts_with("arn:") => "user-managed",
        _ => source.holder.0.word(),
    };
    Matched { policy, kind }
}

fn compiled(texts: &[String]) -> Result<Vec<Arc<Document>>> {
    let parse = |text: &String| Document::parse(text, Kind::Identity).map(Arc::new);
    let parsed = texts.iter().map(parse).collect::<Result<_, String>>();
    parsed.map_err(|error| Error::new(Condition::InvalidInput, error))
}

fn simulate(caller: &Caller, simulation: &Simulation, asked: Asked<'_>) -> Result<Vec<Simulated>> {
    let own = caller.account_id().ok_or(Condition::AccessDenied)?;
    let boundary = compiled(&simulation.boundaries)?.pop().or(asked.boundary.clone());
    let resource_policy = simulation.resource_policy.as_ref();
    let resource = resource_policy.map(|text| Document::parse(text, Kind::Bucket)).transpose();
    let resource = resource.map_err(|error| Error::new(Condition::InvalidInput, error))?;
    let layers = Layers {
        identity: asked.documents,
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
            let mut answer = Simulated {
                action: word.clone(),
                resource: name.clone(),
                decision: None,
                matched: Vec::new(),
                missing: Vec::new(),
                boundary: None,
            };
            if let Some(action) = action {
                with_question(&facts, action, name, |context| {
                    answer_with(&mut answer, &layers, context, asked.names, boundary.as_ref());
                });
            }
            answers.push(answer);
        }
    }
    Ok(answers)
}

/// Decides one question and says where that comes from.
fn answer_with(
    answer: &mut Simulated,
    layers: &Layers<'_>,
    context: &Context<'_>,
    names: &[Matched],
    boundary: Option<&Arc<Document>>,
) {
    let decision = evaluate(layers, context);
    let seen = seen(layers, context);
    let effect = match decision {
        Decision::Allowed(..) => Some(Effect::Allow),
        Decision::Denied(..) => Some(Effect::Deny),
        Decision::NotAllowed(_) => None,
    };
    let decided =
        seen.iter().filter(|it| it.unmet.is_none() && Some(it.statement.effect) == effect);
    for it in decided.take(MATCHED_MAX) {
        let matched = match it.layer {
            Layer::Identity => names.get(usize::from(it.place.document)).cloned(),
            Layer::Resource => Some(Matched { policy: "ResourcePolicy".into(), kind: "resource" }),
            _ => None,
        };
        answer.matched.extend(matched.filter(|matched| !answer.matched.contains(matched)));
    }
    let asked = asked_of(&seen, context).into_iter();
    let absent = asked.filter(|it| it.values.as_ref().is_some_and(Vec::is_empty));
    answer.missing = absent.map(|it| it.key).collect();
    answer.boundary = boundary.map(|boundary| {
        let alone = Layers { identity: std::slice::from_ref(boundary), ..Layers::default() };
        evaluate(&alone, context).is_allowed()
    });
    answer.decision = Some(decision);
}

fn vocabulary(word: &str) -> Vocabulary {
    if word.starts_with("oss:") { Vocabulary::Oss } else { Vocabulary::S3 }
}

/// The request that is thought of: nothing is known of it but what the simulation says.
fn facts(caller: &Caller, own: &AccountId, simulation: &Simulation) -> Facts {
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
    say(&mut facts, &simulation.context);
    facts
}

/// Puts what a request would say into its facts.
pub(crate) fn say(facts: &mut Facts, context: &[(String, Vec<String>)]) {
    for (name, values) in context {
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
            Key::RequestObjectTag(tag) | Key::RequestTag(tag) => {
                facts.request_tags.push((tag, value))
            }
            Key::ExistingObjectTag(tag) => {
                facts.object_tags.get_or_insert_default().push((tag, value));
            }
            Key::Unknown(name) => facts.web.push((name, values.clone())),
            key => facts.request.push((key, value)),
        }
    }
}

/// Asks about an object or bucket here, or another resource by its ARN.
fn with_question(facts: &Facts, action: Action, arn: &str, then: impl FnOnce(&Context<'_>)) {
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
    then(&Context { owner, ..Context::new(facts, action, resource) });
}
