//! Commands whose descriptor sets and customers are in a bucket.

use insta::assert_snapshot;
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;
use protobridge::cli::embedded::samples::SETS;
use protobridge::config::Aws;

use crate::bucket;
use crate::cli::{CONFIG, CUSTOMERS, Folder};
use crate::command::protobridge;
use crate::emulator::{Emulator, REGION, scenarios};

scenarios! {
    both: [];
    embedded: [];
    // The embedded emulator has no S3.
    ministack: [
        a_command_says_the_same_of_a_bucket_as_of_a_folder,
        an_error_of_a_bucket_names_it_and_the_way_out,
    ];
}

const BUCKET: &str = "cli-schemas";

/// A folder with files, and a bucket with the same ones.
struct Places {
    folder: Folder,
    endpoint_url: String,
}

impl Places {
    async fn new(emulator: &Emulator) -> Self {
        let endpoint_url = emulator.endpoint_url.clone();
        bucket::create(&endpoint_url, BUCKET).await;
        let aws = Aws { region: Some(REGION.to_owned()), endpoint_url: Some(endpoint_url.clone()), ..Aws::default() };
        let clients = Clients::with_credentials(&aws, Embedded::credentials()).await;
        for (name, set) in SETS {
            bucket::put(&clients, BUCKET, &format!("released/{name}"), set.to_vec()).await;
        }
        bucket::put(&clients, BUCKET, "customers.yaml", CUSTOMERS).await;
        let folder = Folder::new();
        let config = CONFIG.replace("max_attempts", &format!("s3_endpoint_url: '{endpoint_url}', max_attempts"));
        let sets = format!("descriptors: {{path: 's3://{BUCKET}/released'}}\n");
        folder
            .write("bucket.yaml", format!("{config}{sets}route: {{customers_file: 's3://{BUCKET}/customers.yaml'}}\n"));
        folder
            .write("missing.yaml", format!("{config}{sets}route: {{customers_file: 's3://{BUCKET}/clients.yaml'}}\n"));
        Self { folder, endpoint_url }
    }

    /// Runs a command on a thread of its own. Returns its output and its exit code as text.
    async fn run(self, arguments: &[&str]) -> (Self, String) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut command = protobridge();
            command.env("AWS_ENDPOINT_URL_S3", &self.endpoint_url).env("AWS_REGION", REGION);
            let output = self.folder.output_of(&mut command, &arguments);
            (self, output)
        };
        tokio::task::spawn_blocking(run).await.expect("the task does not panic")
    }
}

async fn a_command_says_the_same_of_a_bucket_as_of_a_folder(emulator: &Emulator) {
    let mut places = Places::new(emulator).await;
    let released = format!("s3://{BUCKET}/released");
    let one = format!("{released}/shop.binpb");
    for arguments in [
        &["descriptors", "list", "SETS", "--json"][..],
        &["descriptors", "check", "SETS"],
        &["descriptors", "diff", "SETS", "SETS"],
        &["descriptors", "diff", "ONE", "ONE"],
        &["schema", "json-schema", "--type", "shop.v1.OrderPlaced", "--descriptors", "ONE"],
        &["schema", "json-schema", "--type", "shop.v1.OrderPlaced", "--config", "CONFIG"],
        &["schema", "asyncapi", "--config", "CONFIG"],
        &["transcode", "--descriptors", "SETS", "--type", "shop.v1.Money"],
        &["transcode", "--config", "CONFIG", "--customer", "acme", "--type", "shop.v1.Money"],
        &["check", "--config", "CONFIG"],
    ] {
        let mut outputs = Vec::new();
        for [sets, one, config] in
            [["descriptors", "descriptors/shop.binpb", "protobridge.yaml"], [&released, &one, "bucket.yaml"]]
        {
            let at = |argument: &&'static str| match *argument {
                "SETS" => sets,
                "ONE" => one,
                "CONFIG" => config,
                other => other,
            };
            let arguments: Vec<&str> = arguments.iter().map(at).collect();
            let output;
            (places, output) = places.run(&arguments).await;
            assert!(output.ends_with("exit code 0"), "{arguments:?}: {output}");
            let output = output.replace(&format!("s3://{BUCKET}/customers.yaml"), "customers.yaml");
            outputs.push(output.replace(&released, "descriptors").replace("bucket.yaml", "protobridge.yaml"));
        }
        assert_eq!(outputs[0], outputs[1], "{arguments:?}");
    }
}

async fn an_error_of_a_bucket_names_it_and_the_way_out(emulator: &Emulator) {
    let mut places = Places::new(emulator).await;
    let mut outputs = String::new();
    for arguments in [
        &["descriptors", "check", "s3://cli-none/released"][..],
        &["descriptors", "check", "s3://cli-schemas/nothing"],
        &["check", "--config", "missing.yaml"],
    ] {
        let output;
        (places, output) = places.run(arguments).await;
        outputs.push_str(&output);
        outputs.push('\n');
    }
    let mut filters = insta::Settings::clone_current();
    filters.add_filter("The specified [^;]*", "[message]");
    filters.bind(|| {
        assert_snapshot!(outputs, @"
        error: s3://cli-none/released: cannot list s3://cli-none/released in the region eu-west-1: NoSuchBucket: [message]; create the bucket, or correct `descriptors.path`
        exit code 1
        error: s3://cli-schemas/nothing: no descriptor set in s3://cli-schemas/nothing: it has no file that ends in .desc, .binpb, .pb, .protoset, .fds or .bin, or in one of these and .gz; compile one with `protoc --include_imports --descriptor_set_out=FILE` or `buf build -o FILE`
        exit code 1
        configuration  missing.yaml: 1 queue(s)
        error: cannot read s3://cli-schemas/clients.yaml in the region eu-west-1: NoSuchKey: [message]; upload the object, or correct `route.customers_file`
        exit code 1
        ");
    });
    // The policy can be the one that allows the read.
    let (_, output) = places.run(&["iam-policy", "--config", "missing.yaml"]).await;
    assert!(output.contains(r#""Sid": "ReadCustomers""#) && !output.contains(r#""Sid": "Publish""#), "{output}");
    assert!(
        output.contains("warning: cannot read s3://cli-schemas/clients.yaml in the region eu-west-1: "),
        "{output}"
    );
    assert!(output.ends_with("or use --topic-pattern\nexit code 0"), "{output}");
}
