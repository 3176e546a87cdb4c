//! Writing an object by a form of a browser. Who may is decided in the pipeline, as for all others,
//! once the fields are read: see `crate::form`.

use actix_web::http::Uri;
use model::{Condition, names::ObjectKey, policy::Action};
use service::{
    Ask, Error,
    objects::write::{PutObject, WriteCondition, Written},
};

use super::{acl, answers, attributes, tags, unserved};
use crate::{
    encoding::encode,
    form,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `POST /{bucket}`
pub struct Post;

/// What the answer depends on.
struct Noted {
    key: ObjectKey,
    status: u16,
    redirect: Option<String>,
}

impl WireOperation for Post {
    const ROUTE: Route =
        Route::new("POST", Target::Bucket, "PostObject").needs(Action::PutObject).tested_by(
            Some("tests/s3/test_forms.py::test_a_signed_form_writes_an_object"),
            Some("tests/oss/test_forms.py::test_a_signed_form_writes_an_object"),
        );
    type Call = PutObject;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        // Who may not write here learns nothing of what is wrong with a request that is no form.
        let asks = request.form.is_none() && !form::is_form(request);
        asks.then(|| Ok(Ask::somewhere(Action::PutObject, request.bucket()?))).transpose()
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let Some(form) = request.form.take() else {
            if form::is_form(request) {
                // Only permission is asked, and what decides it is in the body.
                request.wanted_body = true;
                return Err(Condition::MissingRequestBody.into());
            }
            let condition = "Bucket POST must be of the enclosure-type multipart/form-data";
            return Err(Error::from(Condition::PreconditionFailed).field("Condition", condition));
        };
        unserved::refuse(request)?;
        let key = request.object_key(&form.key()?)?;
        let redirect = form.field("success_action_redirect").or(form.field("redirect"));
        let redirect = redirect.filter(|url| is_url(url)).map(str::to_owned);
        let status = match form.field("success_action_status") {
            Some("200") => 200,
            Some("201") => 201,
            _ => 204,
        };
        let attributes = attributes::of_request(request.dialect, &request.headers)?;
        let tags = tags::of_form(request, &form)?;
        request.note(Noted { key: key.clone(), status, redirect });
        Ok(PutObject {
            bucket: request.bucket()?,
            key,
            attributes,
            condition: WriteCondition::default(),
            acl: acl::of_form(request)?,
            tags,
            body: Box::new(form.file),
        })
    }

    fn render(request: &Request, written: Written) -> Result<Reply> {
        let noted = request.noted::<Noted>().ok_or(Condition::Internal)?;
        let (bucket, key) = (request.bucket()?, &noted.key);
        let object = written.version.object.as_ref().ok_or(Condition::Internal)?;
        let etag = answers::etag(request.dialect, &object.etag);
        let url = request.object_url(&bucket, key);
        let mut reply = match (&noted.redirect, noted.status) {
            (Some(redirect), _) => {
                let joint = if redirect.contains('?') { '&' } else { '?' };
                let (bucket, key) = (encode(bucket.as_str()), encode(key.as_str()));
                let etag = encode(&etag);
                let target = format!("{redirect}{joint}bucket={bucket}&key={key}&etag={etag}");
                wire::empty(303).header("location", target)
            }
            (None, 201) => {
                // In both protocols without a namespace.
                let mut document = xml::Writer::new("PostResponse", None);
                document.text("Location", &url).text("Bucket", bucket.as_str());
                document.text("Key", key.as_str()).text("ETag", &etag);
                wire::xml(201, document.finish()).header("location", url)
            }
            (None, status) => wire::empty(status).header("location", url),
        };
        reply.add("etag", etag);
        answers::add_digests(&mut reply, request.dialect, object, true);
        answers::add_written_version(&mut reply, request.dialect, &written);
        Ok(reply)
    }
}

/// Whether a browser can be sent there.
fn is_url(text: &str) -> bool {
    let uri = text.parse::<Uri>();
    uri.is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}
