//! SQS and SNS inside this process, on a port of the loopback interface: what `protobridge demo` and the fast
//! integration tests run against.
//!
//! They are spoken to over HTTP with the ordinary AWS SDK or CLI, so everything above the socket is what runs in
//! production. What they are not is complete. Messages and topics take 256 KiB. A topic with a raw subscription refuses
//! messages with attributes, so subscriptions are [notifications](Notification), whose Binary attributes lose their
//! value. A standard queue refuses a message group, and a FIFO queue gives one message of a group at a time.
//! `maxReceiveCount` has to be a number, and `StartMessageMoveTask` is missing. SNS confirms an entry even where a
//! subscribed queue did not take it. More than 128 publishes at a time are refused with an internal error.

mod bridge;
mod notification;
pub mod samples;
mod server;
pub mod setup;
#[cfg(test)]
mod tests;

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

/// A running SQS and SNS. Dropping it stops them at once, and everything in them is gone.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    sqs: Arc<RustackSqs>,
    sns: Arc<RustackSns>,
}

impl Embedded {
    /// The one region there is.
    pub const REGION: &str = "eu-west-1";
    /// The one account there is.
    pub const ACCOUNT: &str = "000000000000";
    /// An access key, and its secret as well. Any other does, too: signatures are not looked at.
    pub const ACCESS_KEY: &str = "demo";

    /// Starts them on a free port.
    ///
    /// # Errors
    /// When there is none to listen on.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
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
        let sns = Arc::new(RustackSns::new(config, Arc::new(Bridge::new(Arc::clone(&sqs)))));
        let server = Server::start(listener, address, &sqs, &sns);
        Ok(Self { server, sqs, sns })
    }

    /// Where they listen.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The base URL of both, such as `http://127.0.0.1:40123`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The `aws` section of a configuration that uses them.
    pub fn settings(&self) -> config::Aws {
        config::Aws {
            region: Some(Self::REGION.to_owned()),
            endpoint_url: Some(self.endpoint_url()),
            ..config::Aws::default()
        }
    }

    /// Credentials for them, so that the SDK looks for none.
    pub fn credentials() -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Credentials::new(Self::ACCESS_KEY, Self::ACCESS_KEY, None, None, "embedded"))
    }

    /// Clients of them.
    pub async fn clients(&self) -> Clients {
        Clients::with_credentials(&self.settings(), Self::credentials()).await
    }

    /// Stops them: what is under way is answered first. Long polls that wait for a message end with an error.
    pub async fn stop(self) {
        self.server.refuse();
        self.sns.quiesce().await;
        self.sqs.shutdown_all().await;
        self.server.finish().await;
    }
}
