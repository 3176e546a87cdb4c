//! Access control lists on the wire: headers and documents of buckets and objects alike.
//!
//! What a list lets through is in `model::acl`; whether it may be set, in `service::acls`.

use bytes::Bytes;
use model::{
    Condition,
    acl::{Canned, Grantee, Named, Of, Permission, WantedAcl, Word},
};
use serde::Deserialize;
use service::{
    Error,
    acls::{ShownAcl, ShownGrantee},
};

use super::{
    arguments::invalid,
    bucket::{write_account, write_owner},
};
use crate::{
    dialect::Dialect,
    wire::{Request, Result},
    xml,
};

/// S3's names of the groups. Source: S3 "Amazon S3 predefined groups".
const GROUPS: [(Grantee, &str); 3] = [
    (Grantee::Everybody, "http://acs.amazonaws.com/groups/global/AllUsers"),
    (Grantee::Authenticated, "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"),
    (Grantee::LogDelivery, "http://acs.amazonaws.com/groups/s3/LogDelivery"),
];

/// S3's headers that grant, without `x-amz-`.
const GRANT_HEADERS: [(&str, Permission); 5] = [
    ("grant-read", Permission::Read),
    ("grant-write", Permission::Write),
    ("grant-read-acp", Permission::ReadAcp),
    ("grant-write-acp", Permission::WriteAcp),
    ("grant-full-control", Permission::FullControl),
];

/// What the headers of a request want, if anything.
///
/// # Errors
/// `InvalidArgument` for words and grantees that do not exist, `InvalidRequest` for both at once.
pub fn of_headers(request: &Request) -> Result<Option<WantedAcl>> {
    of(request, if request.address.key.is_some() { Of::Object } else { Of::Bucket })
}

/// As [`of_headers`] for the object of a form: its fields became headers, and its address is the
/// bucket's.
pub fn of_form(request: &Request) -> Result<Option<WantedAcl>> {
    of(request, Of::Object)
}

fn of(request: &Request, of: Of) -> Result<Option<WantedAcl>> {
    let name = match (request.dialect, of) {
        (Dialect::Oss, Of::Object) => "object-acl",
        (Dialect::S3, _) | (Dialect::Oss, Of::Bucket) => "acl",
    };
    let word = request.own_header(name)?.filter(|word| !word.is_empty());
    if request.dialect == Dialect::Oss {
        return word.map(|word| oss_word(of, name, word)).transpose();
    }
    let mut grants = Vec::new();
    for (header, permission) in GRANT_HEADERS {
        for value in request.own_header(header)?.into_iter().filter(|value| !value.is_empty()) {
            let named = grantees(header, value)?;
            grants.extend(named.into_iter().map(|grantee| (grantee, permission)));
        }
    }
    match word {
        Some(_) if !grants.is_empty() => {
            let detail = "Specifying both Canned ACLs and Header Grants is not allowed";
            Err(Error::new(Condition::InvalidRequest, detail))
        }
        Some(word) => match Canned::parse(word) {
            Some(canned) => Ok(Some(WantedAcl::Canned(canned))),
            None => Err(invalid("x-amz-acl", word, "Invalid Argument")),
        },
        None if grants.is_empty() => Ok(None),
        None => Ok(Some(WantedAcl::Grants { owner: None, grants })),
    }
}

fn oss_word(of: Of, header: &str, word: &str) -> Result<WantedAcl> {
    match (Word::parse(word), word) {
        (Some(word), _) => Ok(WantedAcl::Word(Some(word))),
        (None, "default") if of == Of::Object => Ok(WantedAcl::Word(None)),
        _ => {
            let detail = "no such object access control exists";
            Err(invalid(&format!("x-oss-{header}"), word, detail))
        }
    }
}

/// Reads `id="…", emailAddress="…", uri="…"`.
fn grantees(header: &str, value: &str) -> Result<Vec<Named>> {
    let wrong = || invalid(&format!("x-amz-{header}"), value, "Argument format not recognized");
    let one = |part: &str| {
        let (kind, name) = part.split_once('=').ok_or_else(wrong)?;
        let name = name.trim().trim_matches('"');
        match kind.trim().to_ascii_lowercase().as_str() {
            "id" => Ok(Named::Canonical(name.to_owned())),
            "emailaddress" => Ok(Named::Email(name.to_owned())),
            "uri" => group(name),
            _ => Err(wrong()),
        }
    };
    value.split(',').map(one).collect()
}

fn group(uri: &str) -> Result<Named> {
    let known = GROUPS.iter().find(|(_, known)| *known == uri);
    known
        .map(|(group, _)| Named::Group(group.clone()))
        .ok_or_else(|| invalid("Group/URI", uri, "Invalid group uri"))
}

#[derive(Deserialize)]
struct AccessControlPolicy {
    #[serde(rename = "Owner")]
    owner: Option<OwnerElement>,
    #[serde(rename = "AccessControlList")]
    list: Option<AccessControlList>,
}

#[derive(Deserialize)]
struct OwnerElement {
    #[serde(rename = "ID")]
    id: Option<String>,
}

#[derive(Deserialize)]
struct AccessControlList {
    #[serde(rename = "Grant", default)]
    grants: Vec<GrantElement>,
}

#[derive(Deserialize)]
struct GrantElement {
    #[serde(rename = "Grantee")]
    grantee: Option<GranteeElement>,
    #[serde(rename = "Permission")]
    permission: Option<String>,
}

#[derive(Deserialize)]
struct GranteeElement {
    #[serde(rename = "ID")]
    id: Option<String>,
    #[serde(rename = "EmailAddress")]
    email: Option<String>,
    #[serde(rename = "URI")]
    uri: Option<String>,
}

/// What a request that sets a list wants: by its headers, or by its document.
///
/// # Errors
/// As [`of_headers`]; `MalformedAcl` for a document that is none.
pub async fn wanted(request: &mut Request) -> Result<WantedAcl> {
    if let Some(wanted) = of_headers(request)? {
        // A body besides would say the same thing twice; S3 takes none either.
        return match request.optional_document::<AccessControlPolicy>().await? {
            None => Ok(wanted),
            Some(_) => {
                let detail = "This request does not support content";
                Err(Error::new(Condition::InvalidRequest, detail))
            }
        };
    }
    if request.dialect == Dialect::Oss {
        return Err(Error::from(Condition::MissingSecurityHeader)
            .field("MissingHeaderName", "x-oss-acl or x-oss-object-acl"));
    }
    let document =
        request.document::<AccessControlPolicy>().await.map_err(|error| match error.condition {
            Condition::MalformedXml => Condition::MalformedAcl.into(),
            _ => error,
        })?;
    document.try_into()
}

impl TryFrom<AccessControlPolicy> for WantedAcl {
    type Error = Error;

    fn try_from(document: AccessControlPolicy) -> Result<Self> {
        let malformed = || Error::from(Condition::MalformedAcl);
        let list = document.list.ok_or_else(malformed)?;
        let owner = document.owner.and_then(|owner| owner.id).filter(|id| !id.is_empty());
        let mut grants = Vec::with_capacity(list.grants.len());
        for GrantElement { grantee, permission } in list.grants {
            let permission = permission.as_deref().and_then(Permission::parse);
            let grantee = grantee.ok_or_else(malformed)?;
            let grantee = match (grantee.id, grantee.email, grantee.uri) {
                (Some(id), None, None) => Named::Canonical(id),
                (None, Some(email), None) => Named::Email(email),
                (None, None, Some(uri)) => group(&uri)?,
                _ => return Err(malformed()),
            };
            grants.push((grantee, permission.ok_or_else(malformed)?));
        }
        Ok(Self::Grants { owner, grants })
    }
}

/// The document that shows a list: grants in S3, one word in OSS.
///
/// - `unset`: OSS's word where none is set.
pub fn document(dialect: Dialect, acl: &ShownAcl, unset: &'static str) -> Bytes {
    let mut xml = xml::document(dialect, "AccessControlPolicy");
    write_owner(&mut xml, dialect, &acl.owner);
    xml.open("AccessControlList");
    if dialect == Dialect::Oss {
        xml.text("Grant", acl.word.map_or(unset, Word::name));
        return xml.finish();
    }
    for (grantee, permission) in &acl.grants {
        let kind = match grantee {
            ShownGrantee::Account(_) => "CanonicalUser",
            ShownGrantee::Group(_) => "Group",
        };
        let kind = [("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"), ("xsi:type", kind)];
        xml.open("Grant").open_with("Grantee", &kind);
        match grantee {
            ShownGrantee::Account(account) => write_account(&mut xml, dialect, account),
            ShownGrantee::Group(group) => {
                let uri = GROUPS.iter().find(|(known, _)| known == group);
                xml.optional("URI", uri.map(|(_, uri)| *uri));
            }
        }
        xml.close().text("Permission", permission.name()).close();
    }
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{parse_document, testing::request};

    fn headers(
        dialect: Dialect,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Option<WantedAcl>> {
        of_headers(&request(dialect, "PUT", path, headers, ""))
    }

    #[test]
    fn headers_say_who_is_let_in() {
        let id = |id: &str| Named::Canonical(id.to_owned());
        let everybody = Named::Group(Grantee::Everybody);
        let grants =
            |grants: Vec<(Named, Permission)>| Some(WantedAcl::Grants { owner: None, grants });
        let read =
            r#"id="a", emailAddress="b@c" , uri=http://acs.amazonaws.com/groups/global/AllUsers"#;
        let email = Named::Email("b@c".to_owned());
        for (dialect, path, header, value, expected) in [
            (Dialect::S3, "/b", "x-amz-acl", "private", Some(WantedAcl::Canned(Canned::Private))),
            (Dialect::S3, "/b", "x-amz-acl", "", None),
            (
                Dialect::S3,
                "/b/k",
                "x-amz-grant-read",
                read,
                grants(vec![
                    (id("a"), Permission::Read),
                    (email, Permission::Read),
                    (everybody, Permission::Read),
                ]),
            ),
            (
                Dialect::S3,
                "/b/k",
                "x-amz-grant-write-acp",
                "id=a",
                grants(vec![(id("a"), Permission::WriteAcp)]),
            ),
            (
                Dialect::Oss,
                "/b",
                "x-oss-acl",
                "private",
                Some(WantedAcl::Word(Some(Word::Private))),
            ),
            (Dialect::Oss, "/b/k", "x-oss-object-acl", "default", Some(WantedAcl::Word(None))),
            (Dialect::Oss, "/b/k", "x-oss-acl", "private", None),
        ] {
            let found = headers(dialect, path, &[(header, value)]).unwrap();
            assert_eq!(found, expected, "{header}: {value}");
        }
    }

    #[test]
    fn headers_that_name_nobody_are_refused() {
        for (dialect, path, header, value) in [
            (Dialect::S3, "/b", "x-amz-acl", "public"),
            (Dialect::S3, "/b/k", "x-amz-grant-read", "a"),
            (Dialect::S3, "/b/k", "x-amz-grant-read", "name=a"),
            (Dialect::S3, "/b/k", "x-amz-grant-read", "uri=http://acs.amazonaws.com/groups/Other"),
            (Dialect::Oss, "/b", "x-oss-acl", "default"),
            (Dialect::Oss, "/b", "x-oss-acl", "authenticated-read"),
            (Dialect::Oss, "/b/k", "x-oss-object-acl", "Private"),
        ] {
            let error = headers(dialect, path, &[(header, value)]).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidArgument, "{header}: {value}");
        }
        let both = [("x-amz-acl", "private"), ("x-amz-grant-read", "id=a")];
        let error = headers(Dialect::S3, "/b", &both).unwrap_err();
        assert_eq!(error.condition, Condition::InvalidRequest);
    }

    fn parse(list: &str) -> Result<WantedAcl> {
        let text =
            format!("<AccessControlPolicy><Owner><ID>o</ID></Owner>{list}</AccessControlPolicy>");
        parse_document::<AccessControlPolicy>(text.as_bytes())?.try_into()
    }

    #[test]
    fn a_document_says_who_is_let_in() {
        let list = "<AccessControlList><Grant><Grantee xmlns:xsi=\"x\" xsi:type=\"CanonicalUser\">\
                    <ID>a</ID><DisplayName>A</DisplayName></Grantee><Permission>READ</Permission>\
                    </Grant></AccessControlList>";
        let grants = vec![(Named::Canonical("a".to_owned()), Permission::Read)];
        let expected = WantedAcl::Grants { owner: Some("o".to_owned()), grants };
        assert_eq!(parse(list).unwrap(), expected);
        let nobody = WantedAcl::Grants { owner: Some("o".to_owned()), grants: Vec::new() };
        assert_eq!(parse("<AccessControlList/>").unwrap(), nobody);
    }

    #[test]
    fn a_document_that_is_no_list_is_refused() {
        let grant = |grantee: &str, permission: &str| {
            format!(
                "<AccessControlList><Grant>{grantee}<Permission>{permission}</Permission></Grant>\
                 </AccessControlList>"
            )
        };
        for list in [
            String::new(),
            grant("", "READ"),
            grant("<Grantee/>", "READ"),
            grant("<Grantee><ID>a</ID><URI>b</URI></Grantee>", "READ"),
            grant("<Grantee><ID>a</ID></Grantee>", "read"),
            grant("<Grantee><ID>a</ID></Grantee>", ""),
        ] {
            let error = parse(&list).unwrap_err();
            assert_eq!(error.condition, Condition::MalformedAcl, "{list}");
        }
    }
}
