//! Rights to what IAM manages: [`Granted`].

use model::{
    Condition,
    audit::AuditEntry,
    names::AccountId,
    policy::{Action, Context, Document, Facts, Layers, Resource, assume, evaluate},
};

use crate::{
    Caller, Error, Result, audit,
    explain::{Explanation, Question},
};

/// The right to look at or change the users, groups, roles and policies of the caller's account.
pub(crate) struct Granted<'c> {
    caller: &'c Caller,
    account: &'c AccountId,
    /// What it was given for.
    action: Action,
    arn: String,
    /// What else is to be told of a change.
    details: Vec<(&'static str, String)>,
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
        let resource = Resource::Arn(arn);
        let context = Context { owner: Some(account), ..Context::new(facts, action, resource) };
        let layers = caller.standing.join(Layers::default());
        let decision = evaluate(&layers, &context);
        if decision.is_allowed() {
            let arn = arn.to_owned();
            return Ok(Self { caller, account, action, arn, details: Vec::new() });
        }
        let why = Explanation::of(caller, &Question::plain(&context, &layers, decision));
        Err(not_authorized(facts, action, arn).because(why))
    }

    pub fn account(&self) -> &'c AccountId {
        self.account
    }

    /// Adds what the audit trail is to tell of the change: never a secret.
    pub fn telling(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// What the audit trail tells of the change.
    pub fn audit(&self) -> AuditEntry {
        audit::entry(self.caller, &self.action.word(), &self.arn, &self.details)
    }
}

/// IAM says who may not do what.
pub(crate) fn not_authorized(facts: &Facts, action: Action, arn: &str) -> Error {
    let who = facts.principal.caller_arn().unwrap_or_else(|| "anonymous".to_owned());
    let action = action.word();
    let detail = format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
    Error::new(Condition::AccessDenied, detail)
}

/// The same of a user, group, role or managed policy of an account.
///
/// - `trust`: the policy of the role that is to be taken on.
pub(crate) fn imagine_iam(
    caller: &Caller,
    action: Action,
    (arn, owner): (&str, &AccountId),
    trust: Option<&Document>,
) -> Explanation {
    let context = Context::new(&caller.facts, action, Resource::Arn(arn));
    let context = Context { owner: Some(owner), ..context };
    let layers = caller.standing.join(Layers { resource: trust, ..Layers::default() });
    let decide = if action == Action::AssumeRole { assume } else { evaluate };
    let decision = decide(&layers, &context);
    let question = Question { decide, ..Question::plain(&context, &layers, decision) };
    Explanation::of(caller, &question)
}
