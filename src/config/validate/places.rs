//! The rules of the places of descriptor sets and of the customers file.

use super::Rules;
use super::store::check_bucket;
use crate::config::{Config, Location};

impl Rules {
    pub(super) fn places(&mut self, config: &Config) {
        let (sets, customers) = (&config.descriptors.path, &config.route.customers_file);
        for (key, place) in [("route.customers_file", customers), ("descriptors.path", sets)] {
            self.place(key, place);
        }
        if customers.in_bucket().is_some_and(|object| object.key.is_empty()) {
            self.refuse(
                "route.customers_file",
                format!("{customers} names no object; add its key, as in `s3://acme/customers.yaml`"),
            );
        }
        if config.is_in_bucket() && config.descriptors.reload && config.descriptors.poll_seconds == 0 {
            self.refuse(
                "descriptors.poll_seconds",
                "is 0, and a bucket reports no changes; set it to 1 or more, or set `descriptors.reload` to false to \
                 read the bucket at SIGHUP only",
            );
        }
    }

    fn place(&mut self, key: &str, place: &Location) {
        if place.is_empty() {
            self.refuse(key, "must not be empty");
        }
        if let Some(in_bucket) = place.in_bucket()
            && let Err(problem) = check_bucket(&in_bucket.bucket, &in_bucket.key, "write `s3://bucket/key`")
        {
            self.refuse(key, problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(sets: &str, customers: &str, poll_seconds: u64, reload: bool) -> Vec<String> {
        let mut config = Config::default();
        config.descriptors.path = sets.into();
        config.descriptors.poll_seconds = poll_seconds;
        config.descriptors.reload = reload;
        config.route.customers_file = customers.into();
        let mut rules = Rules::default();
        rules.places(&config);
        rules.problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_place_in_a_bucket_has_a_valid_bucket_and_key() {
        for (sets, customers) in [
            ("descriptors", "customers.yaml"),
            ("s3://acme", "s3://acme/customers.yaml"),
            ("s3://acme/a/b/", "file:///etc/customers.yaml"),
            ("s3://acme/orders.binpb", "customers.yaml"),
        ] {
            assert_eq!(problems(sets, customers, 30, true), [""; 0], "{sets} {customers}");
        }
        for (sets, customers, expected) in [
            ("", "c", "descriptors.path: must not be empty"),
            ("d", "", "route.customers_file: must not be empty"),
            ("s3://", "c", "descriptors.path: \"\" is not a bucket name"),
            ("s3://ACME/x", "c", "descriptors.path: \"ACME\" is not a bucket name"),
            ("s3://acme//x", "c", "descriptors.path: \"/x\" has an empty part"),
            ("s3://acme/../x", "c", "descriptors.path: \"../x\" has an empty part"),
            ("d", "s3://acme/", "route.customers_file: s3://acme names no object"),
            ("d", "s3://Acme/x.yaml", "route.customers_file: \"Acme\" is not a bucket name"),
        ] {
            let found = problems(sets, customers, 30, true);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{sets} {customers}: {found:?}");
        }
    }

    #[test]
    fn a_bucket_that_is_followed_is_polled() {
        for (sets, customers) in [("s3://acme", "c"), ("d", "s3://acme/c.yaml")] {
            let found = problems(sets, customers, 0, true);
            assert!(found.len() == 1 && found[0].starts_with("descriptors.poll_seconds: is 0"), "{found:?}");
            assert_eq!(problems(sets, customers, 1, true), [""; 0]);
            assert_eq!(problems(sets, customers, 0, false), [""; 0]);
        }
        assert_eq!(problems("d", "c", 0, true), [""; 0]);
    }
}
