//! The check that a customers file does not lose customers by mistake.
//!
//! A generator that fails can leave an empty file, or the first part of one. Either is a valid file with fewer customers,
//! and the events of the others would go into quarantine, or would be dropped. So few customers can be removed at once,
//! and many only by name.

use std::collections::HashSet;

use super::customers::Parsed;
use crate::config::{self, Location};

/// The largest number of customers that an error names.
const NAMED: usize = 10;

/// Why a customers file is refused although each of its entries is valid.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The file has no customers.
    #[error(
        "customers file {path} has no customers: is it empty, or half written? To run without customers, set `route.max_removed_percent` to 100"
    )]
    Empty {
        /// The file.
        path: Location,
    },
    /// Many of the customers in force are not in the file.
    #[error(
        "customers file {path} lacks {} of {before} customers, and `route.max_removed_percent` ({percent}) allows {allowed} at once: {}; list the ids of customers that were removed on purpose under `removed` in the file, or keep the customers with `enabled: false`", lost.len(), named(lost)
    )]
    Many {
        /// The file.
        path: Location,
        /// The ids of the missing customers that the file does not list as removed, sorted.
        lost: Vec<String>,
        /// The number of customers in force.
        before: usize,
        /// The configured share of customers that can be removed at once.
        percent: u8,
        /// The number of customers that can be removed at once.
        allowed: usize,
    },
}

/// Checks the customers of a file. `known` are the ids of the customers in force, of which there are none at the start.
///
/// # Errors
/// Returns an error if the file has no customers, or if it lacks more of the known customers than the configuration
/// allows and does not list them as removed. With a share of 100, everything is allowed.
pub(super) fn check(settings: &config::Route, known: &[&str], file: &Parsed) -> Result<(), Loss> {
    let (path, percent) = (settings.customers_file.clone(), settings.max_removed_percent);
    if percent >= 100 {
        return Ok(());
    }
    if file.customers.is_empty() {
        return Err(Loss::Empty { path });
    }
    let kept: HashSet<&str> = file.customers.iter().map(|customer| &*customer.id).collect();
    let is_lost = |id: &&&str| !kept.contains(**id) && !file.removed.contains(**id);
    let mut lost: Vec<String> = known.iter().filter(is_lost).map(|id| (*id).to_owned()).collect();
    // One customer is always allowed, because it is more than the share of a small file.
    let (before, allowed) = (known.len(), (known.len() * usize::from(percent) / 100).max(1));
    if lost.len() <= allowed {
        return Ok(());
    }
    lost.sort_unstable();
    Err(Loss::Many { path, lost, before, percent, allowed })
}

/// Returns the first of these ids, and the number of the others.
fn named(ids: &[String]) -> String {
    match ids.len() {
        count if count > NAMED => format!("{} and {} more", ids[..NAMED].join(", "), count - NAMED),
        _ => ids.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::route::Customer;

    fn parsed(ids: impl IntoIterator<Item = usize>, removed: &[&str]) -> Parsed {
        let customer = |id: usize| {
            let (events, profile) = (Vec::new(), Default::default());
            Arc::new(Customer {
                id: format!("c{id}").into(),
                topic: "t".into(),
                events,
                profile,
                enabled: true,
                canary: false,
                claim_check: Default::default(),
            })
        };
        Parsed {
            customers: ids.into_iter().map(customer).collect(),
            removed: removed.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    fn lost(percent: u8, before: usize, file: &Parsed) -> Option<String> {
        let settings = config::Route { max_removed_percent: percent, ..Default::default() };
        let ids: Vec<String> = (0..before).map(|id| format!("c{id}")).collect();
        let known: Vec<&str> = ids.iter().map(String::as_str).collect();
        check(&settings, &known, file).err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_without_customers_is_refused_at_the_start_and_at_a_reload() {
        for before in [0, 1, 20] {
            let error = lost(20, before, &parsed([], &["c0"])).unwrap();
            assert!(error.starts_with("customers file customers.yaml has no customers"), "{error}");
            assert_eq!(lost(100, before, &parsed([], &[])), None);
        }
    }

    #[test]
    fn a_share_of_the_customers_can_be_removed_at_once_and_always_one() {
        for (before, kept, is_allowed) in
            [(2, 1, true), (3, 2, true), (3, 1, false), (9, 8, true), (9, 7, false), (10, 8, true), (10, 7, false)]
        {
            assert_eq!(lost(20, before, &parsed(0..kept, &[])).is_none(), is_allowed, "{kept} of {before}");
        }
        assert!(lost(0, 10, &parsed(0..9, &[])).is_none() && lost(0, 10, &parsed(0..8, &[])).is_some());
        assert_eq!(lost(20, 3, &parsed(3..9, &[])).map(|error| error.contains("lacks 3 of 3")), Some(true));
    }

    #[test]
    fn customers_that_the_file_lists_as_removed_are_not_lost() {
        assert_eq!(lost(20, 5, &parsed(0..1, &["c1", "c2", "c3"])), None);
        let error = lost(20, 15, &parsed([14], &["c1"])).unwrap();
        assert_eq!(
            error,
            "customers file customers.yaml lacks 13 of 15 customers, and `route.max_removed_percent` (20) allows 3 at once: \
             c0, c10, c11, c12, c13, c2, c3, c4, c5, c6 and 3 more; list the ids of customers that were removed on purpose \
             under `removed` in the file, or keep the customers with `enabled: false`"
        );
    }
}
