//! Which directories, in which zones, take the copies of a blob. Pure.

/// A directory that could take a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    pub zone: &'a str,
    pub free_bytes: u64,
}

/// Picks up to `wanted` of `candidates`, by index; fewer only if there are no more.
///
/// Zones that hold nothing yet (neither in `held_zones` nor picked before) go first; among equals
/// the chance of a directory is its share of the free space. The same `seed` picks the same.
pub fn choose(
    candidates: &[Candidate<'_>],
    wanted: usize,
    held_zones: &[&str],
    seed: u64,
) -> Vec<usize> {
    let mut random = SplitMix(seed);
    let mut zones = held_zones.to_vec();
    let mut left: Vec<(usize, &Candidate<'_>)> = candidates.iter().enumerate().collect();
    let mut picked = Vec::with_capacity(wanted.min(left.len()));
    while picked.len() < wanted && !left.is_empty() {
        let fresh = left.iter().any(|(_, candidate)| !zones.contains(&candidate.zone));
        let eligible = |zone: &str| !fresh || !zones.contains(&zone);
        let total: u128 =
            left.iter().filter(|(_, c)| eligible(c.zone)).map(|(_, c)| weight(c)).sum();
        let mut ticket = random.next() % total.max(1);
        let position = left.iter().position(|(_, candidate)| {
            if !eligible(candidate.zone) {
                return false;
            }
            let won = ticket < weight(candidate);
            ticket = ticket.saturating_sub(weight(candidate));
            won
        });
        let Some(position) = position else { break };
        let (index, candidate) = left.swap_remove(position);
        zones.push(candidate.zone);
        picked.push(index);
    }
    picked
}

/// Never zero, so that a directory of unknown space can still be picked.
fn weight(candidate: &Candidate<'_>) -> u128 {
    u128::from(candidate.free_bytes) + 1
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (2014).
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u128 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(zones: &[(&'static str, u64)]) -> Vec<Candidate<'static>> {
        zones.iter().map(|(zone, free_bytes)| Candidate { zone, free_bytes: *free_bytes }).collect()
    }

    #[test]
    fn copies_go_to_distinct_zones_first() {
        type Row = (
            &'static [(&'static str, u64)],
            usize,
            &'static [&'static str],
            &'static [&'static str],
        );
        let table: &[Row] = &[
            (&[("a", 9), ("a", 9), ("b", 1)], 2, &[], &["a", "b"]),
            (&[("a", 1), ("b", 1), ("c", 1)], 3, &[], &["a", "b", "c"]),
            (&[("a", 5), ("a", 5)], 2, &[], &["a", "a"]),
            (&[("a", 5), ("b", 5)], 1, &["a"], &["b"]),
            (&[("a", 5)], 1, &["a"], &["a"]),
            (&[("a", 5)], 3, &[], &["a"]),
            (&[("a", 0), ("b", 0)], 2, &[], &["a", "b"]),
            (&[], 2, &[], &[]),
            (&[("a", 5)], 0, &[], &[]),
        ];
        for (row, (zones, wanted, held, expected)) in table.iter().enumerate() {
            let candidates = candidates(zones);
            for seed in 0..50 {
                let picked = choose(&candidates, *wanted, held, seed);
                let mut zones: Vec<&str> = picked.iter().map(|i| candidates[*i].zone).collect();
                zones.sort_unstable();
                assert_eq!(zones, *expected, "row {row}, seed {seed}");
            }
        }
    }

    #[test]
    fn free_space_is_the_weight() {
        let candidates = candidates(&[("a", 900), ("b", 100)]);
        let first = (0..10_000).filter(|seed| choose(&candidates, 1, &[], *seed) == [0]).count();
        assert!((8_700..9_300).contains(&first), "{first} of 10 000 went to the emptier one");
    }

    proptest! {
        #[test]
        fn picks_are_distinct_and_as_many_as_can_be(
            zones in proptest::collection::vec((0u8..4, any::<u64>()), 0..8),
            wanted in 0usize..10,
            seed in any::<u64>(),
        ) {
            let names = ["a", "b", "c", "d"];
            let candidates: Vec<_> = zones
                .iter()
                .map(|(zone, free)| Candidate { zone: names[*zone as usize], free_bytes: *free })
                .collect();
            let mut picked = choose(&candidates, wanted, &[], seed);
            let picked_zones: std::collections::BTreeSet<_> =
                picked.iter().map(|i| candidates[*i].zone).collect();
            let all_zones: std::collections::BTreeSet<_> =
                candidates.iter().map(|c| c.zone).collect();
            prop_assert_eq!(picked.len(), wanted.min(candidates.len()));
            prop_assert_eq!(picked_zones.len(), wanted.min(all_zones.len()));
            picked.sort_unstable();
            picked.dedup();
            prop_assert_eq!(picked.len(), wanted.min(candidates.len()));
        }
    }
}
