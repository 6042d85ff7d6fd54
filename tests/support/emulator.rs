//! The emulators of SQS and SNS. A scenario is written once, against [`Emulator`], and runs on each of them.

use std::sync::Arc;

use aws_sdk_sns::config::Region;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials};
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;

use crate::ministack::Ministack;
use crate::model::World;

/// The region of all queues and topics in the tests.
pub(crate) const REGION: &str = Embedded::REGION;

/// A running emulator, with clients of its own that are independent of the service's clients.
#[derive(Debug, Clone)]
pub(crate) struct Emulator {
    /// The base URL of its SQS and SNS.
    pub(crate) endpoint_url: String,
    /// The SQS client.
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// The SNS client.
    pub(crate) sns: aws_sdk_sns::Client,
    /// The embedded emulator, which stops when the last clone is dropped.
    embedded: Option<Arc<Embedded>>,
}

impl Emulator {
    /// Starts an emulator in this process that no other test shares.
    pub(crate) async fn embedded() -> Option<Self> {
        let embedded = Embedded::start().await.expect("a port is free");
        let endpoint_url = embedded.endpoint_url();
        Some(Self { embedded: Some(Arc::new(embedded)), ..Self::at(&endpoint_url) })
    }

    /// Returns the ministack of this process, or `None` if tests that need Python are skipped.
    pub(crate) async fn ministack() -> Option<Self> {
        let ministack = Ministack::get().await?;
        Some(Self::at(&ministack.endpoint_url))
    }

    /// Whether the emulator has S3 too.
    pub(crate) fn has_s3(&self) -> bool {
        self.embedded.is_none()
    }

    /// Returns clients of a world of the model.
    pub(crate) fn of_model(world: &World) -> Self {
        let Clients { sqs, sns, .. } = world.clients(0);
        Self { endpoint_url: "nowhere".to_owned(), sqs, sns, embedded: None }
    }

    /// Returns clients of a running emulator.
    pub(crate) fn at(endpoint_url: &str) -> Self {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials.clone())
            .endpoint_url(endpoint_url)
            .http_client(http.clone())
            .build();
        let sns = aws_sdk_sns::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .endpoint_url(endpoint_url)
            .http_client(http)
            .build();
        Self {
            endpoint_url: endpoint_url.to_owned(),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            sns: aws_sdk_sns::Client::from_conf(sns),
            embedded: None,
        }
    }
}

/// Declares tests for scenarios. A scenario in `both` becomes `embedded::NAME` and `ministack::NAME`. A scenario that
/// runs on one emulator only has a comment that says why.
macro_rules! scenarios {
    (both: [$($both:ident),* $(,)?]; embedded: [$($embedded:ident),* $(,)?]; ministack: [$($ministack:ident),* $(,)?];) => {
        mod embedded {
            $(crate::emulator::scenario!($both, $crate::emulator::Emulator::embedded());)*
            $(crate::emulator::scenario!($embedded, $crate::emulator::Emulator::embedded());)*
        }
        mod ministack {
            $(crate::emulator::scenario!($both, $crate::emulator::Emulator::ministack());)*
            $(crate::emulator::scenario!($ministack, $crate::emulator::Emulator::ministack());)*
        }
    };
}

/// Declares the test that runs one scenario on one emulator.
macro_rules! scenario {
    ($name:ident, $emulator:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(emulator) = $emulator.await {
                super::$name(&emulator).await;
            }
        }
    };
}

pub(crate) use {scenario, scenarios};
