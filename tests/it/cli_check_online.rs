//! `protobridge check --online`: the proofs of permissions, and what is missing.

use aws_sdk_sqs::types::QueueAttributeName;
use insta::assert_snapshot;

use crate::cli::{CONFIG, FILTERS, Folder};
use crate::command::protobridge;
use crate::denial::Denial;
use crate::emulator::{Emulator, scenarios};

scenarios! {
    both: [
        the_check_reports_whether_each_queue_and_topic_exists,
        the_check_fails_for_a_role_that_lacks_an_action_and_names_it,
        the_check_receives_only_on_request_and_leaves_the_message_visible,
    ];
    embedded: [the_check_fails_for_a_role_without_any_permission];
    ministack: [];
}

/// A folder whose configuration names queues and topics of an emulator at `endpoint_url`.
struct Online {
    folder: Folder,
    queue: String,
}

impl Online {
    /// Creates the queue `orders`, which has a redrive policy, a quarantine queue and a topic.
    async fn new(emulator: &Emulator, name: &str, endpoint_url: &str) -> Self {
        let create = async |name: &str| {
            let created = emulator.sqs.create_queue().queue_name(name).send().await.expect("the queue is created");
            created.queue_url.expect("a queue has a URL")
        };
        let (bad, dead) = (create(&format!("{name}-bad")).await, format!("{name}-dead"));
        create(&dead).await;
        let policy =
            format!(r#"{{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:{dead}","maxReceiveCount":20}}"#);
        let queue = emulator.sqs.create_queue().queue_name(name).attributes(QueueAttributeName::RedrivePolicy, policy);
        let queue = queue.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
        let topic = emulator.sns.create_topic().name(name).send().await.expect("the topic is created");
        let folder = Folder::new();
        let config = CONFIG.replace("endpoint_url: 'http://127.0.0.1:1'", &format!("endpoint_url: '{endpoint_url}'"));
        let config = config.replace("http://127.0.0.1:1/000000000000/events", &queue);
        folder.write("protobridge.yaml", config.replace("http://127.0.0.1:1/000000000000/bad", &bad));
        let topic = topic.topic_arn.expect("a topic has an ARN");
        folder.write("customers.yaml", format!("customers: [{{id: acme, topic: '{topic}'}}]"));
        Self { folder, queue }
    }

    /// Runs `check --online` with these further arguments on a thread of its own.
    async fn check(self, arguments: &[&str]) -> (Self, String) {
        let arguments = [&["check", "--online", "--config", "protobridge.yaml"], arguments].concat();
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = self.folder.output_of(&mut protobridge(), &arguments);
            (self, output)
        };
        tokio::task::spawn_blocking(run).await.expect("the task does not panic")
    }
}

async fn the_check_fails_for_a_role_without_any_permission(emulator: &Emulator) {
    let denial = Denial::in_front_of(&emulator.endpoint_url, &["*"]).await;
    let online = Online::new(emulator, "denied", &denial.endpoint_url).await;
    let (_, output) = online.check(&[]).await;
    assert_snapshot!(output, @"
    configuration  protobridge.yaml: 1 queue(s)
    descriptors    descriptors: 2 set(s), 28 message type(s)
    customers      customers.yaml: 1, 1 enabled
    not proven     sqs:ReceiveMessage on arn:aws:sqs:eu-west-1:000000000000:denied: only a receive can prove it; `--receive` makes one
    error          queues[0].url: sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:denied is denied: AccessDeniedException: no policy allows GetQueueAttributes; allow sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:denied; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    warning        queues[0].url: queue denied: its redrive policy is unknown: sqs:GetQueueAttributes is denied
    error          queues[0].url: sqs:DeleteMessage on arn:aws:sqs:eu-west-1:000000000000:denied is denied: AccessDeniedException: no policy allows DeleteMessageBatch; allow sqs:DeleteMessage on arn:aws:sqs:eu-west-1:000000000000:denied; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error          queues[0].url: sqs:ChangeMessageVisibility on arn:aws:sqs:eu-west-1:000000000000:denied is denied: AccessDeniedException: no policy allows ChangeMessageVisibilityBatch; allow sqs:ChangeMessageVisibility on arn:aws:sqs:eu-west-1:000000000000:denied; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error          queues[0].quarantine_url: sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:denied-bad is denied: AccessDeniedException: no policy allows GetQueueAttributes; allow sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:denied-bad; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error          queues[0].quarantine_url: sqs:SendMessage on arn:aws:sqs:eu-west-1:000000000000:denied-bad is denied: AccessDeniedException: no policy allows SendMessageBatch; allow sqs:SendMessage on arn:aws:sqs:eu-west-1:000000000000:denied-bad; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error          route.customers_file: sns:GetTopicAttributes on arn:aws:sns:eu-west-1:000000000000:denied is denied: AuthorizationError: no policy allows GetTopicAttributes; allow sns:GetTopicAttributes on arn:aws:sns:eu-west-1:000000000000:denied; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error          route.customers_file: sns:Publish on arn:aws:sns:eu-west-1:000000000000:denied is denied: AuthorizationError: no policy allows PublishBatch (request r-1); allow sns:Publish on arn:aws:sns:eu-west-1:000000000000:denied; `protobridge iam-policy` prints the policy, docs/iam.md explains it
    error: the check found 7 errors and 1 warning
    exit code 1
    ");
}

async fn the_check_fails_for_a_role_that_lacks_an_action_and_names_it(emulator: &Emulator) {
    let denial = Denial::in_front_of(&emulator.endpoint_url, &[]).await;
    let mut online = Online::new(emulator, "lacking", &denial.endpoint_url).await;
    let output;
    (online, output) = online.check(&["--receive"]).await;
    assert!(output.ends_with("\nok\nexit code 0"), "{output}");
    for (operation, action, resource) in [
        ("ReceiveMessage", "sqs:ReceiveMessage", "arn:aws:sqs:eu-west-1:000000000000:lacking"),
        ("DeleteMessageBatch", "sqs:DeleteMessage", "arn:aws:sqs:eu-west-1:000000000000:lacking"),
        ("SendMessageBatch", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:000000000000:lacking-bad"),
        ("PublishBatch", "sns:Publish", "arn:aws:sns:eu-west-1:000000000000:lacking"),
    ] {
        denial.deny(&[operation]);
        let output;
        (online, output) = online.check(&["--receive"]).await;
        let expected = format!("{action} on {resource} is denied: ");
        let way_out = format!("; allow {action} on {resource}; `protobridge iam-policy` prints the policy");
        let errors: Vec<&str> = output.lines().filter(|line| line.starts_with("error  ")).collect();
        assert_eq!(errors.len(), 1, "{output}");
        assert!(errors[0].contains(&expected) && errors[0].contains(&way_out), "{output}");
        assert!(output.ends_with("error: the check found 1 error\nexit code 1"), "{output}");
    }
}

async fn the_check_receives_only_on_request_and_leaves_the_message_visible(emulator: &Emulator) {
    let online = Online::new(emulator, "looked-at", &emulator.endpoint_url).await;
    let send = emulator.sqs.send_message().queue_url(&online.queue).message_body("m");
    send.send().await.expect("the message is sent");
    let (online, output) = online.check(&[]).await;
    let unproven = "sqs:ReceiveMessage on arn:aws:sqs:eu-west-1:000000000000:looked-at: only a receive can prove it";
    assert!(output.contains(unproven), "{output}");
    let (online, output) = online.check(&["--receive"]).await;
    let proven = output.lines().find(|line| line.starts_with("proven") && line.contains("sqs:ReceiveMessage"));
    assert!(proven.is_some(), "{output}");
    let receive = emulator.sqs.receive_message().queue_url(&online.queue);
    let received = receive.message_system_attribute_names(aws_sdk_sqs::types::MessageSystemAttributeName::All);
    let messages = received.wait_time_seconds(1).send().await.expect("the queue exists").messages.unwrap_or_default();
    assert_eq!(messages.len(), 1, "the message is visible");
    let count = &messages[0].attributes().expect("all attributes were requested")
        [&aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "2", "one receive of the check, and this one");
}

async fn the_check_reports_whether_each_queue_and_topic_exists(emulator: &Emulator) {
    let topic = emulator.sns.create_topic().name("acme").send().await.expect("the topic is created");
    let (topic, queue) =
        (topic.topic_arn.expect("a topic has an ARN"), emulator.sqs.create_queue().queue_name("there"));
    let queue = queue.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:dead","maxReceiveCount":10}"#;
    let low = emulator.sqs.create_queue().queue_name("low").attributes(QueueAttributeName::RedrivePolicy, policy);
    emulator.sqs.create_queue().queue_name("dead").send().await.expect("the queue is created");
    let low = low.send().await.expect("the queue is created").queue_url.expect("a queue has a URL");
    let config = CONFIG.replace("http://127.0.0.1:1", &emulator.endpoint_url);
    let folder = Folder::new();
    folder.write("protobridge.yaml", config.replace("'}]", &format!("'}}, {{url: '{queue}'}}, {{url: '{low}'}}]")));
    folder.write("customers.yaml", format!("customers: [{{id: a, topic: '{topic}'}}, {{id: b, topic: '{topic}-b'}}]"));
    let end = folder.output_of(&mut protobridge(), &["check", "--online", "--config", "protobridge.yaml"]);
    insta::with_settings!({filters => FILTERS}, {
        insta::allow_duplicates! {
            assert_snapshot!(end, @"
            configuration  protobridge.yaml: 3 queue(s)
            descriptors    descriptors: 2 set(s), 28 message type(s)
            customers      customers.yaml: 2, 2 enabled
            proven         sqs:GetQueueAttributes, sqs:DeleteMessage, sqs:ChangeMessageVisibility on arn:aws:sqs:eu-west-1:000000000000:there
            proven         sqs:GetQueueAttributes, sqs:DeleteMessage, sqs:ChangeMessageVisibility on arn:aws:sqs:eu-west-1:000000000000:low
            proven         sns:GetTopicAttributes on arn:aws:sns:eu-west-1:000000000000:acme
            not proven     sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility on arn:aws:sqs:eu-west-1:000000000000:events: the queue could not be asked for
            not proven     sqs:SendMessage on arn:aws:sqs:eu-west-1:000000000000:bad: the queue could not be asked for
            not proven     sqs:ReceiveMessage on arn:aws:sqs:eu-west-1:000000000000:there, arn:aws:sqs:eu-west-1:000000000000:low: only a receive can prove it; `--receive` makes one
            not proven     sns:Publish on arn:aws:sns:eu-west-1:000000000000:acme: only an event can prove it; SNS did not deny a publish of no entries
            not proven     sns:Publish on arn:aws:sns:eu-west-1:000000000000:acme-b: the topic could not be asked for
            warning        queues[1].quarantine_url: queue there has no quarantine queue: a message that can never be published is received again until the queue's redrive policy moves it or its retention ends; create a queue for such messages, and set the key to its URL
            warning        queues[2].quarantine_url: queue low has no quarantine queue: a message that can never be published is received again until the queue's redrive policy moves it or its retention ends; create a queue for such messages, and set the key to its URL
            error          queues[0].url: arn:aws:sqs:eu-west-1:000000000000:events: AWS.SimpleQueueService.[code and message]; create it, or correct `queues[0].url`; if it exists, allow sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:events
            error          queues[0].quarantine_url: arn:aws:sqs:eu-west-1:000000000000:bad: AWS.SimpleQueueService.[code and message]; create it, or correct `queues[0].quarantine_url`; if it exists, allow sqs:GetQueueAttributes on arn:aws:sqs:eu-west-1:000000000000:bad
            warning        queues[1].url: queue there: no redrive policy: a message that cannot be finished is retried until the queue's retention ends; create a dead-letter queue, and set a redrive policy with a maxReceiveCount of 17 or more
            warning        queues[2].url: queue low: maxReceiveCount 10 is too low: an event of unknown type is received up to 11 times within `retry.unknown_type_grace_seconds`, and SQS can move it to arn:aws:sqs:eu-west-1:000000000000:dead before its schema arrives; set it to 17 or more
            error          route.customers_file: arn:aws:sns:eu-west-1:000000000000:acme-b: [code and message]; create it, or correct `route.customers_file`; if it exists, allow sns:GetTopicAttributes on arn:aws:sns:eu-west-1:000000000000:acme-b
            error: the check found 3 errors and 4 warnings
            exit code 1
            ");
        }
    });
}
