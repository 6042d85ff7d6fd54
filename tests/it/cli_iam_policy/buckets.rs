//! Policies for descriptor sets and customers in buckets, and for claim checks.

use insta::assert_snapshot;

use super::{CUSTOMERS, PLAIN, iam_policy, statements};

/// A configuration whose descriptor sets and customers are in these places.
fn with_places(sets: &str, customers: &str) -> String {
    format!("{PLAIN}descriptors: {{path: '{sets}'}}\nroute: {{customers_file: '{customers}'}}\n")
}

#[test]
fn a_reader_of_the_store_also_reads_sets_and_customers_for_a_comparison() {
    let config = format!(
        "{}store: {{url: 's3://acme-protobridge/prod'}}\n",
        with_places("s3://acme-schemas/released/", "s3://acme-config/customers.yaml")
    );
    let arguments = ["--for", "reader", "--bucket-key", "arn:aws:kms:eu-west-1:123456789012:key/schemas"];
    assert_snapshot!(statements(&iam_policy(&config, CUSTOMERS, &arguments)), @r#"
    ReadStore: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-protobridge/prod/*"]
    ListStore: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-protobridge"]
      if {"StringLike":{"s3:prefix":["prod/*"]}}
    ListSets: ["s3:ListBucket"]
      on ["arn:aws:s3:::acme-schemas"]
      if {"StringLike":{"s3:prefix":["released/*"]}}
    ReadSets: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-schemas/released/*"]
    ReadCustomers: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-config/customers.yaml"]
    DecryptBuckets: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/schemas"]
    "#);
}

#[test]
fn a_schema_owner_writes_below_its_own_prefix_and_can_return_to_older_versions() {
    let owner = ["--for", "schema-owner"];
    let config = with_places("s3://acme-schemas/released", "customers.yaml");
    let key = ["--bucket-key", "arn:aws:kms:eu-west-1:123456789012:key/schemas"];
    let of_team: Vec<&str> = owner.iter().chain(&["--prefix", "/orders/"]).chain(&key).copied().collect();
    assert_snapshot!(statements(&iam_policy(&config, CUSTOMERS, &of_team)), @r#"
    WriteSets: ["s3:PutObject","s3:DeleteObject","s3:GetObject","s3:GetObjectVersion"]
      on ["arn:aws:s3:::acme-schemas/released/orders/*"]
    ListSets: ["s3:ListBucket","s3:ListBucketVersions"]
      on ["arn:aws:s3:::acme-schemas"]
      if {"StringLike":{"s3:prefix":["released/orders/*"]}}
    UseBucketKey: ["kms:GenerateDataKey","kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/schemas"]
    "#);
    assert_snapshot!(statements(&iam_policy(&with_places("s3://acme-schemas", "customers.yaml"), CUSTOMERS, &owner)), @r#"
    WriteSets: ["s3:PutObject","s3:DeleteObject","s3:GetObject","s3:GetObjectVersion"]
      on ["arn:aws:s3:::acme-schemas/*"]
    ListSets: ["s3:ListBucket","s3:ListBucketVersions"]
      on ["arn:aws:s3:::acme-schemas"]
    "#);
    let one_set = with_places("s3://acme-schemas/shop.binpb.gz", "customers.yaml");
    assert_snapshot!(statements(&iam_policy(&one_set, CUSTOMERS, &owner)), @r#"
    WriteSets: ["s3:PutObject","s3:DeleteObject","s3:GetObject","s3:GetObjectVersion"]
      on ["arn:aws:s3:::acme-schemas/shop.binpb.gz"]
    ListSets: ["s3:ListBucketVersions"]
      on ["arn:aws:s3:::acme-schemas"]
      if {"StringEquals":{"s3:prefix":["shop.binpb.gz"]}}
    "#);
    let ends = [
        iam_policy(PLAIN, CUSTOMERS, &owner),
        iam_policy(&one_set, CUSTOMERS, &["--for", "schema-owner", "--prefix", "orders"]),
        iam_policy(&config, CUSTOMERS, &["--prefix", "orders"]),
    ];
    assert_snapshot!(ends.join("\n\n"), @"
    error: --for schema-owner requires a bucket in `descriptors.path`, such as s3://acme-schemas/released; see --help
    exit code 2

    error: --prefix requires a prefix in `descriptors.path`, and it is one set; see --help
    exit code 2

    error: --prefix is an option of --for schema-owner; see --help
    exit code 2
    ");
}

const CLAIM_KEY: &str = "arn:aws:kms:eu-west-1:123456789012:key/claims";

fn with_claims(kms_key_id: &str) -> String {
    format!("{PLAIN}claim_check: {{bucket: acme-claims, key_prefix: large/json, kms_key_id: '{kms_key_id}'}}\n")
}

#[test]
fn who_publishes_stores_claims_and_cannot_read_them() {
    assert_snapshot!(statements(&iam_policy(&with_claims(CLAIM_KEY), CUSTOMERS, &[])), @r#"
    Receive: ["sqs:ReceiveMessage","sqs:DeleteMessage","sqs:ChangeMessageVisibility","sqs:GetQueueAttributes"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    Publish: ["sns:Publish","sns:GetTopicAttributes"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    StoreClaims: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-claims/large/json/*"]
    EncryptClaims: ["kms:GenerateDataKey"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/claims"]
    "#);
    let redrive = ["--for", "redrive", "--claim-key", CLAIM_KEY];
    assert_snapshot!(statements(&iam_policy(&with_claims("alias/claims"), CUSTOMERS, &redrive)), @r#"
    SendBack: ["sqs:SendMessage"]
      on ["arn:aws:sqs:eu-west-1:123456789012:events"]
    Publish: ["sns:Publish"]
      on ["arn:aws:sns:eu-west-1:123456789012:json-acme"]
    StoreClaims: ["s3:PutObject"]
      on ["arn:aws:s3:::acme-claims/large/json/*"]
    EncryptClaims: ["kms:GenerateDataKey"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/claims"]
    "#);
}

#[test]
fn a_customer_reads_its_own_claims_and_no_others() {
    let of = |customer: &'static str| ["--for", "claim-reader", "--customer", customer];
    let policies = ["acme", "a/b *", ".."]
        .map(|customer| statements(&iam_policy(&with_claims(CLAIM_KEY), CUSTOMERS, &of(customer))));
    assert_snapshot!(policies.join("\n"), @r#"
    ReadClaims: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-claims/large/json/acme/*"]
    DecryptClaims: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/claims"]

    ReadClaims: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-claims/large/json/a%2Fb%20%2A/*"]
    DecryptClaims: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/claims"]

    ReadClaims: ["s3:GetObject"]
      on ["arn:aws:s3:::acme-claims/large/json/%2E%2E/*"]
    DecryptClaims: ["kms:Decrypt"]
      on ["arn:aws:kms:eu-west-1:123456789012:key/claims"]
    "#);
    let ends = [
        iam_policy(PLAIN, CUSTOMERS, &of("acme")),
        iam_policy(&with_claims("alias/claims"), CUSTOMERS, &of("acme")),
        iam_policy(&with_claims(CLAIM_KEY), CUSTOMERS, &["--for", "claim-reader"]),
        iam_policy(&with_claims(CLAIM_KEY), CUSTOMERS, &["--customer", "acme"]),
    ];
    assert_snapshot!(ends.join("\n\n"), @"
    error: --for claim-reader requires `claim_check.bucket`, such as acme-claims; see --help
    exit code 2

    error: a policy needs the ARN of the key in `claim_check.kms_key_id`; add --claim-key ARN; see --help
    exit code 2

    error: --for claim-reader requires --customer ID; see --help
    exit code 2

    error: --customer is an option of --for claim-reader; see --help
    exit code 2
    ");
}
