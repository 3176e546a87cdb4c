//! How many connections are open, and which of them have a place.
//!
//! Connections beyond the limit are let in too, as long as there are few: they are told 503, or
//! the health of the server, instead of waiting to be accepted.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long a connection without a place may take for its request.
pub const PATIENCE_WITHOUT_PLACE: Duration = Duration::from_secs(2);

/// Connections that are let in beyond a limit of `connections_max`.
pub const fn beyond(connections_max: usize) -> usize {
    match connections_max / 8 {
        few if few < 16 => 16,
        many if many > 1024 => 1024,
        some => some,
    }
}

/// The connections of all listeners and threads.
pub struct Crowd {
    places_max: usize,
    open: AtomicUsize,
    placed: AtomicUsize,
    running: AtomicUsize,
}

impl Crowd {
    pub fn new(connections_max: usize) -> Arc<Self> {
        let (open, placed, running) = Default::default();
        Arc::new(Self { places_max: connections_max, open, placed, running })
    }

    /// Lets a connection in; `None` when even those without a place are too many.
    pub fn enter(self: &Arc<Self>) -> Option<Guest> {
        let most = self.places_max.saturating_add(beyond(self.places_max));
        raise(&self.open, most).then(|| {
            let guest = Guest { crowd: self.clone(), has_place: Cell::new(false) };
            guest.take_place();
            guest
        })
    }
}

/// Counts one more, unless there are `most` already.
fn raise(counter: &AtomicUsize, most: usize) -> bool {
    let more = |number| (number < most).then_some(number + 1);
    counter.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
}

/// One connection, until it is dropped.
pub struct Guest {
    crowd: Arc<Crowd>,
    has_place: Cell<bool>,
}

/// Running requests, and open connections, beyond which little is read ahead of any.
const RUNNING_FREELY_MAX: usize = 64;
const OPEN_FREELY_MAX: usize = 256;

impl Guest {
    pub fn begin(&self) {
        self.crowd.running.fetch_add(1, Ordering::AcqRel);
    }

    pub fn end(&self) {
        self.crowd.running.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether there are so many that little should be read ahead.
    pub fn is_one_of_many(&self) -> bool {
        self.crowd.running.load(Ordering::Relaxed) > RUNNING_FREELY_MAX
            || self.crowd.open.load(Ordering::Relaxed) > OPEN_FREELY_MAX
    }

    /// Whether the connection is one of those allowed: it is, as soon as one of them has gone.
    pub fn take_place(&self) -> bool {
        if !self.has_place.get() {
            self.has_place.set(raise(&self.crowd.placed, self.crowd.places_max));
        }
        self.has_place.get()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.has_place.get() {
            self.crowd.placed.fetch_sub(1, Ordering::AcqRel);
        }
        self.crowd.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_place_gets_one_when_another_goes() {
        let crowd = Crowd::new(2);
        let guests: Vec<Guest> = (0..2).filter_map(|_| crowd.enter()).collect();
        assert!(guests.iter().all(Guest::take_place));
        let mut more: Vec<Guest> = (0..100).filter_map(|_| crowd.enter()).collect();
        assert_eq!(more.len(), beyond(2));
        assert!(!more.iter().any(Guest::take_place));
        drop(guests);
        let placed = more.iter().filter(|guest| guest.take_place()).count();
        assert_eq!(placed, 2);
        more.clear();
        assert!(crowd.enter().is_some_and(|guest| guest.take_place()));
        assert_eq!(crowd.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn some_are_let_in_beyond_any_limit() {
        assert_eq!([1, 1000, 10_000, usize::MAX].map(beyond), [16, 125, 1024, 1024]);
        assert!(Crowd::new(usize::MAX).enter().is_some());
    }
}
