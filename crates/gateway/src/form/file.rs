//! The file of a form, as a body.

use std::io;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::error::PayloadError;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::{Condition, checksums::Algorithm};
use service::{
    Error,
    body::{Body, Digests},
};

use crate::{
    body::Expected,
    wire::{Result, judge},
};

/// The file: it comes last, and what comes behind it is thrown away.
pub struct File {
    form: Multipart,
    /// `None` once it is read: the form gives nothing else as long as it is there.
    field: Option<Field>,
    expected: Expected,
    /// Bytes it may have.
    range: Option<(u64, u64)>,
    bytes: u64,
    ended: bool,
}

impl File {
    pub(super) fn new(form: Multipart, field: Field) -> Self {
        let (field, expected, range) = (Some(field), Expected::default(), None);
        Self { form, field, expected, range, bytes: 0, ended: false }
    }

    /// Its name on the client's machine.
    pub fn name(&self) -> Option<&str> {
        self.field.as_ref()?.content_disposition()?.get_filename()
    }

    pub fn content_type(&self) -> Option<&str> {
        self.field.as_ref()?.content_type().map(AsRef::as_ref)
    }

    /// What it is to turn out to be.
    pub fn expect(&mut self, expected: Expected, range: Option<(u64, u64)>) {
        self.expected = Expected { length_bytes: None, ..expected };
        self.range = range;
    }

    async fn pull(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        if let Some(field) = &mut self.field
            && let Some(piece) = field.next().await
        {
            let piece = piece.map_err(error)?;
            self.bytes += piece.len() as u64;
            return match self.range {
                Some((_, most)) if self.bytes > most => Err(Condition::EntityTooLarge.into()),
                _ => Ok(Some(piece)),
            };
        }
        self.field = None;
        // The form must be whole, or the file may not be.
        while let Some(field) = self.form.next().await {
            let mut field = field.map_err(error)?;
            while let Some(piece) = field.next().await {
                piece.map_err(error)?;
            }
        }
        self.ended = true;
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Body for File {
    fn length_bytes(&self) -> Option<u64> {
        None
    }

    fn wants_sha256(&self) -> bool {
        false
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.expected.checksum.as_ref().map(|checksum| checksum.algorithm)
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        let pulled = self.pull().await;
        self.ended |= pulled.is_err();
        pulled.transpose()
    }

    fn check(&mut self, digests: &Digests) -> Result<()> {
        if self.range.is_some_and(|(least, _)| digests.size_bytes < least) {
            return Err(Condition::EntityTooSmall.into());
        }
        judge(&self.expected, digests)
    }
}

/// Takes an error of the body through the reader of forms.
pub(super) fn carried(error: Error) -> PayloadError {
    PayloadError::Io(io::Error::other(error))
}

/// What went wrong: the error that was carried, or the form itself.
pub(super) fn error(error: MultipartError) -> Error {
    match error {
        MultipartError::Payload(PayloadError::Io(carried)) => {
            let inner = carried.into_inner().map(|inner| inner.downcast::<Error>());
            match inner {
                Some(Ok(error)) => *error,
                _ => Condition::IncompleteBody.into(),
            }
        }
        MultipartError::Payload(_) | MultipartError::Incomplete => Condition::IncompleteBody.into(),
        error => Error::new(
            Condition::MalformedForm,
            format!(
                "The body of your POST request is not well-formed multipart/form-data: {error}"
            ),
        ),
    }
}
