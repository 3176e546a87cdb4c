//! STS in the words of Alibaba Cloud: an RPC call at `/`, answered in JSON or XML. OSS's clients
//! get temporary credentials by it. What the actions mean is in `service::entities::tokens`.
//!
//! Source: "API reference" of Alibaba Cloud Security Token Service, version 2015-04-01.

use std::sync::Arc;

use actix_web::http::{Method, header::HeaderMap};
use model::{Condition, policy::Principal};
use serde_json::{Map, Value, json};
use service::{
    Caller, Error, Service,
    entities::tokens::{Credentials, SessionWish},
};

use crate::{
    dialect::Dialect,
    errors::{code, message, status},
    signature::STRING_TO_SIGN,
    wire::{Reply, ReplyBody, Result},
    xml::{Writer, date},
};

const VERSION: &str = "2015-04-01";

/// A call: its parameters, of query and form together.
pub struct Rpc {
    pub parameters: Vec<(String, String)>,
}

/// The actions that are served.
const ACTIONS: [&str; 2] = ["AssumeRole", "GetCallerIdentity"];

/// Whether these parameters are a call.
pub fn is_call(parameters: &[(String, String)]) -> bool {
    let has = |name: &str| parameters.iter().any(|(known, _)| known == name);
    let version = parameters.iter().any(|(name, value)| name == "Version" && value == VERSION);
    version && has("Action") && (has("SignatureMethod") || has("AccessKeyId"))
}

/// Whether a request at `/` is one by its query.
pub fn is_ours(method: &Method, headers: &HeaderMap, query: &[(String, String)]) -> bool {
    let by_method = matches!(*method, Method::GET | Method::POST);
    // Whoever signs otherwise means something else.
    by_method && !headers.contains_key("authorization") && is_call(query)
}

impl Rpc {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The name of the action, if it is served.
    pub fn action(&self) -> Option<&'static str> {
        let asked = self.get("Action");
        ACTIONS.into_iter().find(|known| Some(*known) == asked)
    }

    fn is_json(&self) -> bool {
        self.get("Format").is_some_and(|format| format.eq_ignore_ascii_case("json"))
    }

    fn required(&self, name: &'static str) -> Result<&str> {
        self.get(name).ok_or_else(|| {
            let detail = format!("{name} is mandatory for this action.");
            Error::new(Condition::InvalidArgument, detail).field("ArgumentName", name)
        })
    }

    /// Answers a call whose signature holds.
    ///
    /// # Errors
    /// Those of the action; `NotImplemented` for one that is not there.
    pub async fn reply(&self, caller: &Caller, service: &Arc<Service>, id: &str) -> Result<Reply> {
        let mut answer = match self.action() {
            Some("AssumeRole") => self.assume_role(caller, service).await?,
            Some(_) => identity(caller),
            None => {
                let name = self.get("Action").unwrap_or_default();
                let detail = format!("{name} is not implemented.");
                return Err(Error::new(Condition::NotImplemented, detail));
            }
        };
        answer.insert("RequestId".to_owned(), id.into());
        let root = format!("{}Response", self.action().unwrap_or_default());
        Ok(self.document(200, root, &Value::Object(answer)))
    }

    async fn assume_role(
        &self,
        caller: &Caller,
        service: &Arc<Service>,
    ) -> Result<Map<String, Value>> {
        let arn = self.required("RoleArn")?;
        let own = arn.strip_prefix("acs:ram::").map(|rest| format!("arn:aws:iam::{rest}"));
        let own = own.ok_or_else(|| {
            let detail = "The parameter RoleArn is wrongly formed.";
            Error::new(Condition::InvalidArgument, detail).field("ArgumentName", "RoleArn")
        })?;
        let seconds = self.get("DurationSeconds").map(|text| {
            text.parse().map_err(|_| {
                let detail = "The parameter DurationSeconds is no number.";
                Error::new(Condition::InvalidArgument, detail)
            })
        });
        let wish = SessionWish {
            name: self.required("RoleSessionName")?.to_owned(),
            seconds: seconds.transpose()?,
            policy: self.get("Policy").map(str::to_owned),
            external_id: self.get("ExternalId").map(str::to_owned),
            ..SessionWish::default()
        };
        let name = wish.name.clone();
        let Credentials { access_key, secret, token, expires_ms, user_id, .. } =
            service.assume_role(caller, &own, wish).await?;
        let answer = json!({
            "AssumedRoleUser": {
                "Arn": format!("{arn}/{name}"),
                "AssumedRoleId": user_id,
            },
            "Credentials": {
                "AccessKeyId": access_key,
                "AccessKeySecret": secret,
                "SecurityToken": token,
                "Expiration": date(expires_ms),
            },
        });
        Ok(object(answer))
    }

    /// The answer to a call that failed.
    pub fn error(&self, id: &str, host: &str, error: &Error) -> Reply {
        let (status, code) = row(error);
        let detail = error.detail.as_deref().unwrap_or(message(error.condition));
        let signed = error.fields.iter().find(|(name, _)| *name == STRING_TO_SIGN);
        let signed = signed.map(|(_, text)| format!(" server string to sign is:{text}"));
        let detail = format!("{detail}{}", signed.unwrap_or_default());
        let answer = json!({"Code": code, "Message": detail, "RequestId": id, "HostId": host});
        self.document(status, "Error".to_owned(), &answer)
    }

    fn document(&self, status: u16, root: String, answer: &Value) -> Reply {
        let (kind, body) = if self.is_json() {
            ("application/json", answer.to_string().into())
        } else {
            let mut xml = Writer::new(root, None);
            write(&mut xml, answer);
            ("application/xml", xml.finish())
        };
        let mut reply = Reply::new(status).header("content-type", kind);
        reply.body = ReplyBody::Bytes(body);
        reply
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn write(xml: &mut Writer, answer: &Value) {
    for (name, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::String(text) => {
                xml.text(name, text);
            }
            members => {
                xml.open(name.clone());
                write(xml, members);
                xml.close();
            }
        }
    }
}

/// Who asks, as everybody may.
fn identity(caller: &Caller) -> Map<String, Value> {
    let principal = &caller.facts.principal;
    let kind = match principal {
        Principal::Account(_) => "Account",
        Principal::Session { .. } => "AssumedRoleUser",
        _ => "RAMUser",
    };
    let arn = principal.caller_arn().unwrap_or_default();
    let arn = arn.replacen("arn:aws:iam:", "acs:ram:", 1).replacen("arn:aws:sts:", "acs:sts:", 1);
    let account = caller.account_id().map(ToString::to_string).unwrap_or_default();
    let user = principal.user_id().unwrap_or_default();
    object(json!({
        "AccountId": account,
        "Arn": arn,
        "IdentityType": kind,
        "PrincipalId": user.clone(),
        "UserId": user,
    }))
}

/// Status and code, where they are not those of OSS. Source: "Error codes" of Alibaba Cloud STS.
fn row(error: &Error) -> (u16, &'static str) {
    match error.condition {
        Condition::InvalidAccessKeyId => (404, "InvalidAccessKeyId.NotFound"),
        Condition::SignatureDoesNotMatch => (400, "SignatureDoesNotMatch"),
        Condition::RequestTimeTooSkewed => (400, "InvalidTimeStamp.Expired"),
        Condition::InvalidSecurityToken => (400, "InvalidSecurityToken.Malformed"),
        Condition::ExpiredToken => (400, "InvalidSecurityToken.Expired"),
        Condition::AccessDenied => (403, "NoPermission"),
        Condition::ValidationError => (400, "InvalidParameter"),
        Condition::MalformedPolicyDocument => (400, "InvalidParameter.PolicyGrammar"),
        other => (status(other, Dialect::Oss), code(other, Dialect::Oss)),
    }
}
