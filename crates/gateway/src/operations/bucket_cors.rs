//! `?cors`: what pages of other sites may do with the bucket. How that is told to browsers is in
//! `crate::cors`.

use model::{
    Condition,
    cors::{Cors, Rule},
    policy::Action,
};
use serde::Deserialize;
use service::{
    Ask,
    cors::{DeleteBucketCors, GetBucketCors, PutBucketCors},
};

use crate::{
    dialect::Dialect,
    operations::arguments::flag,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `PUT /{bucket}?cors`
pub struct Put;

#[derive(Deserialize)]
#[serde(rename = "CORSConfiguration")]
struct Document {
    #[serde(rename = "CORSRule", default)]
    rules: Vec<DocumentRule>,
    #[serde(rename = "ResponseVary")]
    always_varies: Option<String>,
}

#[derive(Deserialize)]
struct DocumentRule {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "AllowedOrigin", default)]
    origins: Vec<String>,
    #[serde(rename = "AllowedMethod", default)]
    methods: Vec<String>,
    #[serde(rename = "AllowedHeader", default)]
    headers: Vec<String>,
    #[serde(rename = "ExposeHeader", default)]
    exposed: Vec<String>,
    #[serde(rename = "MaxAgeSeconds")]
    max_age_seconds: Option<String>,
}

impl DocumentRule {
    fn rule(self) -> Result<Rule> {
        let number = |text: String| text.trim().parse().map_err(|_| Condition::MalformedXml);
        let Self { id, origins, methods, headers, exposed, max_age_seconds } = self;
        let max_age_seconds = max_age_seconds.map(number).transpose()?;
        Ok(Rule { id, origins, methods, headers, exposed, max_age_seconds })
    }
}

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketCors")
        .query(&["cors"])
        .needs(Action::PutBucketCors)
        .tested_by(
            Some("tests/s3/test_cors.py::test_rules_are_shown_as_they_were_set"),
            Some("tests/oss/test_cors.py::test_rules_are_shown_as_they_were_set"),
        );
    type Call = PutBucketCors;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketCors, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let document: Document = request.document().await?;
        let rules = document.rules.into_iter().map(DocumentRule::rule).collect::<Result<_>>()?;
        let always_varies = Some(flag(document.always_varies)?).filter(|varies| *varies);
        Ok(PutBucketCors { bucket, cors: Cors { rules, always_varies } })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}

/// `GET /{bucket}?cors`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketCors")
        .query(&["cors"])
        .needs(Action::GetBucketCors)
        .tested_by(
            Some("tests/s3/test_cors.py::test_rules_are_shown_as_they_were_set"),
            Some("tests/oss/test_cors.py::test_rules_are_shown_as_they_were_set"),
        );
    type Call = GetBucketCors;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketCors { bucket: request.bucket()? })
    }

    fn render(request: &Request, cors: Cors) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "CORSConfiguration");
        for rule in &cors.rules {
            xml.open("CORSRule").optional("ID", rule.id.as_ref());
            let lists = [
                ("AllowedOrigin", &rule.origins),
                ("AllowedMethod", &rule.methods),
                ("AllowedHeader", &rule.headers),
                ("ExposeHeader", &rule.exposed),
            ];
            for (name, texts) in lists {
                for text in texts {
                    xml.text(name, text);
                }
            }
            if let Some(seconds) = rule.max_age_seconds {
                xml.number("MaxAgeSeconds", seconds);
            }
            xml.close();
        }
        if request.dialect == Dialect::Oss {
            xml.flag("ResponseVary", cors.always_varies.unwrap_or(false));
        }
        Ok(wire::xml(200, xml.finish()))
    }
}

/// `DELETE /{bucket}?cors`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Bucket, "DeleteBucketCors")
        .query(&["cors"])
        .needs(Action::PutBucketCors)
        .needs_in_oss(Action::DeleteBucketCors)
        .tested_by(
            Some("tests/s3/test_cors.py::test_rules_are_shown_as_they_were_set"),
            Some("tests/oss/test_cors.py::test_rules_are_shown_as_they_were_set"),
        );
    type Call = DeleteBucketCors;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let action = match request.dialect {
            Dialect::S3 => Action::PutBucketCors,
            Dialect::Oss => Action::DeleteBucketCors,
        };
        Ok(DeleteBucketCors { bucket: request.bucket()?, action })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}
