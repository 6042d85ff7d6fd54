//! SQS and SNS inside this process, on a port of the loopback interface. `protobridge demo` and the fast integration
//! tests run against them.
//!
//! Clients use them over HTTP with the ordinary AWS SDK or CLI, so all code above the socket is the code that runs in
//! production. They differ from AWS in these points:
//!
//! - Queues and topics accept messages of at most 256 KiB.
//! - A standard queue refuses a message group id, and a FIFO queue returns the messages of a group one at a time.
//! - `maxReceiveCount` must be a JSON number, and `StartMessageMoveTask` is missing.
//! - SNS confirms an entry even if a subscribed queue refused it.
//! - SNS answers with an internal error if more than 128 publishes run at the same time.

mod bridge;
mod notification;
pub mod samples;
mod server;
pub mod setup;
mod subscriptions;
#[cfg(test)]
mod tests;
mod topics;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use rustack_sns_core::config::SnsConfig;
use rustack_sns_core::provider::RustackSns;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::provider::RustackSqs;
use tokio::net::TcpListener;

use crate::aws::Clients;
use crate::config;
use bridge::Bridge;
pub use notification::Notification;
use server::Server;
use subscriptions::Subscriptions;
use topics::Topics;

/// Running SQS and SNS servers. Dropping the value stops them at once and discards their messages.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    sqs: Arc<RustackSqs>,
    sns: Arc<RustackSns>,
}

impl Embedded {
    /// The only region.
    pub const REGION: &str = "eu-west-1";
    /// The only account.
    pub const ACCOUNT: &str = "000000000000";
    /// The access key id, and also the secret key. Any other key works too, because signatures are not checked.
    pub const ACCESS_KEY: &str = "demo";

    /// Starts both services on one free port.
    ///
    /// # Errors
    /// Returns an error if no port is free.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts both services on this port, or on a free one if it is 0.
    ///
    /// # Errors
    /// Returns an error if the port is in use, or if no port is free.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let sqs = Arc::new(RustackSqs::new(SqsConfig {
            skip_signature_validation: true,
            default_region: Self::REGION.to_owned(),
            account_id: Self::ACCOUNT.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        }));
        let config = SnsConfig {
            skip_signature_validation: true,
            default_region: Self::REGION.to_owned(),
            account_id: Self::ACCOUNT.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        };
        let subscriptions = Arc::new(Subscriptions::default());
        let bridge = Bridge::new(Arc::clone(&sqs), Arc::clone(&subscriptions));
        let sns = Arc::new(RustackSns::new(config, Arc::new(bridge)));
        let server = Server::start(listener, address, &sqs, Topics::new(Arc::clone(&sns), subscriptions));
        Ok(Self { server, sqs, sns })
    }

    /// The address at which both services listen.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The base URL of both services, such as `http://127.0.0.1:40123`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Returns the `aws` section of a configuration that uses these services.
    pub fn settings(&self) -> config::Aws {
        config::Aws {
            region: Some(Self::REGION.to_owned()),
            endpoint_url: Some(self.endpoint_url()),
            ..config::Aws::default()
        }
    }

    /// Returns credentials for these services, so that the SDK does not search for any.
    pub fn credentials() -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Credentials::new(Self::ACCESS_KEY, Self::ACCESS_KEY, None, None, "embedded"))
    }

    /// Returns clients of these services.
    pub async fn clients(&self) -> Clients {
        Clients::with_credentials(&self.settings(), Self::credentials()).await
    }

    /// Stops both services after they have answered the requests in progress. Waiting long polls end with an error.
    pub async fn stop(self) {
        self.server.drain();
        self.sns.quiesce().await;
        self.sqs.shutdown_all().await;
        self.server.finish().await;
    }
}
