//! The query interfaces of AWS IAM and STS: a form in, XML out, on the port of everything else.
//!
//! `POST /` with a form as body, signed with S3 V4 for the service `iam` or `sts`. What there is to
//! ask for are the actions of these two levels in `model::policy`; what they mean is in
//! `service::entities`.

mod entities;
mod errors;
mod form;
pub mod json;
mod keys;
mod listing;
mod mfa;
mod page;
mod policies;
mod providers;
mod qr;
mod simulate;
mod sts;

pub use errors::reply as error_reply;
pub use form::Form;
pub use page::{list, page};

use std::sync::Arc;

use actix_web::http::{Method, header::HeaderMap};
use model::{
    Condition,
    entities::EntityKind,
    policy::{Action, Key, Level},
};
use service::{Caller, Error, Service};

use crate::{
    address::Address,
    dialect::Dialect,
    wire::{Reply, Request, Result, xml},
    xml::Writer,
};

const IAM_NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whether a request is a form for us.
pub fn is_ours(dialect: Dialect, method: &Method, address: &Address, headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    // Without a signature only the content tells, whatever the host is called.
    let may_be = dialect == Dialect::S3 || !headers.contains_key("authorization");
    may_be
        && method == Method::POST
        && address.bucket.is_none()
        && kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What is asked for.
pub struct Call<'c> {
    pub action: Action,
    pub form: &'c Form,
    pub caller: &'c Caller,
    pub service: &'c Arc<Service>,
}

/// The action a form names, if it is one of ours.
pub fn action(form: &Form) -> Option<Action> {
    let name = form.get("Action")?;
    served().find(|action| action.name() == name)
}

/// Everything that can be asked for.
pub fn served() -> impl Iterator<Item = Action> {
    let known = |action: &Action| matches!(action.level(), Level::Iam | Level::Sts);
    // This one is only asked of policies.
    Action::ALL.iter().copied().filter(known).filter(|action| *action != Action::TagSession)
}

/// Answers a form.
///
/// # Errors
/// Those of the action; `NotImplemented` for one that is not there.
pub async fn reply(request: &Request, form: &Form, service: &Arc<Service>) -> Result<Reply> {
    let asked = action(form);
    // Its token stands for a signature.
    let needs_key = asked != Some(Action::AssumeRoleWithWebIdentity);
    if request.verified.is_none() && needs_key {
        let detail = "Request is missing Authentication Token";
        return Err(Error::new(Condition::AccessDenied, detail));
    }
    let Some(action) = asked else {
        let name = form.get("Action").unwrap_or_default();
        let detail = format!("{name} is not implemented.");
        return Err(Error::new(Condition::NotImplemented, detail));
    };
    let namespace = match action.level() {
        Level::Sts => STS_NAMESPACE,
        _ => IAM_NAMESPACE,
    };
    let name = action.name();
    let mut document = Writer::new(format!("{name}Response"), Some(namespace));
    document.open(format!("{name}Result"));
    let mut caller = request.caller.clone();
    caller.facts.request.extend(facts(form));
    caller.facts.request_tags = form.tags()?;
    let call = Call { action, form, caller: &caller, service };
    call.run(&mut document).await?;
    document.close();
    let id = &request.caller.request_id;
    document.open("ResponseMetadata").text("RequestId", id).close();
    let mut reply = xml(200, document.finish());
    reply.add("x-amzn-requestid", id);
    Ok(reply)
}

/// What policies may ask of a form.
fn facts(form: &Form) -> impl Iterator<Item = (Key, String)> {
    let asked = [("PolicyArn", Key::PolicyArn), ("PermissionsBoundary", Key::PermissionsBoundary)];
    asked.into_iter().filter_map(|(name, key)| Some((key, form.owned(name)?)))
}

impl Call<'_> {
    /// The kind of entity the action is about.
    fn kind(&self) -> EntityKind {
        let name = self.action.name();
        match (name.contains("Role"), name.contains("Group")) {
            (true, _) => EntityKind::Role,
            (_, true) => EntityKind::Group,
            _ => EntityKind::User,
        }
    }

    /// The name of the entity the action is about.
    fn name(&self) -> Result<&str> {
        self.form.required(match self.kind() {
            EntityKind::User => "UserName",
            EntityKind::Group => "GroupName",
            EntityKind::Role => "RoleName",
        })
    }

    async fn run(&self, xml: &mut Writer) -> Result<()> {
        use Action as A;
        let name = self.action.name();
        match self.action {
            A::CreateUser | A::CreateGroup | A::CreateRole => self.create(xml).await,
            A::GetUser | A::GetRole => self.get(xml).await,
            A::GetGroup => self.get_group(xml).await,
            A::ListUsers | A::ListGroups | A::ListRoles => self.list(xml).await,
            A::UpdateUser | A::UpdateGroup => self.update().await,
            A::UpdateRole | A::UpdateRoleDescription | A::UpdateAssumeRolePolicy => {
                self.update_role(xml).await
            }
            A::DeleteUser | A::DeleteGroup | A::DeleteRole => self.delete().await,
            A::AddUserToGroup | A::RemoveUserFromGroup => self.membership().await,
            A::ListGroupsForUser => self.groups_for_user(xml).await,
            A::ListInstanceProfilesForRole => self.policies(xml).await,
            A::ListUserTags | A::ListRoleTags => self.list_tags(xml).await,
            A::TagUser | A::TagRole | A::UntagUser | A::UntagRole => self.tag().await,
            A::PutUserPolicy | A::PutGroupPolicy | A::PutRolePolicy => self.put_inline().await,
            A::GetUserPolicy | A::GetGroupPolicy | A::GetRolePolicy => self.get_inline(xml).await,
            A::DeleteUserPolicy | A::DeleteGroupPolicy | A::DeleteRolePolicy => {
                self.delete_inline().await
            }
            A::ListUserPolicies | A::ListGroupPolicies | A::ListRolePolicies => {
                self.list_inline(xml).await
            }
            _ if name.contains("OpenIDConnectProvider") => self.providers(xml).await,
            _ if name.starts_with("Attach") || name.starts_with("Detach") => self.attach().await,
            _ if name.starts_with("ListAttached") => self.list_attached(xml).await,
            _ if name.ends_with("PermissionsBoundary") => self.boundary().await,
            _ if name.contains("MFADevice") => self.mfa(xml).await,
            _ if name.contains("AccessKey") => self.keys(xml).await,
            _ if name.starts_with("Simulate") => self.simulate(xml).await,
            _ if self.action.level() == Level::Sts => self.sts(xml).await,
            _ => self.policies(xml).await,
        }
    }
}
