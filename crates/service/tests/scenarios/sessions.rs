//! Temporary credentials: they end when they are to, and nothing else opens as one.

use model::{Condition, policy::Principal};
use service::{
    Result,
    entities::tokens::{Credentials, SessionWish},
};

use crate::{Store, Who};

async fn session(store: &Store, seconds: Option<i64>) -> Result<Credentials> {
    store.service.session_token(&store.caller(Who::Ann), seconds, None).await
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let store = Store::new(1).await;
    let made = session(&store, Some(900)).await.expect("it is made");
    let identify = || store.service.identify(&made.access_key, Some(&made.token));
    let found = identify().await.expect("it is good").expect("it is known");
    assert_eq!(found.secret, made.secret);
    assert!(matches!(&found.principal, Principal::Account(id) if *id == found.account.id));
    store.clock.turn_ms(900_000 - 1);
    assert!(identify().await.is_ok());
    store.clock.turn_ms(1);
    let refused = identify().await.err().expect("it is over");
    assert_eq!(refused.condition, Condition::ExpiredToken);
}

#[tokio::test]
async fn a_token_is_good_with_its_own_access_key_only() {
    let store = Store::new(1).await;
    let made = session(&store, None).await.expect("it is made");
    let other = session(&store, None).await.expect("it is made");
    for (access_key, token) in [
        (&made.access_key, &other.token),
        (&made.access_key, &made.token[2..].to_owned()),
        (&made.access_key, &String::new()),
        (&"ANN".to_owned(), &made.token),
    ] {
        let refused = store.service.identify(access_key, Some(token)).await;
        let refused = refused.err().map(|error| error.condition);
        assert_eq!(refused, Some(Condition::InvalidSecurityToken), "{access_key} {token}");
    }
    let unknown = store.service.identify(&made.access_key, None).await.expect("metadata answers");
    assert!(unknown.is_none());
}

#[tokio::test]
async fn the_time_of_a_session_has_limits() {
    let store = Store::new(1).await;
    let ann = store.caller(Who::Ann);
    for seconds in [i64::MIN, 0, 899, 3601, i64::MAX] {
        let refused = session(&store, Some(seconds)).await.err();
        let refused = refused.map(|error| error.condition);
        assert_eq!(refused, Some(Condition::ValidationError), "{seconds}");
    }
    let wish = SessionWish { name: "x".repeat(33), ..SessionWish::default() };
    let refused = store.service.federation_token(&ann, wish).await.err();
    assert_eq!(refused.map(|error| error.condition), Some(Condition::ValidationError));
}
