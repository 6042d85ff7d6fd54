//! Objects of S3: their addresses, their signatures, and the answers.

use super::*;
use crate::{Bucket, BucketKeyError, EndpointUrls, NewObject, NoEndpoint, Object};

/// The SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// The SHA-256 of `Welcome to Amazon S3.`
const WELCOME: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";

fn shared(region: &'static str) -> aws_config::SdkConfig {
    World::answering(200, &[], "").shared.into_builder().region(Region::new(region)).build()
}

fn uri(shared: &SdkConfig, bucket: &str, key: &str) -> String {
    Bucket::new(shared, bucket).unwrap().object(key).unwrap().to_string()
}

async fn put(world: &World, key: &str, kms_key_id: Option<&str>) -> Result<(), Failure> {
    let mut sha256 = [0; 32];
    for (byte, pair) in sha256.iter_mut().zip(WELCOME.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
    let bytes = "Welcome to Amazon S3.".into();
    let object = NewObject { key, bytes, sha256, content_type: "application/json", kms_key_id };
    world.client().put_object(&Bucket::new(&world.shared, "large").unwrap(), object).await
}

async fn get(world: &World, key: &str, max_bytes: usize) -> Result<Object, Failure> {
    world.client().get_object(&Bucket::new(&world.shared, "large").unwrap(), key, max_bytes).await
}

#[test]
fn a_bucket_has_the_endpoint_of_its_partition() {
    for (region, host) in [
        ("eu-west-1", "s3.eu-west-1.amazonaws.com"),
        ("us-east-1", "s3.us-east-1.amazonaws.com"),
        ("cn-north-1", "s3.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "s3.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "s3.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "s3.us-isob-east-1.sc2s.sgov.gov"),
        ("eusc-de-east-1", "s3.eusc-de-east-1.amazonaws.eu"),
    ] {
        assert_eq!(uri(&shared(region), "large", "k"), format!("https://large.{host}/k"));
        // The certificate covers one label before the host.
        assert_eq!(uri(&shared(region), "my.large", "k"), format!("https://{host}/my.large/k"));
    }
}

#[test]
fn a_bucket_has_fips_and_dual_stack_endpoints_where_the_partition_has_them() {
    let with = |region, fips, dual_stack| {
        let builder = shared(region).into_builder().use_fips(fips).use_dual_stack(dual_stack);
        Bucket::new(&builder.build(), "large").map(|bucket| bucket.object("k").unwrap().to_string())
    };
    for (region, fips, dual_stack, host) in [
        ("us-east-1", true, false, "s3-fips.us-east-1.amazonaws.com"),
        ("eu-west-1", false, true, "s3.dualstack.eu-west-1.amazonaws.com"),
        ("us-gov-west-1", true, true, "s3-fips.dualstack.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", false, true, "s3.dualstack.cn-north-1.amazonaws.com.cn"),
    ] {
        assert_eq!(with(region, fips, dual_stack).unwrap(), format!("https://large.{host}/k"));
    }
    assert!(matches!(with("cn-north-1", true, false), Err(NoEndpoint::NoFips(region)) if region == "cn-north-1"));
}

#[test]
fn the_endpoint_of_s3_takes_precedence_over_the_endpoint_of_all_services() {
    let urls = |all: &str, s3: &str| {
        let some = |url: &str| Some(url.to_owned()).filter(|url| !url.is_empty());
        EndpointUrls { all: some(all), s3: some(s3), ..Default::default() }.apply(&shared("eu-west-1"))
    };
    assert_eq!(uri(&urls("http://all:1", ""), "large", "k"), "http://all:1/large/k");
    assert_eq!(uri(&urls("http://all:1", "http://s3:2/path/"), "large", "k"), "http://s3:2/path/large/k");
    assert_eq!(uri(&urls("", ""), "large", "k"), "https://large.s3.eu-west-1.amazonaws.com/k");
}

#[test]
fn every_character_of_a_key_is_kept() {
    let public = shared("eu-west-1");
    for (key, path) in [
        ("/leading", "//leading"),
        ("a//b/", "/a//b/"),
        ("./a/../b", "/./a/../b"),
        ("7 a+b?c#d%2F&=ö", "/7%20a%2Bb%3Fc%23d%252F%26%3D%C3%B6"),
        ("-._~", "/-._~"),
    ] {
        assert_eq!(uri(&public, "large", key), format!("https://large.s3.eu-west-1.amazonaws.com{path}"));
    }
}

#[test]
fn a_key_that_no_object_can_have_is_refused() {
    let public = Bucket::new(&shared("eu-west-1"), "large").unwrap();
    assert_eq!(public.check(""), Err(BucketKeyError::Empty));
    assert_eq!(public.check(&"k".repeat(1_025)), Err(BucketKeyError::TooLong(1_025)));
    assert_eq!(public.check(&"ö".repeat(512)), Ok(()));
    let custom = EndpointUrls { all: Some("http://all:1".to_owned()), ..Default::default() };
    let custom = Bucket::new(&custom.apply(&shared("eu-west-1")), "large").unwrap();
    for key in ["../private/k", "a/./b", ".."] {
        assert!(matches!(custom.check(key), Err(BucketKeyError::DotSegment(_))), "{key}");
        assert_eq!(public.check(key), Ok(()), "{key}");
    }
    assert_eq!(custom.check("/a//..b/c.."), Ok(()));
}

#[test]
fn the_signature_of_a_request_for_an_object_covers_its_path_unchanged() {
    let bucket = Bucket::new(&shared("eu-west-1"), "large").unwrap();
    let mut request = HttpRequest::new(SdkBody::empty());
    let Ok(()) = request.set_uri(bucket.object("/a//../7 b").unwrap());
    let credentials = Keys::new("key", "secret", None, None, "tests");
    let at = std::time::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    signing::add_object_signature(&mut request, EMPTY, &bucket.endpoint, &credentials.into(), at).unwrap();
    // Computed with Python's hmac and hashlib from a canonical request written by hand.
    let signature = "6184bceed2023a8ba0da3151be3eeb75c799bc91f750e4845263a09c5f6a42ee";
    let expected = format!(
        "AWS4-HMAC-SHA256 Credential=key/20260101/eu-west-1/s3/aws4_request, \
         SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    );
    assert_eq!(request.headers().get("authorization"), Some(&*expected));
}

/// The request and its signature are the second example of
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
#[test]
fn the_signature_of_a_new_object_is_that_of_the_example_of_aws() {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("PUT").unwrap();
    request.set_uri("https://examplebucket.s3.amazonaws.com/test%24file.text").unwrap();
    for (name, value) in [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")] {
        request.headers_mut().insert(name, value);
    }
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    let credentials = Keys::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "tests");
    let at = std::time::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
    let endpoint = Bucket::new(&shared("us-east-1"), "examplebucket").unwrap().endpoint;
    signing::add_object_signature(&mut request, WELCOME, &endpoint, &credentials.into(), at).unwrap();
    let expected = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                    SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
                    Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
    assert_eq!(request.headers().get("authorization"), Some(expected));
}

#[tokio::test]
async fn a_new_object_is_sent_in_one_piece_with_its_hash_and_its_key_of_kms() {
    let world = World::answering(200, &[("etag", "\"1\"")], "");
    put(&world, "a//b c", Some("alias/claims")).await.unwrap();
    put(&world, "k", None).await.unwrap();
    let [with_kms, plain] = world.sent().try_into().unwrap();
    assert_eq!(with_kms.uri, "https://large.s3.eu-west-1.amazonaws.com/a//b%20c");
    assert_eq!(with_kms.body, "Welcome to Amazon S3.");
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", "21"),
        ("x-amz-checksum-sha256", "RM591nyVng01JP+sF3Hfu6h9K2tLTpnkIDSouAP4sHI="),
        ("x-amz-content-sha256", WELCOME),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "alias/claims"),
        ("user-agent", USER_AGENT),
    ] {
        assert_eq!(with_kms.header(name), Some(value), "{name}");
    }
    let signed = "SignedHeaders=content-type;host;x-amz-checksum-sha256;x-amz-content-sha256;x-amz-date;\
                  x-amz-security-token;x-amz-server-side-encryption;x-amz-server-side-encryption-aws-kms-key-id,";
    let authorization = with_kms.header("authorization").unwrap();
    assert!(authorization.contains(signed), "{authorization}");
    assert_eq!(plain.header("x-amz-server-side-encryption"), None);
}

#[tokio::test]
async fn a_new_object_is_confirmed_only_by_a_store() {
    let page = World::answering(200, &[], "<html>please log in</html>");
    let failure = put(&page, "k", None).await.unwrap_err();
    assert_eq!((failure.kind, failure.label()), (FailureKind::Transient, "none"));
    for (status, code, kind) in [
        (400, "BadDigest", FailureKind::Transient),
        (400, "KeyTooLongError", FailureKind::Refused),
        (400, "EntityTooLarge", FailureKind::Refused),
        (403, "AccessDenied", FailureKind::Denied),
        (404, "NoSuchBucket", FailureKind::NotFound),
        (503, "SlowDown", FailureKind::Throttled),
    ] {
        let error = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
        let failure = put(&World::answering(status, &[], &error), "k", None).await.unwrap_err();
        assert_eq!((failure.kind, failure.label()), (kind, code));
    }
    let failure = put(&page, "", None).await.unwrap_err();
    assert!(failure.is_about_entry(), "{failure}");
    assert_eq!(page.sent().len(), 1, "no call is made for a key that no object can have");
    let failure = put(&page, "k", Some("a\nb")).await.unwrap_err();
    assert!(failure.is_about_entry() && page.sent().is_empty(), "{failure}");
}

#[test]
fn the_time_limit_of_an_upload_grows_with_its_size() {
    let client = World::answering(200, &[], "").client();
    assert_eq!(client.put_limit(1_000), ATTEMPT);
    assert_eq!(client.put_limit(16 * 1024 * 1024), ATTEMPT + Duration::from_millis(4_096));
}

#[tokio::test]
async fn a_request_for_an_object_is_signed_and_has_the_key_as_its_path() {
    let world = World::answering(200, &[], "CAE=");
    assert_eq!(get(&world, "/a//../7 b", 4).await.unwrap(), Object::Bytes("CAE=".into()));
    let sent = world.sent().remove(0);
    assert_eq!(sent.uri, "https://large.s3.eu-west-1.amazonaws.com//a//../7%20b");
    assert_eq!(sent.header("user-agent"), Some(USER_AGENT));
    assert_eq!(sent.header("x-amz-content-sha256"), Some(EMPTY));
    let authorization = sent.header("authorization").unwrap();
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
    let headers = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,";
    assert!(authorization.contains(headers), "{authorization}");
}

#[tokio::test]
async fn a_failure_of_s3_is_classified_by_its_code() {
    let error = |code: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>m</Message><RequestId>r</RequestId></Error>"
        )
    };
    for (status, code, kind) in [
        (404, "NoSuchKey", FailureKind::NotFound),
        (404, "NoSuchBucket", FailureKind::NotFound),
        (403, "AccessDenied", FailureKind::Denied),
        (403, "InvalidObjectState", FailureKind::Broken),
        (301, "PermanentRedirect", FailureKind::Broken),
        (400, "KMS.DisabledException", FailureKind::Broken),
        (503, "SlowDown", FailureKind::Throttled),
    ] {
        let failure = get(&World::answering(status, &[], &error(code)), "k", 10).await.unwrap_err();
        assert_eq!((failure.kind, failure.label(), failure.request_id.as_deref()), (kind, code, Some("r")));
    }
    let page = "<html><body>404 NoSuchBucket</body></html>";
    let failure = get(&World::answering(404, &[], page), "k", 10).await.unwrap_err();
    assert_eq!((failure.kind, failure.label()), (FailureKind::Transient, "none"));
}

#[tokio::test]
async fn an_object_beyond_the_limit_is_not_read() {
    let sized = World::answering(200, &[("content-length", "11")], "");
    assert_eq!(get(&sized, "k", 10).await.unwrap(), Object::TooLarge { size: Some(11) });
    let unsized_body = World::answering(200, &[], "eleven byte");
    assert_eq!(get(&unsized_body, "k", 10).await.unwrap(), Object::TooLarge { size: None });
    assert!(matches!(get(&unsized_body, "k", 11).await.unwrap(), Object::Bytes(bytes) if bytes.len() == 11));
}
