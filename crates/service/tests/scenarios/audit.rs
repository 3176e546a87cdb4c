//! The audit trail ends where its time does.

use model::{entities::EntityKind, policy::Facts};
use service::{
    Caller,
    audit::ReadAudit,
    entities::NewEntity,
    workers::{Audit, Progress, Worker as _},
};

use crate::{Store, Who};

const HOUR_MS: i64 = 3600 * 1000;

/// The root account, though the store's first start made another one of that kind.
fn root(store: &Store) -> Caller {
    let caller = store.caller(Who::Ann);
    Caller { facts: Facts { root: true, ..caller.facts.clone() }, ..caller }
}

async fn create(store: &Store, name: &str) {
    let new = NewEntity { name: name.to_owned(), path: "/".to_owned(), ..NewEntity::default() };
    let made = store.service.create_entity(&store.caller(Who::Ann), EntityKind::User, new).await;
    made.expect("it is made");
}

/// The users that the trail says were made.
async fn told(store: &Store) -> Vec<String> {
    let what = Some("iam:createuser".to_owned());
    let read = ReadAudit { what, ..ReadAudit::default() };
    let page = store.service.call(&root(store), read).await.expect("it is read");
    let name = |resource: &str| resource.rsplit('/').next().unwrap_or_default().to_owned();
    page.entries.iter().map(|(_, entry)| name(&entry.resource)).collect()
}

async fn walk(store: &Store) {
    let mut audit = Audit::default();
    while audit.step(&store.service).await.expect("it walks") == Progress::More {}
}

#[tokio::test]
async fn entries_are_kept_for_a_day_and_no_longer_where_that_is_set() {
    let store = Store::new(1).await;
    create(&store, "old").await;
    store.clock.turn_ms(20 * HOUR_MS);
    create(&store, "new").await;
    walk(&store).await;
    assert_eq!(told(&store).await, ["old", "new"]);
    store.clock.turn_ms(5 * HOUR_MS);
    walk(&store).await;
    assert_eq!(told(&store).await, ["new"]);
    let refused = store.service.call(&store.caller(Who::Ben), ReadAudit::default()).await;
    assert!(refused.is_err(), "only the root account may");
}
