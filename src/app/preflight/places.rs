//! The permissions to read descriptor sets and customers from buckets.

use super::{Permission, Preflight, ProofResult};
use crate::config::InBucket;
use crate::config::region::partition;
use crate::schema::registry;

impl Preflight<'_> {
    /// Records that the places in buckets can be read. They were, because the check loads them first, and an error ends it.
    pub(super) fn places(&mut self) {
        let config = self.config;
        if let Some(place) = config.descriptors.path.in_bucket() {
            self.was_read(place, !registry::is_object(place), "descriptors.path");
        }
        if let Some(place) = config.route.customers_file.in_bucket() {
            self.was_read(place, false, "route.customers_file");
        }
    }

    fn was_read(&mut self, InBucket { bucket, key }: &InBucket, is_prefix: bool, named_by: &str) {
        let partition = self.region.as_deref().map_or("aws", partition);
        let bucket = format!("arn:{partition}:s3:::{bucket}");
        let object = match (is_prefix, key.as_str()) {
            (true, "") => format!("{bucket}/*"),
            (true, prefix) => format!("{bucket}/{prefix}/*"),
            (false, key) => format!("{bucket}/{key}"),
        };
        let get = Permission { action: "s3:GetObject", resource: object, key: named_by.to_owned() };
        if is_prefix {
            self.prove(&Permission { resource: bucket, ..get.for_action("s3:ListBucket") }, ProofResult::Proven, None);
        }
        self.prove(&get, ProofResult::Proven, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::preflight::Receives;
    use crate::aws::scripted::clients;
    use crate::config::Config;

    #[tokio::test]
    async fn the_permissions_of_places_in_buckets_are_those_that_loading_them_used() {
        let cases = [
            ("sets", "customers.yaml", vec![]),
            ("s3://b", "customers.yaml", vec!["s3:ListBucket b", "s3:GetObject b/*"]),
            ("s3://b/team", "customers.yaml", vec!["s3:ListBucket b", "s3:GetObject b/team/*"]),
            ("s3://b/a.binpb", "s3://c/customers", vec!["s3:GetObject b/a.binpb", "s3:GetObject c/customers"]),
        ];
        for (sets, customers, expected) in cases {
            let mut config = Config::default();
            config.descriptors.path = sets.into();
            config.route.customers_file = customers.into();
            let (clients, _) = clients(|_, _| (200, "{}".to_owned()));
            let found = Preflight::run(&clients, &config, &[], Receives::None).await.proofs;
            let found = found.iter().filter(|proof| proof.action.starts_with("s3:"));
            let shown = found.map(|proof| format!("{} {}", proof.action, proof.resource.replace("arn:aws:s3:::", "")));
            assert_eq!(shown.collect::<Vec<_>>(), expected, "{sets}");
        }
    }
}
