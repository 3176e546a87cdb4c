//! The clock jumps, by seconds or by years, in either direction: only dates differ.

use blobs::faulty::Random;
use model::{names::VersionSelector, records::Versioning};

use crate::{Client, Store, Workers, assert_all_goes, assert_tidy, seeds};

const YEARS_MS: i64 = 10 * 365 * 24 * 3600 * 1000;

fn jump(random: &mut Random) -> i64 {
    let far = match random.below(3) {
        0 => 2_000,
        1 => 3_600_000,
        _ => YEARS_MS as u64,
    };
    let by = i64::try_from(random.below(far)).unwrap_or_default();
    if random.below(2) == 0 { by } else { -by }
}

#[tokio::test]
async fn what_came_last_is_the_latest_whatever_the_clock_says() {
    for seed in seeds(8) {
        let mut random = Random(seed);
        let mut store = Store::new(seed).await;
        let client = Client::with_bucket(&store, Versioning::Enabled).await;
        let mut written = Vec::new();
        for number in 0..40 {
            // Never before the first of January 1970: no clock shows that.
            let by = jump(&mut random).max(-store.clock.now_ms());
            store.clock.turn_ms(by);
            let text = format!("text {number}");
            client.put("key", &text).await.expect("it is put");
            written.push(text.clone());
            let latest = client.get("key", VersionSelector::Latest).await;
            assert_eq!(latest.as_deref(), Ok(text.as_bytes()), "SEED={seed}");
            if number % 10 == 9 {
                let upload = client.create_upload("parts").await;
                store.clock.turn_ms(jump(&mut random).max(-store.clock.now_ms()));
                client.upload_part(&upload, 1, &text).await.expect("a part");
                let condition = service::objects::write::WriteCondition::default();
                client.complete(&upload, condition).await.expect("it completes");
                Workers::default().finish(&store).await.expect("they work");
            }
        }
        let mut listed = Vec::new();
        for version in client.versions().await.iter().filter(|it| it.key.as_str() == "key") {
            let version = VersionSelector::Id(version.version.id);
            listed.push(client.get("key", version).await.expect("it is there"));
        }
        written.reverse();
        assert_eq!(listed, written, "the newest comes first, SEED={seed}");
        assert_tidy(&store, seed).await;
        // Answers of completed uploads are remembered until the clock has passed their dates.
        store.clock.turn_ms(40 * YEARS_MS);
        assert_all_goes(&mut store, &client, seed).await;
    }
}
