//! Pages of lists: `MaxItems` and `Marker`.

use super::{Call, form::invalid};
use crate::{wire::Result, xml::Writer};

/// Entries of a page unless asked for otherwise, and the most.
const ITEMS: usize = 100;
const ITEMS_MAX: usize = 1000;

/// A page, and what it ends with.
pub struct Page<T> {
    pub items: Vec<T>,
    /// The name of the last entry, if more follow.
    marker: Option<String>,
}

impl Call<'_> {
    /// The part of a list, in order of name, that is asked for.
    pub(super) fn paged<T>(&self, all: Vec<T>, name: impl Fn(&T) -> &str) -> Result<Page<T>> {
        let most = self.form.number::<usize>("MaxItems")?.unwrap_or(ITEMS);
        if !(1..=ITEMS_MAX).contains(&most) {
            return Err(invalid("MaxItems must be between 1 and 1000."));
        }
        let begin = match self.form.get("Marker") {
            None => 0,
            Some(marker) => {
                let place = all.iter().position(|item| name(item) == marker);
                place.ok_or_else(|| invalid(format!("Invalid marker: {marker}")))? + 1
            }
        };
        let more = all.len().saturating_sub(begin) > most;
        let items: Vec<T> = all.into_iter().skip(begin).take(most).collect();
        let last = items.last().map(|item| name(item).to_owned());
        Ok(Page { items, marker: last.filter(|_| more) })
    }
}

impl<T> Page<T> {
    /// Writes the list and whether more follows.
    pub fn write(self, xml: &mut Writer, list: &'static str, mut one: impl FnMut(&mut Writer, T)) {
        xml.open(list);
        self.items.into_iter().for_each(|item| {
            xml.open("member");
            one(xml, item);
            xml.close();
        });
        xml.close();
        xml.flag("IsTruncated", self.marker.is_some());
        xml.optional("Marker", self.marker);
    }
}
