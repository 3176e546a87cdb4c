//! Forms and calls by which rights are given and asked for: `PostObject`, IAM, the STS of Alibaba
//! Cloud, and documents of grants.

use bytes::Bytes;
use model::acl::{GRANTS_MAX, WantedAcl};

use super::{RUNTIME, dialect, parse};
use crate::{
    encoding::query_pairs,
    form::{Form, PostPolicy},
    iam,
    operations::bucket_acl,
    rpc,
    signature::rpc_claim,
    wire::testing::try_request,
};

/// A browser's form: what is read of it has each field once.
pub fn post_form(oss: bool, body: &[u8]) -> bool {
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let body = Bytes::copy_from_slice(body);
    let request = try_request(dialect(oss), "POST", "/bkt", &headers, body);
    let Some(mut request) = request else { return false };
    let form = RUNTIME.with(|runtime| runtime.block_on(Form::read(&mut request)));
    let Ok(form) = form else { return false };
    let mut names: Vec<_> = form.fields().iter().map(|(name, _)| name.to_lowercase()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a field is there twice");
    let _ = (form.headers(dialect(oss)), form.dialect());
    form.key().is_ok() && form.field("policy").is_some_and(|text| PostPolicy::parse(text).is_ok())
}

/// The policy of such a form: what it allows is no more than what it says.
pub fn post_policy(text: &str, fields: &[(String, String)]) -> bool {
    let Ok(policy) = PostPolicy::parse(text) else { return false };
    let now = chrono::DateTime::UNIX_EPOCH;
    let checked = policy.check(dialect(false), fields, ("bkt", "key"), now).is_ok();
    checked && policy.range.is_some_and(|(least, most)| least > 0 && most > least)
}

/// A form for IAM or STS.
pub fn iam_form(body: &[u8]) -> bool {
    let Ok(form) = iam::Form::parse(body) else { return false };
    let action = iam::action(&form).is_some();
    let _ = (form.flag("OnlyAttached"), form.number::<u32>("MaxItems").is_ok());
    let members = form.members("ActionNames", "");
    let tags = form.tags().is_ok_and(|tags| !tags.is_empty());
    action && tags && !members.is_empty()
}

/// A call for the STS of Alibaba Cloud: nobody who does not know the secret has signed it.
pub fn call(text: &str) -> bool {
    let Ok(parameters) = query_pairs(text) else { return false };
    let is_call = rpc::is_call(&parameters);
    rpc_claim("GET", &parameters).is_ok() && is_call
}

/// A list of grants, as the document of `PutBucketAcl`.
pub fn grants(oss: bool, body: &[u8]) -> bool {
    let length = body.len().to_string();
    let headers = [("content-length", length.as_str())];
    let body = Bytes::copy_from_slice(body);
    let call = parse::<bucket_acl::Put>(dialect(oss), ("PUT", "/bkt?acl"), &headers, body);
    match call.map(|call| call.acl) {
        Some(WantedAcl::Grants { grants, .. }) => {
            assert!(grants.len() <= GRANTS_MAX);
            grants.len() > 1
        }
        _ => false,
    }
}
