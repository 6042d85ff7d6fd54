//! Compares how the lean client and the SDK's clients read answers.

use super::*;

const ID: (&str, &str) = ("x-amzn-requestid", "r-1");

async fn publish(world: &World, entries: usize) -> Result<Vec<Result<Published, Failure>>, Failure> {
    let entries: Vec<_> = (0..entries).map(|_| entry("{}", &[], None)).collect();
    world.client().publish(TOPIC, entries.iter().cloned()).await
}

/// Returns kind, code, message and request id.
fn parts(failure: &Failure) -> (FailureKind, Option<&str>, &str, Option<&str>) {
    (failure.kind, failure.code.as_deref(), &failure.message, failure.request_id.as_deref())
}

/// Returns the failed entries by index.
fn failed(results: Vec<Result<Published, Failure>>) -> HashMap<usize, Failure> {
    let results = results.into_iter().enumerate();
    results.filter_map(|(index, result)| Some((index, result.err()?))).collect()
}

/// Returns index, kind and label of the failed entries, by index.
fn codes(failures: &HashMap<usize, Failure>) -> Vec<(usize, FailureKind, &str)> {
    let mut codes: Vec<_> = failures.iter().map(|(index, failure)| (*index, failure.kind, failure.label())).collect();
    codes.sort_unstable_by_key(|(index, ..)| *index);
    codes
}

#[tokio::test]
async fn a_refusal_of_sqs_is_classified_like_that_of_an_sdk_call() {
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(u16, Headers, &str, FailureKind); 11] = [
        (
            400,
            &[ID, ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")],
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#,
            FailureKind::NotFound,
        ),
        (400, &[ID], r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}"#, FailureKind::NotFound),
        (
            400,
            &[ID, ("x-amzn-query-error", "KMS.DisabledException;Sender")],
            r#"{"__type":"com.amazonaws.sqs#KmsDisabled","message":"disabled"}"#,
            FailureKind::Broken,
        ),
        (400, &[ID], r#"{"__type":"com.amazonaws.sqs#KmsInvalidState","message":"m"}"#, FailureKind::Broken),
        (400, &[ID], r#"{"__type":"AccessDeniedException:http://x/","Message":"may not"}"#, FailureKind::Denied),
        (403, &[ID], r#"{"__type":"InvalidClientTokenId","message":"who?"}"#, FailureKind::Denied),
        (400, &[ID], r#"{"code":"RequestThrottled","message":"slower"}"#, FailureKind::Throttled),
        (400, &[ID, ("x-amzn-errortype", "OverLimit:http://x/")], r#"{"message":"m"}"#, FailureKind::Throttled),
        (429, &[ID], r#"{"__type":"Unheard","message":"m"}"#, FailureKind::Throttled),
        (500, &[ID], r#"{"__type":"Unheard","message":"m"}"#, FailureKind::Transient),
        (
            400,
            &[("x-amz-request-id", "r-2")],
            r#"{"__type":"Unheard","message":"m","other":[1,{}]}"#,
            FailureKind::Refused,
        ),
    ];
    for (status, headers, body, kind) in cases {
        let world = World::answering(status, headers, body);
        let poll = world.client().receive(QUEUE, 0, 30).await.unwrap_err();
        let delete = world.client().delete(QUEUE, ["r"].into_iter()).await.unwrap_err();
        let sdk = Failure::of_call(&world.sqs().receive_message().queue_url(QUEUE).send().await.unwrap_err());
        assert_eq!(parts(&poll), parts(&sdk), "{body}");
        let hide = world.client().change_visibility(QUEUE, [("r", 1)].into_iter()).await.unwrap_err();
        assert_eq!(parts(&delete), parts(&sdk), "{body}");
        assert_eq!(parts(&hide), parts(&sdk), "{body}");
        assert_eq!(poll.kind, kind, "{body}");
    }
}

#[tokio::test]
async fn a_refusal_of_sns_is_classified_like_that_of_an_sdk_call() {
    let error = |code: &str, message: &str| {
        format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\n  <Error>\n    \
             <Type>Sender</Type>\n    <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  \
             <RequestId>r-1</RequestId>\n</ErrorResponse>\n"
        )
    };
    for (status, body, kind) in [
        (404, error("NotFound", "Topic does not exist"), FailureKind::NotFound),
        (403, error("AuthorizationError", "&lt;user&gt; may &quot;not&quot; &#38; won&apos;t"), FailureKind::Denied),
        (400, error("Throttling", "Rate exceeded"), FailureKind::Throttled),
        (429, error("Throttled", "Rate exceeded"), FailureKind::Throttled),
        (400, error("KMSThrottling", "Rate exceeded"), FailureKind::KeyThrottled),
        (400, error("KMSDisabled", "key is disabled"), FailureKind::Broken),
        (400, error("InvalidAction", "unknown"), FailureKind::Broken),
        (400, error("BatchRequestTooLong", "too long"), FailureKind::Refused),
        (500, error("InternalError", "ours"), FailureKind::Transient),
        (503, error("Unheard", "ours"), FailureKind::Transient),
    ] {
        let world = World::answering(status, &[ID], &body);
        let ours = publish(&world, 1).await.unwrap_err();
        let sdk = world.sns().publish_batch().topic_arn(TOPIC).send().await.unwrap_err();
        assert_eq!(parts(&ours), parts(&Failure::of_call(&sdk)), "{body}");
        assert_eq!(ours.kind, kind, "{body}");
        // Without the header, the request id is taken from the body.
        let world = World::answering(status, &[], &body);
        assert_eq!(publish(&world, 1).await.unwrap_err().request_id.as_deref(), Some("r-1"));
    }
}

#[tokio::test]
async fn an_answer_of_a_proxy_is_not_blamed_on_the_request() {
    let page = "<html><head><title>503 Service Unavailable</title></head><body><br>&nbsp;</body></html>";
    for (status, body, kind) in [
        (503, page, FailureKind::Transient),
        (502, "", FailureKind::Transient),
        (429, "", FailureKind::Throttled),
        (400, page, FailureKind::Transient),
        (401, page, FailureKind::Transient),
        (403, page, FailureKind::Transient),
        (404, page, FailureKind::Transient),
        (407, page, FailureKind::Transient),
        (413, page, FailureKind::Transient),
    ] {
        let world = World::answering(status, &[], body);
        let message = format!("answered with HTTP status {status}");
        let expected = (kind, None, &*message, None);
        assert_eq!(parts(&publish(&world, 1).await.unwrap_err()), expected);
        assert_eq!(parts(&world.client().receive(QUEUE, 0, 30).await.unwrap_err()), expected);
        assert_eq!(parts(&world.client().delete(QUEUE, ["r"].into_iter()).await.unwrap_err()), expected);
        let sqs = world.sqs().receive_message().queue_url(QUEUE).send().await.unwrap_err();
        let sns = world.sns().publish_batch().topic_arn(TOPIC).send().await.unwrap_err();
        for sdk in [Failure::of_call(&sqs), Failure::of_call(&sns)] {
            assert_eq!((sdk.kind, sdk.is_answer()), (kind, false), "{status}: {sdk}");
        }
    }
}

#[tokio::test]
async fn each_entry_of_a_publish_has_its_own_outcome() {
    let body = r#"<?xml version="1.0"?>
<sns:PublishBatchResponse xmlns:sns="http://sns.amazonaws.com/doc/2010-03-31/">
  <sns:PublishBatchResult>
    <sns:Failed>
      <sns:member><sns:Code>Throttled</sns:Code><sns:SenderFault>true</sns:SenderFault><sns:Id>1</sns:Id></sns:member>
      <sns:member>
        <sns:Message><![CDATA[<no> & ]]>&amp; never</sns:Message><sns:New><sns:Id>0</sns:Id></sns:New>
        <sns:Id>2</sns:Id><sns:Code>InvalidParameter</sns:Code><sns:SenderFault> true </sns:SenderFault>
      </sns:member>
      <sns:member><sns:Id>3</sns:Id><sns:Code>Unheard</sns:Code><sns:SenderFault>false</sns:SenderFault></sns:member>
      <sns:member><sns:Id>99</sns:Id><sns:Code>Unheard</sns:Code></sns:member>
    </sns:Failed>
    <sns:Successful>
      <sns:member>
        <sns:MessageId>m</sns:MessageId><sns:Id>0</sns:Id><sns:SequenceNumber>1</sns:SequenceNumber>
      </sns:member>
      <sns:member><sns:Id>seven</sns:Id></sns:member>
    </sns:Successful>
  </sns:PublishBatchResult>
  <sns:ResponseMetadata><sns:RequestId>r-1</sns:RequestId></sns:ResponseMetadata>
</sns:PublishBatchResponse>"#;
    let results = publish(&World::answering(200, &[], body), 5).await.unwrap();
    let Published { message_id, sequence_number } = results[0].as_ref().unwrap();
    assert_eq!((&**message_id, sequence_number.as_deref()), ("m", Some("1")));
    let failures = failed(results);
    let expected = [
        (1, FailureKind::Throttled, "Throttled"),
        (2, FailureKind::Refused, "InvalidParameter"),
        (3, FailureKind::Transient, "Unheard"),
        (4, FailureKind::Transient, "none"),
    ];
    assert_eq!(codes(&failures), expected);
    assert_eq!((&*failures[&2].message, &*failures[&1].message), ("<no> & & never", "no message"));
    assert_eq!(failures[&4].message, "the answer does not mention the entry");
}

#[tokio::test]
async fn a_publish_returns_the_message_id_of_each_successful_entry() {
    for failed in ["<Failed/>", "<Failed></Failed>", "", "<Failed>\n</Failed>"] {
        let member = |id| format!("<member><MessageId>m-{id}</MessageId><Id>{id}</Id></member>");
        let good: String = (0..10).rev().map(member).collect();
        let result = format!("{failed}<Successful>{good}</Successful>");
        let body =
            format!("<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>");
        let results = publish(&World::answering(200, &[], &body), 10).await.unwrap();
        let ids: Vec<String> = results.into_iter().map(|result| result.unwrap().message_id).collect();
        assert_eq!(ids, (0..10).map(|id| format!("m-{id}")).collect::<Vec<_>>(), "{body}");
        // An incomplete answer fails the whole call, wherever it breaks off.
        for end in (0..body.len()).step_by(7) {
            let failure = publish(&World::answering(200, &[ID], &body[..end]), 10).await.unwrap_err();
            assert_eq!((failure.kind, failure.request_id.as_deref()), (FailureKind::Transient, Some("r-1")), "{end}");
        }
    }
    for other in
        ["<PublishBatchResponse/>", "<html></html>", "<PublishResponse><PublishBatchResult/></PublishResponse>"]
    {
        let failure = publish(&World::answering(200, &[], other), 1).await.unwrap_err();
        assert_eq!((failure.kind, failure.label()), (FailureKind::Transient, "none"), "{other}");
    }
    let nothing = "<PublishBatchResponse><PublishBatchResult/></PublishBatchResponse>";
    assert_eq!(failed(publish(&World::answering(200, &[], nothing), 2).await.unwrap()).len(), 2);
    let without_id = nothing.replace(
        "<PublishBatchResult/>",
        "<PublishBatchResult><Successful><member><Id>0</Id>\
        </member><member><Id>1</Id><MessageId>m-1</MessageId></member></Successful></PublishBatchResult>",
    );
    let results = publish(&World::answering(200, &[], &without_id), 2).await.unwrap();
    let ids: Vec<String> = results.into_iter().map(|result| result.unwrap().message_id).collect();
    assert_eq!(ids, ["", "m-1"]);
}

#[tokio::test]
async fn only_an_entry_of_a_fifo_topic_has_a_sequence_number() {
    let first = "10000000000000003000";
    for (element, expected) in [
        (format!("<SequenceNumber>{first}</SequenceNumber>"), Some(first)),
        ("<SequenceNumber/>".to_owned(), None),
        (String::new(), None),
    ] {
        // The second entry has none in any case: it does not inherit that of the first.
        let body = format!(
            "<PublishBatchResponse><PublishBatchResult><Successful>\
             <member><Id>0</Id><MessageId>m-0</MessageId>{element}</member>\
             <member><Id>1</Id><MessageId>m-1</MessageId></member>\
             </Successful></PublishBatchResult></PublishBatchResponse>"
        );
        let world = World::answering(200, &[], &body);
        let ours: Vec<Published> = publish(&world, 2).await.unwrap().into_iter().map(Result::unwrap).collect();
        let numbers = ours.iter().map(|published| published.sequence_number.as_deref());
        assert_eq!(numbers.collect::<Vec<_>>(), [expected, None], "{body}");
        let sdk = world.sns().publish_batch().topic_arn(TOPIC).send().await.unwrap();
        let sdk = sdk.successful().iter().map(|entry| Published {
            message_id: entry.message_id().unwrap().to_owned(),
            // To the SDK, an empty number is a number.
            sequence_number: entry.sequence_number().filter(|number| !number.is_empty()).map(str::to_owned),
        });
        assert_eq!(ours, sdk.collect::<Vec<_>>(), "{body}");
    }
}

#[tokio::test]
async fn a_failed_entry_has_the_request_id_of_its_call() {
    let of_body = "<ResponseMetadata><RequestId>r-2</RequestId></ResponseMetadata>";
    let empty = "<ResponseMetadata><RequestId/></ResponseMetadata>";
    for (headers, metadata, expected) in [
        (&[ID][..], of_body, Some("r-1")),
        (&[ID], "", Some("r-1")),
        (&[], of_body, Some("r-2")),
        (&[], empty, None),
        (&[], "", None),
    ] {
        let result = "<Failed><member><Id>0</Id><Code>Throttled</Code><RequestId>no</RequestId></member></Failed>";
        // In either order of the elements. The answer does not mention the second entry.
        for inner in [
            format!("<PublishBatchResult>{result}</PublishBatchResult>{metadata}"),
            format!("{metadata}<PublishBatchResult>{result}</PublishBatchResult>"),
        ] {
            let body = format!("<PublishBatchResponse>{inner}</PublishBatchResponse>");
            let failures = failed(publish(&World::answering(200, headers, &body), 2).await.unwrap());
            let ids = [0, 1].map(|index| failures[&index].request_id.as_deref());
            assert_eq!(ids, [expected; 2], "{headers:?} {body}");
        }
    }
}

#[tokio::test]
async fn each_entry_of_a_batch_for_sqs_has_its_own_outcome() {
    let body = r#"{"Failed":[
        {"Id":"1","Code":"ReceiptHandleIsInvalid","SenderFault":true,"Message":"old \u0022one\u0022","New":{}},
        {"Id":"2","Code":"InternalError","SenderFault":false,"Message":null},
        {"Id":"77","Code":"InternalError","SenderFault":false}
    ],"Successful":[{"Id":"\u0030"}],"New":[1]}"#;
    let delete = async |body: &str| World::answering(200, &[], body).client().delete(QUEUE, ["r"; 4].into_iter()).await;
    let hidden = World::answering(200, &[], body).client().change_visibility(QUEUE, [("r", 1); 4].into_iter()).await;
    let failures = delete(body).await.unwrap();
    assert_eq!(codes(&hidden.unwrap()), codes(&failures));
    let expected = [
        (1, FailureKind::Refused, "ReceiptHandleIsInvalid"),
        (2, FailureKind::Transient, "InternalError"),
        (3, FailureKind::Transient, "none"),
    ];
    assert_eq!(codes(&failures), expected);
    assert_eq!(failures[&1].message, "old \"one\"");
    for end in 0..body.len() {
        assert_eq!(delete(&body[..end]).await.unwrap_err().kind, FailureKind::Transient, "{end}");
    }
    assert_eq!(delete("{}").await.unwrap().len(), 4);
    let all = r#"{"Successful":[{"Id":"0"},{"Id":"1"},{"Id":"2"},{"Id":"3"}],"Failed":null}"#;
    assert!(delete(all).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_received_message_equals_that_of_the_sdk() {
    let body = r#"{"Messages":[
        {"MessageId":"m-1","ReceiptHandle":"r\n1","MD5OfBody":"x","Body":"{\"a\":\"ö 𝄞 \ud834\udd1e\"}",
         "Attributes":{"SentTimestamp":"1767225600000","ApproximateFirstReceiveTimestamp":"1767225600001",
            "ApproximateReceiveCount":"3","MessageGroupId":"g","AWSTraceHeader":"Root=1","SenderId":"s"},
         "MessageAttributes":{"text":{"DataType":"String","StringValue":"a\tb"},
            "bytes":{"DataType":"Binary.proto","BinaryValue":"CAE="},
            "number":{"DataType":"Number","StringValue":"7","New":[]}},
         "MD5OfMessageAttributes":"y"},
        {"MessageId":"m-2","ReceiptHandle":"r-2","Body":"","Attributes":null,"MessageAttributes":null},
        {}
    ],"New":null}"#;
    let world = World::answering(200, &[], body);
    let ours = world.client().receive(QUEUE, 0, 30).await.unwrap();
    let sdk = world.sqs().receive_message().queue_url(QUEUE).send().await.unwrap().messages.unwrap();
    assert_eq!((ours.len(), sdk.len()), (3, 3));
    for (ours, sdk) in ours.iter().zip(&sdk) {
        assert_eq!(ours.message_id, sdk.message_id);
        assert_eq!(ours.receipt_handle, sdk.receipt_handle);
        assert_eq!(ours.body, sdk.body);
        assert_eq!(ours.message_attributes, sdk.message_attributes.clone().unwrap_or_default());
        let system = &ours.attributes;
        for (name, value) in [
            ("SentTimestamp", &system.sent_timestamp),
            ("ApproximateFirstReceiveTimestamp", &system.approximate_first_receive_timestamp),
            ("ApproximateReceiveCount", &system.approximate_receive_count),
            ("MessageGroupId", &system.message_group_id),
            ("AWSTraceHeader", &system.aws_trace_header),
        ] {
            assert_eq!(value.as_ref(), sdk.attributes.as_ref().and_then(|all| all.get(&name.into())), "{name}");
        }
    }
    assert_eq!(ours[0].message_attributes["bytes"].binary_value().unwrap().as_ref(), [8, 1]);

    let poll = async |body: &str| World::answering(200, &[], body).client().receive(QUEUE, 0, 30).await;
    for end in 0..body.len() {
        if body.is_char_boundary(end) {
            assert_eq!(poll(&body[..end]).await.unwrap_err().kind, FailureKind::Transient, "{end}");
        }
    }
    for none in ["{}", r#"{"Messages":null}"#, r#"{"Messages":[]}"#] {
        assert_eq!(poll(none).await.unwrap().len(), 0, "{none}");
    }
    let odd = r#"{"Messages":[{"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"*"}}}]}"#;
    assert_eq!(poll(odd).await.unwrap_err().kind, FailureKind::Transient);
}
