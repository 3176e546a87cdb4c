//! A second process has taken the store over: the first can name nothing any more.

use std::sync::Arc;

use model::{Condition, names::VersionSelector, records::Versioning};
use service::objects::write::WriteCondition;

use crate::{Client, Store, Who, assert_all_goes};

/// What the first process stored may have been swept away by the second: naming it would make
/// objects without bytes.
#[tokio::test]
async fn a_process_that_was_replaced_can_write_nothing() {
    let mut store = Store::new(1).await;
    let old = Client::with_bucket(&store, Versioning::Unversioned).await;
    let upload = old.create_upload("upload").await;
    old.upload_part(&upload, 1, "part").await.expect("a part");
    store.restart(None).await;
    let new = Client { service: Arc::clone(&store.service), caller: store.caller(Who::Ann) };

    let put = old.put("key", "old").await.map(drop);
    let part = old.upload_part(&upload, 2, "old").await;
    let completed = old.complete(&upload, WriteCondition::default()).await.map(drop);
    assert_eq!([put, part, completed], [Err(Condition::SlowDown); 3]);

    assert_eq!(new.get("key", VersionSelector::Latest).await, Err(Condition::NoSuchKey));
    assert_eq!(new.usage().await.parts, 1);
    new.put("key", "new").await.expect("it is put");
    new.complete(&upload, WriteCondition::default()).await.expect("it completes");
    assert_all_goes(&mut store, &new, 1).await;
}
