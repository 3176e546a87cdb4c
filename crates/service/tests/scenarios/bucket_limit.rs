//! How many buckets an account may have, when many are made and deleted at once.

use futures_util::future::join_all;
use metadata::engine::{Add, Commit, Engine as _};
use model::{Condition, limits::BUCKETS_PER_ACCOUNT_MAX};
use service::buckets::{CreateBucket, DeleteBucket, ListBuckets};

use crate::{Client, Result, Store, Who, name, seeds};

impl Client {
    fn of(store: &Store) -> Self {
        Self { service: store.service.clone(), caller: store.caller(Who::Ann) }
    }

    async fn create_numbered(&self, number: usize) -> Result<bool> {
        let name = name(&format!("bucket-{number:02}"));
        let (location, storage_class, redundancy) = (None, None, None);
        let create = CreateBucket {
            name,
            location,
            storage_class,
            redundancy,
            acl: None,
            object_ownership: None,
        };
        Ok(!self.call(create).await?.existed)
    }

    async fn delete_numbered(&self, number: usize) -> Result<()> {
        let name = name(&format!("bucket-{number:02}"));
        self.call(DeleteBucket { name, abort_uploads: false }).await
    }

    async fn buckets(&self) -> usize {
        let all = ListBuckets {
            prefix: String::new(),
            after: String::new(),
            limit: usize::MAX,
            tag: None,
        };
        self.call(all).await.expect("it lists").buckets.len()
    }
}

/// The row that counts the buckets of the client's account.
fn counter() -> Vec<u8> {
    [b"uak", Who::Ann.account_id().as_bytes()].concat()
}

/// Makes the account look as if it had so many buckets more.
async fn pretend(store: &Store, amount: usize) {
    let add = Add { key: counter(), amount: amount as i64, ..Add::default() };
    store.engine.commit(Commit { add: vec![add], ..Commit::default() }).await.expect("it counts");
}

#[tokio::test]
async fn the_last_buckets_of_an_account_go_to_as_many_as_there_are() {
    const LEFT: usize = 5;
    for seed in seeds(40) {
        let store = Store::new(seed).await;
        let client = Client::of(&store);
        pretend(&store, BUCKETS_PER_ACCOUNT_MAX - LEFT).await;
        if seed % 2 == 0 {
            store.engine.keep_in_step();
        }
        let creates = (0..12).map(|number| {
            let client = client.clone();
            async move { client.create_numbered(number).await }
        });
        let outcomes = join_all(creates).await;
        let made: Vec<_> = (0..12).filter(|number| outcomes[*number] == Ok(true)).collect();
        assert_eq!(made.len(), LEFT, "SEED={seed}: {outcomes:?}");
        let refused = outcomes.iter().filter(|outcome| **outcome == Err(Condition::TooManyBuckets));
        assert_eq!(refused.count(), 12 - LEFT, "SEED={seed}: {outcomes:?}");
        assert_eq!(client.buckets().await, LEFT, "SEED={seed}");

        assert_eq!(
            client.create_numbered(made[0]).await,
            Ok(false),
            "SEED={seed}: it is there already"
        );
        let deletes = made.iter().take(2).map(|number| client.delete_numbered(*number));
        assert_eq!(join_all(deletes).await, [Ok(()), Ok(())], "SEED={seed}");
        let creates = join_all((20..25).map(|number| client.create_numbered(number))).await;
        let made = creates.iter().filter(|outcome| **outcome == Ok(true)).count();
        assert_eq!(made, 2, "SEED={seed}: {creates:?}");
    }
}

/// As stores of an earlier version are.
#[tokio::test]
async fn buckets_that_nobody_counted_are_counted_at_the_next_change() {
    for seed in seeds(40) {
        let store = Store::new(seed).await;
        let client = Client::of(&store);
        for number in 0..6 {
            assert_eq!(client.create_numbered(number).await, Ok(true));
        }
        let uncount = Commit { delete: vec![counter()], ..Commit::default() };
        store.engine.commit(uncount).await.expect("the row goes");
        let creates = join_all((6..9).map(|number| client.create_numbered(number)));
        let deletes = join_all((0..4).map(|number| client.delete_numbered(number)));
        let (created, deleted) = futures_util::future::join(creates, deletes).await;
        assert_eq!((created, deleted), (vec![Ok(true); 3], vec![Ok(()); 4]), "SEED={seed}");
        let row = store.engine.get(&counter()).await.expect("it reads").expect("it is counted");
        assert_eq!(row.value.to_vec(), 5_i64.to_be_bytes(), "SEED={seed}");
        assert_eq!(client.buckets().await, 5, "SEED={seed}");
    }
}
