//! Lists of objects, and objects under a condition.

use super::*;
use crate::{Bucket, Condition, Fetched, Listed, Page, Revision};

async fn list(world: &World, prefix: &str, token: Option<&str>) -> Result<Page, Failure> {
    world.client().list_objects(&Bucket::new(&world.shared, "sets").unwrap(), prefix, token).await
}

async fn get(world: &World, condition: Condition<'_>) -> Result<Fetched, Failure> {
    let bucket = Bucket::new(&world.shared, "sets").unwrap();
    world.client().get_object_if(&bucket, "a/b", condition, 10, ATTEMPT).await
}

fn page(inner: &str) -> String {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    format!("{head}<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</ListBucketResult>")
}

const OBJECT: &str = "<Contents><Key>a%2Fb%C3%B6+c%2B.pb</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                      <ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><Size>7</Size>\
                      <StorageClass>STANDARD</StorageClass></Contents>";

#[tokio::test]
async fn a_page_has_objects_and_the_token_of_the_next_page() {
    let body = page(&format!(
        "<Name>sets</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>{OBJECT}\
         <NextContinuationToken>1/+=</NextContinuationToken>"
    ));
    let world = World::answering(200, &[], &body);
    let found = list(&world, "a b/", Some("0/+=")).await.unwrap();
    let object = Listed { key: "a/bö c+.pb".into(), size: 7, etag: "9b2cf535f27731c974343645a3985328".into() };
    assert_eq!(found, Page { objects: vec![object], next: Some("1/+=".into()) });
    let sent = world.sent().remove(0);
    let query = "encoding-type=url&list-type=2&prefix=a%20b%2F&continuation-token=0%2F%2B%3D";
    assert_eq!(sent.uri, format!("https://sets.s3.eu-west-1.amazonaws.com/?{query}"));
    assert!(sent.header("authorization").unwrap().contains("/eu-west-1/s3/aws4_request"));
}

#[tokio::test]
async fn the_last_page_has_no_token_and_keys_are_kept_if_they_are_not_encoded() {
    let body = page(&format!("<IsTruncated>false</IsTruncated>{OBJECT}"));
    let found = list(&World::answering(200, &[], &body), "", None).await.unwrap();
    assert_eq!((found.objects[0].key.as_str(), found.next), ("a%2Fb%C3%B6+c%2B.pb", None));
    let found = list(&World::answering(200, &[], &page("")), "", None).await.unwrap();
    assert_eq!(found, Page { objects: Vec::new(), next: None });
}

#[tokio::test]
async fn a_list_that_is_not_complete_is_an_error() {
    for body in [
        "",
        "<html><body>welcome</body></html>",
        &page("<IsTruncated>true</IsTruncated>"),
        &page("<Contents><Key>a</Key><Size>7</Size></Contents>"),
        &page("<Contents><Key>a</Key><ETag>e</ETag><Size>x</Size></Contents>"),
        &page(OBJECT)[..200],
        &page("<EncodingType>url</EncodingType><Contents><Key>%ff</Key><ETag>e</ETag><Size>1</Size></Contents>"),
    ] {
        let failure = list(&World::answering(200, &[], body), "", None).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Transient, "{body}: {failure}");
    }
    let denied = "<Error><Code>AccessDenied</Code><Message>m</Message></Error>";
    let failure = list(&World::answering(403, &[], denied), "", None).await.unwrap_err();
    assert_eq!((failure.kind, failure.label()), (FailureKind::Denied, "AccessDenied"));
}

#[tokio::test]
async fn an_object_is_returned_if_it_fulfills_the_condition() {
    let headers = &[("etag", "\"e1\""), ("x-amz-version-id", "v1")];
    let world = World::answering(200, headers, "bytes");
    for (condition, header) in [
        (Condition::Always, None),
        (Condition::Has("e1"), Some(("if-match", "\"e1\""))),
        (Condition::HasNot("e0"), Some(("if-none-match", "\"e0\""))),
    ] {
        let revision = Revision { bytes: "bytes".into(), etag: Some("e1".into()), version: Some("v1".into()) };
        assert_eq!(get(&world, condition).await.unwrap(), Fetched::Revision(revision));
        let sent = world.sent().remove(0);
        for name in ["if-match", "if-none-match"] {
            let expected = header.filter(|(known, _)| *known == name).map(|(_, value)| value);
            assert_eq!(sent.header(name), expected);
            let is_signed = sent.header("authorization").unwrap().contains(&format!(";{name};"))
                || sent.header("authorization").unwrap().contains(&format!("{name};"));
            assert_eq!(is_signed, expected.is_some(), "the signature covers the condition");
        }
    }
    for status in [304, 412] {
        assert_eq!(get(&World::answering(status, &[], ""), Condition::Has("e")).await.unwrap(), Fetched::Unmet);
    }
    let large = World::answering(200, &[("content-length", "11")], "");
    assert_eq!(get(&large, Condition::Always).await.unwrap(), Fetched::TooLarge { size: Some(11) });
    let suspended = World::answering(200, &[("etag", "e"), ("x-amz-version-id", "null")], "");
    let Fetched::Revision(revision) = get(&suspended, Condition::Always).await.unwrap() else { panic!() };
    assert_eq!((revision.etag.as_deref(), revision.version), (Some("e"), None));
    let missing = "<Error><Code>NoSuchKey</Code><Message>m</Message></Error>";
    let failure = get(&World::answering(404, &[], missing), Condition::Always).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
}
