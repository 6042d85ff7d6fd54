//! The admin endpoint of the service, from which the load test reads what only the service can know.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Returns the addresses of the admin endpoints of all processes that wrote to the log. A process names its address when it
/// has started.
pub(crate) fn endpoints(log: &str) -> Vec<SocketAddr> {
    let started = log.lines().filter(|line| line.contains("\"message\":\"started\""));
    started.filter_map(|line| line.split_once("\"http://")?.1.split_once('"')?.0.parse().ok()).collect()
}

/// Returns the metrics of a process.
///
/// # Errors
/// Returns an error if the endpoint does not answer.
pub(crate) async fn metrics(endpoint: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(endpoint).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {endpoint}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, metrics) = answer.split_once("\r\n\r\n").context("the answer is incomplete")?;
    Ok(metrics.to_owned())
}

/// Returns the number of calls to AWS that failed.
pub(crate) fn failed_calls(metrics: &str) -> u64 {
    let failed = |line: &&str| line.starts_with("protobridge_aws_calls_total{") && line.contains("result=\"error\"");
    let counts = metrics.lines().filter(failed).filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_calls_of_all_operations_are_counted() {
        let metrics = "# TYPE protobridge_aws_calls_total counter\n\
            protobridge_aws_calls_total{operation=\"PublishBatch\",result=\"error\"} 3\n\
            protobridge_aws_calls_total{operation=\"PublishBatch\",result=\"ok\"} 90\n\
            protobridge_aws_calls_total{operation=\"ReceiveMessage\",result=\"error\"} 4\n";
        assert_eq!(failed_calls(metrics), 7);
    }

    #[test]
    fn a_process_names_its_endpoint_when_it_has_started() {
        let log = "{\"level\":\"INFO\",\"message\":\"starting\",\"url\":\"http://127.0.0.1:1/\"}\n\
            {\"level\":\"INFO\",\"message\":\"started\",\"admin\":\"http://127.0.0.1:4711\",\"queues\":1}\n";
        assert_eq!(endpoints(log), ["127.0.0.1:4711".parse().unwrap()]);
    }
}
