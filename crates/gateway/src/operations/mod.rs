//! THE table: every operation of both protocols that is known here, served or not.
//!
//! Routing, metrics, log spans and the compatibility pages all come from it. Order does not matter.

pub mod absent;
pub mod account_access_block;
mod acl;
mod answers;
pub mod arguments;
mod attributes;
pub mod bucket;
pub mod bucket_access_block;
pub mod bucket_acl;
pub mod bucket_cors;
pub mod bucket_ownership;
mod bucket_policy;
pub mod bucket_referer;
pub mod bucket_tagging;
pub mod bucket_versioning;
mod checksums;
mod conditions;
mod copy_source;
pub mod multipart;
pub mod object_acl;
pub mod object_attributes;
pub mod object_copy;
pub mod object_delete;
pub mod object_form;
pub mod object_list;
pub mod object_read;
pub mod object_tagging;
pub mod object_write;
mod page;
pub mod refused;
pub mod service;
mod storage_class;
mod tags;
mod unserved;

use std::sync::LazyLock;

use crate::wire::{Entry, entry};

pub use page::{OperationRow, list, page};

static TABLE: LazyLock<Vec<Entry>> =
    LazyLock::new(|| [SERVED, absent::TABLE, refused::TABLE].concat());

/// All operations.
pub fn table() -> &'static [Entry] {
    &TABLE
}

#[rustfmt::skip]
static SERVED: &[Entry] = &[
    entry::<service::List>(),
    entry::<service::GetRegions>(),
    entry::<account_access_block::Delete>(),
    entry::<account_access_block::Get>(),
    entry::<account_access_block::Put>(),

    entry::<bucket::Create>(),
    entry::<bucket::Delete>(),
    entry::<bucket::GetInfo>(),
    entry::<bucket::GetLocation>(),
    entry::<bucket::GetStat>(),
    entry::<bucket::Head>(),
    entry::<bucket_access_block::Delete>(),
    entry::<bucket_access_block::Get>(),
    entry::<bucket_access_block::Put>(),
    entry::<bucket_cors::Delete>(),
    entry::<bucket_cors::Get>(),
    entry::<bucket_cors::Put>(),
    entry::<bucket_acl::Get>(),
    entry::<bucket_acl::Put>(),
    entry::<bucket_ownership::Delete>(),
    entry::<bucket_ownership::Get>(),
    entry::<bucket_ownership::Put>(),
    entry::<bucket_policy::Delete>(),
    entry::<bucket_policy::Get>(),
    entry::<bucket_policy::GetStatus>(),
    entry::<bucket_policy::Put>(),
    entry::<bucket_referer::Get>(),
    entry::<bucket_referer::Put>(),
    entry::<bucket_tagging::Delete>(),
    entry::<bucket_tagging::Get>(),
    entry::<bucket_tagging::Put>(),
    entry::<bucket_versioning::Get>(),
    entry::<bucket_versioning::Put>(),

    entry::<multipart::Abort>(),
    entry::<multipart::Complete>(),
    entry::<multipart::Copy>(),
    entry::<multipart::Create>(),
    entry::<multipart::ListParts>(),
    entry::<multipart::ListUploads>(),
    entry::<multipart::Upload>(),

    entry::<object_acl::Get>(),
    entry::<object_acl::Put>(),
    entry::<object_attributes::Get>(),
    entry::<object_copy::Copy>(),
    entry::<object_delete::Delete>(),
    entry::<object_delete::DeleteMany>(),
    entry::<object_form::Post>(),
    entry::<object_list::List>(),
    entry::<object_list::ListV2>(),
    entry::<object_list::ListVersions>(),
    entry::<object_read::Get>(),
    entry::<object_read::GetMeta>(),
    entry::<object_read::Head>(),
    entry::<object_read::HeadMeta>(),
    entry::<object_tagging::Delete>(),
    entry::<object_tagging::Get>(),
    entry::<object_tagging::Put>(),
    entry::<object_write::Put>(),
];

#[cfg(test)]
mod tests;
