//! The test program for the public conformance runner. `conformance-testee SET` reads requests from standard input and
//! writes responses to standard output, each preceded by its length (u32, little-endian). It transcodes binary input to
//! JSON, refuses malformed payloads, and skips all other requests.
//!
//! The script `conformance/run` fetches the runner and starts it with this program.

use std::io::{self, Read as _, Write as _};

use prost::Message as _;
use protojson::{Options, Schema};

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(bytes = "vec", optional, tag = "1")]
    protobuf_payload: Option<Vec<u8>>,
    #[prost(int32, tag = "3")]
    requested_output_format: i32,
    #[prost(string, tag = "4")]
    message_type: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(oneof = "Outcome", tags = "1, 6, 2, 4, 5")]
    outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Outcome {
    #[prost(string, tag = "1")]
    ParseError(String),
    #[prost(string, tag = "6")]
    SerializeError(String),
    #[prost(string, tag = "2")]
    RuntimeError(String),
    #[prost(string, tag = "4")]
    JsonPayload(String),
    #[prost(string, tag = "5")]
    Skipped(String),
}

const JSON: i32 = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: conformance-testee FILE_DESCRIPTOR_SET")?;
    let schema = Schema::builder().set(&path, &std::fs::read(&path)?)?.build()?;
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut length = [0; 4];
        if input.read_exact(&mut length).is_err() {
            return Ok(());
        }
        let mut request = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut request)?;
        let outcome = Some(answer(&schema, &Request::decode(request.as_slice())?));
        let response = Response { outcome }.encode_to_vec();
        output.write_all(&u32::try_from(response.len())?.to_le_bytes())?;
        output.write_all(&response)?;
        output.flush()?;
    }
}

fn answer(schema: &Schema, request: &Request) -> Outcome {
    let Some(payload) = &request.protobuf_payload else {
        return Outcome::Skipped("the input is not binary".to_owned());
    };
    let plan = match schema.plan(&request.message_type, &Options::default()) {
        Ok(plan) => plan,
        // The runner uses a special message type to ask for the list of expected failures.
        Err(error) => return Outcome::Skipped(error.to_string()),
    };
    let mut json = Vec::new();
    match plan.transcode(payload, &mut json) {
        Err(error) if error.is_malformed() => Outcome::ParseError(error.to_string()),
        _ if request.requested_output_format != JSON => Outcome::Skipped("the output is not JSON".to_owned()),
        Err(error) => Outcome::SerializeError(error.to_string()),
        Ok(()) => match String::from_utf8(json) {
            Ok(json) => Outcome::JsonPayload(json),
            Err(error) => Outcome::RuntimeError(error.to_string()),
        },
    }
}
