//! The demo with a subscription that delivers raw messages, as docs/consumers.md recommends.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::command::bare;
use crate::emulator::Emulator;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_delivers_raw_messages_to_the_users_queue_and_all_counts_agree() {
    let mut command = tokio::process::Command::from(bare());
    command.args(["demo", "--quiet", "--rate", "100"]).kill_on_drop(true);
    let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demo can be started");
    let mut lines = BufReader::new(demo.stderr.take().expect("the stream is piped")).lines();
    let first = lines.next_line().await.expect("the demo prints text").expect("the demo prints its endpoints");
    let emulator = Emulator::at(first.split_whitespace().last().expect("the line ends with the endpoint"));
    let drained = tokio::spawn(async move {
        let mut text = Vec::new();
        lines.into_inner().read_to_end(&mut text).await.map(|_| String::from_utf8_lossy(&text).into_owned())
    });

    let mine = emulator.sqs.create_queue().queue_name("mine").send().await.expect("the queue is created");
    let mine = mine.queue_url.expect("a queue has a URL");
    let request = emulator.sns.subscribe().topic_arn("arn:aws:sns:eu-west-1:000000000000:json-events-acme");
    let request = request.protocol("sqs").endpoint("arn:aws:sqs:eu-west-1:000000000000:mine");
    request.attributes("RawMessageDelivery", "true").send().await.expect("the queue is subscribed");
    let mut received = 0;
    while received < 20 {
        let request = emulator.sqs.receive_message().queue_url(&mine).max_number_of_messages(10);
        let answer = request.wait_time_seconds(10).message_attribute_names("All").send().await;
        let messages = answer.expect("the queue can be received from").messages.unwrap_or_default();
        assert!(!messages.is_empty(), "no event arrives: {received} so far");
        for message in &messages {
            let attributes = message.message_attributes.as_ref().expect("the event has attributes");
            assert_eq!(attributes["content-type"].string_value(), Some("application/json"));
            let body: serde_json::Value = serde_json::from_str(message.body().unwrap_or_default()).expect("it is JSON");
            assert!(body.is_object() && body.get("TopicArn").is_none(), "the body is the event: {body}");
        }
        received += messages.len();
    }

    let pid = demo.id().expect("the demo runs").to_string();
    let sent = tokio::process::Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(sent.expect("kill can be run").success());
    let output = tokio::time::timeout(Duration::from_secs(60), demo.wait_with_output()).await;
    let output = output.expect("the demo ends").expect("the demo can be waited for");
    let remarks = drained.await.expect("no panic").expect("the stream can be read");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{remarks}");
    assert!(text.contains("All counts agree") && !text.contains("publish_refused"), "{text}");
}
