//! `/_larder/explain/{request id}`: why a request was refused, for whom that concerns.

use std::sync::Arc;

use model::policy::{Asked, Decision, Effect, Layer};
use serde::Serialize;
use service::{
    Service,
    explain::{Explain, Explanation, GrantTold, Ground, StatementTold},
};

use super::json;
use crate::{
    dialect::Dialect,
    errors,
    wire::{Reply, Request, Result},
    xml::date,
};

/// What the path of these begins with. Any signed request gets as far as the service.
pub const PREFIX: &str = "explain/";

/// An explanation as shown.
#[derive(Serialize)]
pub struct Shown {
    time: String,
    who: Who,
    /// `None` if it came to no question.
    action: Option<String>,
    resource: Option<String>,
    /// Of an object, its own; else the bucket's.
    resource_owner: Option<String>,
    /// `allowed`, `explicitDeny`, `implicitDeny`, or the code of the error.
    decision: &'static str,
    /// What decided: `bucket policy` and so on.
    layer: Option<&'static str>,
    /// That in a sentence.
    reason: String,
    statements: Vec<Statement>,
    facts: Vec<Fact>,
    grants: Vec<Grant>,
    /// What no grant changes, in a sentence.
    obstacle: Option<String>,
}

#[derive(Serialize)]
struct Who {
    arn: Option<String>,
    account: Option<String>,
    access_key: Option<String>,
    address: Option<String>,
}

#[derive(Serialize)]
struct Statement {
    policy: String,
    sid: Option<String>,
    number: usize,
    effect: &'static str,
    applies: bool,
    /// The key whose condition does not hold.
    unmet: Option<String>,
    decided: bool,
}

#[derive(Serialize)]
struct Fact {
    key: String,
    /// `None` if they are not shown.
    values: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Grant {
    to: String,
    statement: String,
    policy: String,
}

/// `GET /_larder/explain/{request id}`
pub async fn show(request: &Request, service: &Arc<Service>, id: &str) -> Result<Reply> {
    let explain = Explain { request_id: id.to_owned() };
    json(200, &shown(service.call(&request.caller, explain).await?))
}

pub fn shown(told: Explanation) -> Shown {
    let (decision, layer, reason) = match &told.ground {
        Ground::Decided(decision) => {
            (word(*decision), Some(decision.layer().name()), sentence(*decision, &told.statements))
        }
        Ground::Refused { condition, detail } => {
            let message = || errors::message(*condition).to_owned();
            let reason = detail.clone().unwrap_or_else(message);
            (errors::code(*condition, Dialect::S3), None, reason)
        }
    };
    let obstacle = told.obstacle.map(|it| sentence(it, &told.statements));
    Shown {
        time: date(told.at_ms),
        who: Who {
            arn: told.who.arn,
            account: told.who.account.map(|account| account.to_string()),
            access_key: told.who.access_key,
            address: told.who.source.map(|address| address.to_string()),
        },
        action: told.action.map(model::policy::Action::word),
        resource: told.resource,
        resource_owner: told.object_owner.or(told.owner).map(|owner| owner.to_string()),
        decision,
        layer,
        reason,
        statements: told.statements.into_iter().map(statement).collect(),
        facts: told.facts.into_iter().map(fact).collect(),
        grants: told.grants.into_iter().map(grant).collect(),
        obstacle,
    }
}

/// As IAM's simulator names it.
pub const fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Allowed(..) => "allowed",
        Decision::Denied(..) => "explicitDeny",
        Decision::NotAllowed(_) => "implicitDeny",
    }
}

fn sentence(decision: Decision, statements: &[StatementTold]) -> String {
    let layer = decision.layer();
    let decisive = statements.iter().find(|it| it.decisive && it.layer == layer);
    let of = decisive.map_or_else(|| layer.name().to_owned(), |it| it.policy.clone());
    let which = decisive.map(|it| match &it.sid {
        Some(sid) => format!("The statement {sid}"),
        None => format!("Statement number {}", it.number),
    });
    match (decision, which) {
        (Decision::Allowed(..), Some(which)) => format!("{which} of {of} allows it."),
        (Decision::Allowed(..), None) => format!("It is allowed by {of}."),
        (Decision::Denied(..), which) => {
            format!("{} of {of} denies it.", which.unwrap_or_else(|| "A statement".to_owned()))
        }
        (Decision::NotAllowed(Layer::Account), _) => "Only the root account may do it.".to_owned(),
        (Decision::NotAllowed(Layer::Ownership), _) => {
            "An access control list would allow it, but the object ownership of the bucket lets no \
             list count."
                .to_owned()
        }
        (Decision::NotAllowed(Layer::ObjectOwner), _) => {
            "The object belongs to another account than its bucket, and its access control list \
             does not allow it."
                .to_owned()
        }
        (Decision::NotAllowed(Layer::AccessBlock), _) => {
            "Something public would allow it, but the public access block stands in the way."
                .to_owned()
        }
        (Decision::NotAllowed(_), _) => format!("No statement of {of} allows it."),
    }
}

fn statement(told: StatementTold) -> Statement {
    Statement {
        policy: told.policy,
        sid: told.sid,
        number: told.number,
        effect: match told.effect {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        },
        applies: told.unmet.is_none(),
        unmet: told.unmet,
        decided: told.decisive,
    }
}

fn fact(asked: Asked) -> Fact {
    Fact { key: asked.key, values: asked.values }
}

fn grant(told: GrantTold) -> Grant {
    Grant { to: told.to, statement: told.grant.statement, policy: told.grant.document }
}
