//! `?referer`: which pages may show what is in a bucket. Only OSS has it; it counts for requests of
//! both protocols.

use model::{Condition, policy::Action, referer::RefererRules};
use serde::Deserialize;
use service::{
    Ask,
    referer::{GetBucketReferer, PutBucketReferer},
};

use crate::{
    dialect::Dialect,
    operations::arguments::flag,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

const TEST: Option<&str> = Some("tests/oss/test_referer.py::test_rules_are_shown_as_they_were_set");

#[derive(Deserialize)]
#[serde(rename = "RefererConfiguration")]
struct Document {
    #[serde(rename = "AllowEmptyReferer")]
    allow_empty: Option<String>,
    #[serde(rename = "AllowTruncateQueryString")]
    truncate_query: Option<String>,
    #[serde(rename = "TruncatePath")]
    truncate_path: Option<String>,
    #[serde(rename = "RefererList")]
    allowed: Option<List>,
    #[serde(rename = "RefererBlacklist")]
    denied: Option<List>,
}

#[derive(Deserialize)]
struct List {
    #[serde(rename = "Referer", default)]
    entries: Vec<String>,
}

impl List {
    /// Clients send an empty entry to say that there is none.
    fn entries(list: Option<Self>) -> Vec<String> {
        let entries = list.map(|list| list.entries).unwrap_or_default().into_iter();
        entries.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
    }
}

impl Document {
    fn rules(self) -> Result<RefererRules> {
        let or = |text: Option<String>, otherwise| match text {
            None => Ok(otherwise),
            some => flag(some),
        };
        if self.allow_empty.is_none() {
            return Err(Condition::MalformedXml.into());
        }
        Ok(RefererRules {
            allow_empty: flag(self.allow_empty)?,
            truncate_query: or(self.truncate_query, true)?,
            truncate_path: or(self.truncate_path, false)?,
            allowed: List::entries(self.allowed),
            denied: List::entries(self.denied),
        })
    }
}

/// `PUT /{bucket}?referer`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketReferer")
        .query(&["referer"])
        .only(Dialect::Oss)
        .needs(Action::PutBucketReferer)
        .tested_by(None, TEST);
    type Call = PutBucketReferer;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketReferer, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let document: Document = request.document().await?;
        Ok(PutBucketReferer { bucket, rules: document.rules()? })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}

/// `GET /{bucket}?referer`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketReferer")
        .query(&["referer"])
        .only(Dialect::Oss)
        .needs(Action::GetBucketReferer)
        .tested_by(None, TEST);
    type Call = GetBucketReferer;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketReferer { bucket: request.bucket()? })
    }

    fn render(request: &Request, rules: RefererRules) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "RefererConfiguration");
        xml.flag("AllowEmptyReferer", rules.allow_empty);
        xml.flag("AllowTruncateQueryString", rules.truncate_query);
        xml.flag("TruncatePath", rules.truncate_path);
        write_list(&mut xml, "RefererList", &rules.allowed);
        write_list(&mut xml, "RefererBlacklist", &rules.denied);
        Ok(wire::xml(200, xml.finish()))
    }
}

fn write_list(xml: &mut Writer, list: &'static str, entries: &[String]) {
    xml.open(list);
    for entry in entries {
        xml.text("Referer", entry);
    }
    xml.close();
}
