//! Browser forms: the fields of a `multipart/form-data` body, and the file behind them as a stream.
//!
//! Source: S3 "Browser-based uploads using POST"; OSS "PostObject"; RFC 7578.

mod file;
mod policy;

use actix_multipart::Multipart;
use actix_web::http::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use futures_util::{StreamExt as _, stream};
use model::{Condition, limits::FORM_FIELDS_BYTES_MAX};
use service::Error;

pub use file::File;
pub use policy::PostPolicy;

use crate::{
    dialect::Dialect,
    operations::arguments,
    wire::{Request, Result},
};

/// What the body of a form was read to be, as far as the beginning of the file.
pub struct Form {
    /// Names in lower case.
    fields: Vec<(String, String)>,
    pub file: File,
}

/// Whether a request is a form that may be read: to a bucket, and not signed as other requests are.
pub fn is_form(request: &Request) -> bool {
    let address = &request.address;
    let multipart = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default().trim_start().to_ascii_lowercase();
        text.starts_with("multipart/form-data")
    };
    request.method == Method::POST
        && address.bucket.is_some()
        && address.key.is_none()
        && request.query.pairs().is_empty()
        && !request.signed()
        && request.headers.get(CONTENT_TYPE).is_some_and(multipart)
}

impl Form {
    /// Reads the fields up to the file.
    ///
    /// # Errors
    /// `MalformedForm`, `FormFieldsTooLarge`, `NotOneFile`; `InvalidArgument` for a field that is
    /// no text or comes twice.
    pub async fn read(request: &mut Request) -> Result<Self> {
        let headers = request.headers.clone();
        let body = request.body()?;
        let pieces = stream::unfold(body, async |mut body| {
            let piece = body.next().await?;
            Some((piece.map_err(file::carried), body))
        });
        // The reader of forms may ask again after the end.
        let mut form = Multipart::new(&headers, pieces.fuse());
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut bytes = 0;
        while let Some(field) = form.next().await {
            let mut field = field.map_err(file::error)?;
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name == "file" {
                let file = File::new(form, field);
                return Ok(Self { fields, file });
            }
            let mut value = Vec::new();
            while let Some(piece) = field.next().await {
                let piece = piece.map_err(file::error)?;
                bytes += piece.len();
                if bytes + name.len() > FORM_FIELDS_BYTES_MAX {
                    return Err(Condition::FormFieldsTooLarge.into());
                }
                value.extend_from_slice(&piece);
            }
            // One without a value counts too.
            bytes += name.len() + 1;
            if bytes > FORM_FIELDS_BYTES_MAX {
                return Err(Condition::FormFieldsTooLarge.into());
            }
            let value = String::from_utf8(value)
                .map_err(|_| arguments::invalid(&name, "", "The field's value is not UTF-8."))?;
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(arguments::invalid(&name, &value, "The field is there twice."));
            }
            fields.push((name, value));
        }
        Err(Condition::NotOneFile.into())
    }

    /// The value of a field; `name` is in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The protocol its fields belong to, if they tell.
    pub fn dialect(&self) -> Option<Dialect> {
        let begins = |start| self.fields.iter().any(|(name, _)| name.starts_with(start));
        match (begins("x-oss-") || begins("ossaccesskeyid"), begins("x-amz-") || begins("aws")) {
            (true, false) => Some(Dialect::Oss),
            (false, true) => Some(Dialect::S3),
            _ => None,
        }
    }

    /// The key, with the name of the file where it is wished for.
    ///
    /// # Errors
    /// `InvalidArgument` without one.
    pub fn key(&self) -> Result<String> {
        let key = self.field("key").filter(|key| !key.is_empty()).ok_or_else(|| missing("key"))?;
        Ok(key.replace("${filename}", self.file.name().unwrap_or_default()))
    }

    /// The fields that say of the object what headers say elsewhere.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that no header may have.
    pub fn headers(&self, dialect: Dialect) -> Result<HeaderMap> {
        const PLAIN: &[&str] = &[
            "cache-control",
            "content-disposition",
            "content-encoding",
            "content-language",
            "content-md5",
            "content-type",
            "expires",
        ];
        let mut headers = HeaderMap::new();
        for (name, text) in &self.fields {
            let name = match (dialect, name.as_str()) {
                (Dialect::S3, "acl") => "x-amz-acl",
                (Dialect::Oss, "x-oss-content-type") => "content-type",
                (_, name) => name,
            };
            if !PLAIN.contains(&name) && !name.starts_with(dialect.header_prefix()) {
                continue;
            }
            let invalid = || arguments::invalid(name, text, "The field cannot be a header.");
            let value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| invalid())?;
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.insert(name, value);
        }
        // S3 takes the type from a field only; in OSS the file has one too.
        if let (Dialect::Oss, false, Some(kind)) =
            (dialect, headers.contains_key(CONTENT_TYPE), self.file.content_type())
        {
            let value = HeaderValue::from_str(kind).map_err(|_| Condition::MalformedForm)?;
            headers.insert(CONTENT_TYPE, value);
        }
        Ok(headers)
    }
}

/// The answer to a form that lacks a field it needs.
pub fn missing(name: &str) -> Error {
    let detail = format!(
        "Bucket POST must contain a field named '{name}'. If it is specified, please check the \
         order of the fields."
    );
    arguments::invalid(name, "", detail)
}
