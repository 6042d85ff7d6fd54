//! Something that speaks SQS and SNS. Scenarios are written against this, and run on each.

use std::sync::Arc;

use aws_sdk_sns::config::Region;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials};
use protobridge::aws::Clients;
use protobridge::cli::embedded::Embedded;

use crate::ministack::Ministack;
use crate::model::World;

/// The region of everything that tests make.
pub(crate) const REGION: &str = Embedded::REGION;

/// An emulator that answers, and clients of it that are none of the service's.
#[derive(Debug, Clone)]
pub(crate) struct Emulator {
    /// Base URL of its SQS and SNS.
    pub(crate) endpoint_url: String,
    /// SQS.
    pub(crate) sqs: aws_sdk_sqs::Client,
    /// SNS.
    pub(crate) sns: aws_sdk_sns::Client,
    /// Whether a topic delivers what has attributes to a queue that asks for raw delivery.
    pub(crate) delivers_raw: bool,
    /// It stops when the last clone is dropped.
    _embedded: Option<Arc<Embedded>>,
}

impl Emulator {
    /// An emulator in this process, for whoever asks alone.
    pub(crate) async fn embedded() -> Option<Self> {
        let embedded = Embedded::start().await.expect("there is a free port");
        // A topic with such a subscription refuses messages that have attributes.
        let delivers_raw = false;
        let endpoint_url = embedded.endpoint_url();
        Some(Self { _embedded: Some(Arc::new(embedded)), ..Self::at(&endpoint_url, delivers_raw) })
    }

    /// The ministack of this process; nothing if tests that need Python are to be skipped.
    pub(crate) async fn ministack() -> Option<Self> {
        let ministack = Ministack::get().await?;
        Some(Self::at(&ministack.endpoint_url, true))
    }

    /// A world of the model.
    pub(crate) fn of_model(world: &World) -> Self {
        let Clients { sqs, sns, .. } = world.clients(0);
        Self { endpoint_url: "nowhere".to_owned(), sqs, sns, delivers_raw: true, _embedded: None }
    }

    fn at(endpoint_url: &str, delivers_raw: bool) -> Self {
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
            delivers_raw,
            _embedded: None,
        }
    }
}

/// Makes tests of scenarios: `embedded::NAME` and `ministack::NAME` for those that run on both, one of the two for
/// those that run on one only, with a comment that says why.
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

/// Makes one test of one scenario on one emulator.
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
