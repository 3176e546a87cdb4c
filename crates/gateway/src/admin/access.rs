//! `/_larder/access/`: who may do what, asked without doing it.

use std::sync::Arc;

use model::{Condition, policy::Action};
use serde::{Deserialize, Serialize};
use service::{
    Error, Service,
    access::{Able, AblePage, Saying, Simulate, WhoCan},
};

use super::{
    explain::{Shown, shown},
    json, read,
};
use crate::wire::{Reply, Request, Result};

/// Facts in one question.
const FACTS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    principal: Option<String>,
    action: String,
    resource: String,
    /// Keys of conditions with their values.
    #[serde(default)]
    facts: Vec<(String, String)>,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize)]
struct Page {
    able: Vec<ShownAble>,
    next: Option<String>,
}

#[derive(Serialize)]
struct ShownAble {
    arn: String,
    /// `yes` or `perhaps`
    can: &'static str,
    depends_on: Vec<String>,
    why: Shown,
}

impl Question {
    fn action(&self) -> Result<Action> {
        let unknown = || format!("There is no action {}.", self.action);
        let action = Action::parse(&self.action);
        action.ok_or_else(|| Error::new(Condition::InvalidArgument, unknown()))
    }

    fn saying(&mut self) -> Result<Saying> {
        if self.facts.len() > FACTS_MAX {
            let detail = format!("A question has at most {FACTS_MAX} facts.");
            return Err(Error::new(Condition::InvalidArgument, detail));
        }
        let facts = std::mem::take(&mut self.facts).into_iter();
        Ok(facts.map(|(key, value)| (key, vec![value])).collect())
    }
}

/// `POST /_larder/access/simulate`
pub async fn simulate(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let mut question: Question = read(request).await?;
    let (action, saying) = (question.action()?, question.saying()?);
    let principal = question.principal.unwrap_or_else(|| "anonymous".to_owned());
    let asked = Simulate { principal, action, resource: question.resource, saying };
    json(200, &shown(service.call(&request.caller, asked).await?))
}

/// `POST /_larder/access/who-can`
pub async fn who_can(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let mut question: Question = read(request).await?;
    let (action, saying) = (question.action()?, question.saying()?);
    let Question { resource, after, .. } = question;
    let asked = WhoCan { action, resource, saying, after };
    let AblePage { able, next } = service.call(&request.caller, asked).await?;
    json(200, &Page { able: able.into_iter().map(able_shown).collect(), next })
}

fn able_shown(able: Able) -> ShownAble {
    let can = if able.perhaps { "perhaps" } else { "yes" };
    ShownAble { arn: able.arn, can, depends_on: able.depends_on, why: shown(able.why) }
}
