//! Compares the requests of the lean client with those of the SDK's clients.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue as SqsAttribute,
    MessageSystemAttributeName as System, SendMessageBatchRequestEntry,
};
use aws_smithy_types::Blob;
use aws_smithy_types::endpoint::EndpointAuthScheme;
use aws_types::origin::Origin;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::*;
use crate::{EndpointUrls, SendEntry};

/// A world whose answers are empty and thus invalid: these tests look at requests only.
fn world() -> World {
    World::answering(200, &[], "")
}

async fn publish(world: &World, topic: &str, entries: &[Entry<'_>]) -> (Sent, Sent) {
    let _ours = world.client().publish(topic, entries.iter().cloned()).await;
    let ours = world.sent().remove(0);
    let mut request = world.sns().publish_batch().topic_arn(topic);
    for (index, entry) in entries.iter().enumerate() {
        let mut sdk = PublishBatchRequestEntry::builder()
            .id(index.to_string())
            .message(entry.body)
            .set_message_group_id(entry.group.map(str::to_owned))
            .set_message_deduplication_id(entry.deduplication_id.map(str::to_owned));
        for PublishAttribute { name, data_type, value } in entry.attributes.clone() {
            let value = MessageAttributeValue::builder().data_type(data_type).string_value(value).build().unwrap();
            sdk = sdk.message_attributes(name, value);
        }
        request = request.publish_batch_request_entries(sdk.build().unwrap());
    }
    let _sdk = request.send().await;
    (ours, world.sent().remove(0))
}

fn assert_same_head(ours: &Sent, sdk: &Sent) {
    assert_eq!(ours.uri, sdk.uri);
    for name in ["content-type", "content-length", "x-amz-target", "x-amzn-query-mode", "x-amz-security-token"] {
        assert_eq!(ours.header(name), sdk.header(name), "{name}");
    }
    assert_eq!(ours.header("user-agent"), Some(USER_AGENT));
}

#[tokio::test]
async fn a_publish_form_equals_that_of_the_sdk_byte_for_byte() {
    let hostile = "+ & = % ~ * - _ . / ? # [ ] ( ) ' \" \\ { } : , ; @ ! $ \t\n\r ö € 𝄞 \u{7f} %20 &amp; a";
    let long = "{\"id\":\"".repeat(1_000);
    let id = [("event-id", hostile)];
    let entries = [
        entry(hostile, &[], None),
        entry("{}", &id, Some((hostile, "id&=1"))),
        entry(&long, &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")], None),
        entry("", &[], Some(("g", "d"))),
        entry("[]", &[("ExtendedPayloadSize", "262145")], None),
    ];
    let (ours, sdk) = publish(&world(), "arn:aws:sns:eu-west-1:1:acme.fifo", &entries).await;
    assert_eq!(ours.body, sdk.body);
    assert!(ours.body.starts_with("Action=PublishBatch&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3A"));
    assert!(ours.body.contains("Value.DataType=Number&"));
    assert_same_head(&ours, &sdk);
}

#[tokio::test]
async fn the_attributes_of_an_entry_equal_those_of_the_sdk_except_in_order() {
    let attributes = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|name| (name, "x y&z"));
    let bodies: Vec<_> = (0..10).map(|index| format!("{{{index}}}")).collect();
    let entries: Vec<_> = bodies.iter().map(|body| entry(body, &attributes, None)).collect();
    let (ours, sdk) = publish(&world(), TOPIC, &entries).await;
    assert_eq!(ours.body.len(), sdk.body.len());
    // The SDK numbers attributes in random order, so they are compared as sets of entry, name, type and value.
    let attributes = |sent: &Sent| -> BTreeSet<Vec<String>> {
        let field = |entry: usize, attribute: usize, name: &str| {
            let name =
                format!("&PublishBatchRequestEntries.member.{entry}.MessageAttributes.entry.{attribute}.{name}=");
            let after = sent.body.split_once(&name).unwrap_or_else(|| panic!("no {name}")).1;
            after.split('&').next().unwrap().to_owned()
        };
        let all = (1..=10).flat_map(|entry| (1..=10).map(move |attribute| (entry, attribute)));
        all.map(|(entry, attribute)| {
            let names = ["Name", "Value.DataType", "Value.StringValue"];
            let mut known = vec![entry.to_string()];
            known.extend(names.map(|name| field(entry, attribute, name)));
            known
        })
        .collect()
    };
    assert_eq!(attributes(&ours).len(), 100);
    assert_eq!(attributes(&ours), attributes(&sdk));
    let pairs = |sent: &Sent| {
        sent.body.split('&').map(str::to_owned).filter(|pair| !pair.contains(".MessageAttributes.")).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&ours), pairs(&sdk));
    assert_same_head(&ours, &sdk);
}

#[tokio::test]
async fn a_receive_request_equals_that_of_the_sdk() {
    let world = world();
    let _ours = world.client().receive(QUEUE, 20, 120).await;
    let ours = world.sent().remove(0);
    let system = [
        System::SentTimestamp,
        System::ApproximateFirstReceiveTimestamp,
        System::ApproximateReceiveCount,
        System::MessageGroupId,
        System::MessageDeduplicationId,
        System::SequenceNumber,
        System::AwsTraceHeader,
    ];
    let request = world.sqs().receive_message().queue_url(QUEUE).max_number_of_messages(10).wait_time_seconds(20);
    let request = request.visibility_timeout(120).set_message_system_attribute_names(Some(system.into()));
    let _sdk = request.message_attribute_names("All").send().await;
    let sdk = world.sent().remove(0);
    let json = |sent: &Sent| serde_json::from_str::<serde_json::Value>(&sent.body).unwrap();
    assert_eq!(json(&ours), json(&sdk));
    assert_same_head(&ours, &sdk);
}

#[tokio::test]
async fn a_delete_request_equals_that_of_the_sdk() {
    let world = world();
    let handles = ["AQEB+/=", "\"quoted\"\\", "ö\n"];
    let _ours = world.client().delete(QUEUE, handles.into_iter()).await;
    let ours = world.sent().remove(0);
    let mut request = world.sqs().delete_message_batch().queue_url(QUEUE);
    for (index, handle) in handles.into_iter().enumerate() {
        let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(handle);
        request = request.entries(entry.build().unwrap());
    }
    let _sdk = request.send().await;
    let sdk = world.sent().remove(0);
    assert_eq!(ours.body, sdk.body);
    assert_same_head(&ours, &sdk);
}

#[tokio::test]
async fn a_change_of_visibility_equals_that_of_the_sdk() {
    let world = world();
    let changes = [("AQEB+/=", 0), ("\"quoted\"\\", 43_200), ("ö\n", 30)];
    let _ours = world.client().change_visibility(QUEUE, changes.into_iter()).await;
    let ours = world.sent().remove(0);
    let mut request = world.sqs().change_message_visibility_batch().queue_url(QUEUE);
    for (index, (handle, seconds)) in changes.into_iter().enumerate() {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(index.to_string())
            .receipt_handle(handle)
            .visibility_timeout(seconds.try_into().unwrap());
        request = request.entries(entry.build().unwrap());
    }
    let _sdk = request.send().await;
    let sdk = world.sent().remove(0);
    assert_eq!(ours.body, sdk.body);
    assert_same_head(&ours, &sdk);
}

#[tokio::test]
async fn a_sent_message_equals_that_of_the_sdk() {
    let world = world();
    let text = |text: &str| SqsAttribute::builder().data_type("String.x").string_value(text).build().unwrap();
    let bytes = SqsAttribute::builder().data_type("Binary").binary_value(Blob::new(*b"\0\xff?")).build().unwrap();
    let attributes = [("a".to_owned(), text("\"ö\"\n")), ("b".to_owned(), bytes), ("c".to_owned(), text(""))].into();
    let none = HashMap::new();
    let entries = [
        SendEntry { body: "{\"a\":\"\u{1f600}\\n\"}\t", attributes: &attributes, group: None, deduplication_id: None },
        SendEntry { body: "x", attributes: &none, group: Some("g&\""), deduplication_id: Some("d") },
    ];
    let _ours = world.client().send_messages(QUEUE, entries.into_iter()).await;
    let ours = world.sent().remove(0);
    let mut request = world.sqs().send_message_batch().queue_url(QUEUE);
    for (index, SendEntry { body, attributes, group, deduplication_id }) in entries.into_iter().enumerate() {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(body)
            .set_message_attributes(Some(attributes.clone()))
            .set_message_group_id(group.map(str::to_owned))
            .set_message_deduplication_id(deduplication_id.map(str::to_owned));
        request = request.entries(entry.build().unwrap());
    }
    let _sdk = request.send().await;
    let sdk = world.sent().remove(0);
    let json = |sent: &Sent| serde_json::from_str::<serde_json::Value>(&sent.body).unwrap();
    assert_eq!(json(&ours), json(&sdk));
    assert_same_head(&ours, &sdk);
}

#[test]
fn the_signature_equals_one_computed_independently() {
    let endpoint = Endpoint::sqs(&world().shared).unwrap();
    let body = r#"{"QueueUrl":"q"}"#;
    // Computed with Python's hmac and hashlib from a canonical request written by hand.
    for (token, signed, signature) in [
        (
            None,
            "content-type;host;x-amz-date;x-amz-target",
            "273e689b44069ef7300752ced641a32cc075445483aeb8f6432698dbe9927517",
        ),
        (
            Some("token/+="),
            "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            "0c21cc45d36a408f84b7865a7bd6c6bde805cec5fde09fa2228a0041c8336f5e",
        ),
    ] {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_method("POST").unwrap();
        let Ok(()) = request.set_uri(endpoint.uri.clone());
        request.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        request.headers_mut().insert("x-amz-target", "AmazonSQS.ReceiveMessage");
        let credentials = Keys::new("key", "secret", token.map(str::to_owned), None, "tests");
        let at = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        signing::add_signature(&mut request, body.as_bytes(), &endpoint, &credentials.into(), at).unwrap();
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=key/20260101/eu-west-1/sqs/aws4_request, SignedHeaders={signed}, \
             Signature={signature}"
        );
        assert_eq!(request.headers().get("authorization"), Some(&*expected));
        assert_eq!(request.headers().get("x-amz-date"), Some("20260101T000000Z"));
        assert_eq!(request.headers().get("x-amz-security-token"), token);
    }
}

#[tokio::test]
async fn a_signature_names_its_service_and_covers_the_fixed_headers() {
    let world = world();
    let _none = world.client().receive(QUEUE, 0, 30).await;
    let _none = world.client().publish(TOPIC, [entry("{}", &[], None)].into_iter()).await;
    for (sent, service, headers) in world
        .sent()
        .iter()
        .zip(["sqs", "sns"])
        .zip([
            "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
            "content-type;host;x-amz-date;x-amz-security-token",
        ])
        .map(|((sent, service), headers)| (sent, service, headers))
    {
        let authorization = sent.header("authorization").unwrap();
        assert!(authorization.contains(&format!("/eu-west-1/{service}/aws4_request")), "{authorization}");
        assert!(authorization.contains(&format!("SignedHeaders={headers},")), "{authorization}");
    }
}

#[derive(Debug)]
struct Variables(&'static [(&'static str, &'static str)]);

impl LoadServiceConfig for Variables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let name = format!("{}_{}", key.env(), key.service_id());
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }
}

#[tokio::test]
async fn calls_go_to_the_endpoints_of_the_sdk() {
    let builder = || world().shared.into_builder();
    let region = |name: &'static str| builder().region(Region::new(name));
    let mut both = builder().endpoint_url("http://all:1");
    both.insert_origin("endpoint_url", Origin::shared_environment_variable());
    let mut configured = builder().endpoint_url("http://all:1");
    configured.insert_origin("endpoint_url", Origin::shared_config());
    let variables = Variables(&[("AWS_ENDPOINT_URL_SQS", "http://sqs:2/path")]);
    let other = Variables(&[("AWS_ENDPOINT_URL_SQS", "http://sqs:2/path")]);
    for (shared, sqs, sns) in [
        (region("eu-west-1"), "https://sqs.eu-west-1.amazonaws.com/", "https://sns.eu-west-1.amazonaws.com/"),
        (region("cn-north-1"), "https://sqs.cn-north-1.amazonaws.com.cn/", "https://sns.cn-north-1.amazonaws.com.cn/"),
        (
            region("us-east-1").use_fips(true),
            "https://sqs-fips.us-east-1.amazonaws.com/",
            "https://sns-fips.us-east-1.amazonaws.com/",
        ),
        (region("eu-west-1").use_dual_stack(true), "https://sqs.eu-west-1.api.aws/", "https://sns.eu-west-1.api.aws/"),
        (builder().endpoint_url("http://localhost:4566"), "http://localhost:4566/", "http://localhost:4566/"),
        (builder().endpoint_url("http://localhost/a/b/"), "http://localhost/a/b/", "http://localhost/a/b/"),
        (both.service_config(variables), "http://sqs:2/path/", "http://all:1/"),
        (configured.service_config(other), "http://all:1/", "http://all:1/"),
    ] {
        assert_eq!(uris(shared.build()).await, [sqs, sqs, sns, sns]);
    }
}

/// Returns the endpoints of a call to SQS and of one to SNS, each by the lean client and by the SDK's client.
async fn uris(shared: SdkConfig) -> Vec<String> {
    let sent = world();
    let shared = shared.into_builder().http_client(sharing(sent.connector.clone())).build();
    let client = LeanClient::new(&shared, sent.connector.clone(), Auth::of(&shared), ATTEMPT);
    let _none = client.receive(QUEUE, 0, 30).await;
    let _none = aws_sdk_sqs::Client::new(&shared).receive_message().queue_url(QUEUE).send().await;
    let _none = client.publish(TOPIC, std::iter::empty::<Entry<'_>>()).await;
    let _none = aws_sdk_sns::Client::new(&shared).publish_batch().topic_arn(TOPIC).send().await;
    sent.sent().into_iter().map(|sent| sent.uri).collect()
}

#[tokio::test]
async fn the_endpoints_of_an_application_take_precedence_over_variables() {
    let mut shared = world().shared.into_builder().endpoint_url("http://variable:1");
    shared.insert_origin("endpoint_url", Origin::shared_environment_variable());
    let variables = Variables(&[("AWS_ENDPOINT_URL_SNS", "http://sns-variable:1")]);
    let shared = shared.service_config(variables).build();
    let url = |url: &str| Some(url.to_owned());
    for (urls, sqs, sns) in [
        (EndpointUrls::default(), "http://variable:1/", "http://sns-variable:1/"),
        (EndpointUrls { sqs: url("http://sqs:2"), ..Default::default() }, "http://sqs:2/", "http://sns-variable:1/"),
        (EndpointUrls { all: url("http://all:3"), ..Default::default() }, "http://all:3/", "http://all:3/"),
        (
            EndpointUrls { all: url("http://all:3"), sns: url("http://sns:4"), ..Default::default() },
            "http://all:3/",
            "http://sns:4/",
        ),
    ] {
        assert_eq!(uris(urls.apply(&shared)).await, [sqs, sqs, sns, sns]);
    }
}

#[test]
fn the_scope_of_a_signature_is_taken_from_the_endpoint() {
    let scheme = EndpointAuthScheme::with_capacity("sigv4", 2).put("signingRegion", "us-east-1".to_owned());
    let resolved = aws_smithy_types::endpoint::Endpoint::builder().url("https://sqs.example/");
    let resolved = resolved.auth_scheme(scheme.put("signingName", "queue".to_owned())).build();
    let endpoint = Endpoint::new(&resolved, &world().shared, "sqs").unwrap();
    assert_eq!((&*endpoint.region, &*endpoint.service), ("us-east-1", "queue"));
}
