//! A bucket for tests: it answers PUTs as its mood is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::Store;
use crate::base::http::{AnswerBody, BoxError, Network, Transport};
use crate::config;

/// What S3 does with the next PUTs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Works,
    /// It answers with an error.
    Refuses,
    /// It does not answer.
    Hangs,
    /// It stores the object, and the answer is lost.
    LosesAnswers,
}

/// A bucket that answers PUTs.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) mood: Mutex<Mood>,
    pub(super) objects: Mutex<HashMap<String, Bytes>>,
    pub(super) puts: Mutex<usize>,
}

#[async_trait]
impl Transport for Bucket {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<AnswerBody>, BoxError> {
        assert_eq!(request.method(), Method::PUT);
        *self.puts.lock() += 1;
        let mood = *self.mood.lock();
        if matches!(mood, Mood::Works | Mood::LosesAnswers) {
            let key = request.uri().path().trim_start_matches("/prod/").replace("%3D", "=");
            self.objects.lock().insert(key, request.body().clone());
        }
        let status = match mood {
            Mood::Works => 200,
            Mood::Refuses => 503,
            Mood::LosesAnswers => return Err("the connection was reset".into()),
            Mood::Hangs => std::future::pending().await,
        };
        let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
        Ok(Response::builder().status(status).header("etag", "\"1\"").body(body)?)
    }
}

impl Bucket {
    pub(super) fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { mood: Mutex::new(mood), objects: Mutex::default(), puts: Mutex::default() })
    }

    pub(super) fn store(self: &Arc<Self>) -> Store {
        let shared = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .build();
        let settings = config::Store { url: Some("s3://acme/prod".into()), kms_key_id: None };
        Store::open(&settings, &shared, &Network::of(Arc::clone(self) as Arc<dyn Transport>)).unwrap().unwrap()
    }

    /// Waits until the bucket has this many objects.
    pub(super) async fn has(&self, count: usize) {
        while self.objects.lock().len() < count {
            sleep(Duration::from_millis(10)).await;
        }
    }
}
