//! Events whose JSON exceeds what a topic accepts, in each form in which a producer can send them.

use std::io::Write as _;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use protojson::Schema;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::{Template, document, message_type, set};
use crate::spec::Size;

/// The bucket with the payloads that producers store.
pub(crate) const OBJECTS_BUCKET: &str = "large-events";
/// The bucket in which the service stores JSON.
pub(crate) const CLAIMS_BUCKET: &str = "claims";
/// The first part of the keys in it.
pub(crate) const CLAIMS_PREFIX: &str = "json";

/// How a producer sends a large payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    encoding: Option<&'static str>,
    /// Whether the message is a pointer to an object.
    is_object: bool,
}

/// The size of each large payload in bytes, and its form. A message of SQS has at most 1 MiB, so the largest ones that are
/// not compressed are in objects.
const LARGE: [(usize, Form); 6] = [
    (300 << 10, Form { encoding: None, is_object: false }),
    (450 << 10, Form { encoding: Some("gzip"), is_object: false }),
    (600 << 10, Form { encoding: Some("zstd"), is_object: false }),
    (750 << 10, Form { encoding: None, is_object: true }),
    (900 << 10, Form { encoding: Some("gzip"), is_object: true }),
    (1_000 << 10, Form { encoding: Some("zstd"), is_object: true }),
];

/// Returns the templates of all large events.
pub(super) fn templates(schema: &Schema) -> anyhow::Result<Vec<Template>> {
    let documents: Vec<Vec<u8>> = set(Size::HundredKb).payloads.into_iter().map(<[u8]>::to_vec).collect();
    let templates = LARGE.iter().enumerate().map(|(index, (bytes, form))| {
        let sized = document::sized(&documents, *bytes);
        // A different document for each.
        let payload = sized.get(index % sized.len()).context("the corpus has documents")?;
        let template = Template::new(schema, message_type(Size::HundredKb), payload)?;
        form.applied(template, payload, index)
    });
    templates.collect()
}

impl Form {
    /// Returns the template as a message of this form.
    fn applied(self, template: Template, payload: &[u8], index: usize) -> anyhow::Result<Template> {
        let compressed = match self.encoding {
            Some("gzip") => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(payload)?;
                encoder.finish()?
            }
            Some(_) => compress_to_vec(payload, CompressionLevel::Fastest),
            None => payload.to_vec(),
        };
        let body = BASE64_STANDARD.encode(compressed);
        let template = Template { encoding: self.encoding, ..template };
        if !self.is_object {
            return Ok(template.with_body(body));
        }
        let pointer = pointer(OBJECTS_BUCKET, &index.to_string());
        Ok(Template { object: Some(Bytes::from(body)), ..template.with_body(pointer) })
    }
}

/// Returns a pointer as the extended clients of AWS write it.
pub(crate) fn pointer(bucket: &str, key: &str) -> String {
    format!(
        "[\"software.amazon.payloadoffloading.PayloadS3Pointer\",{{\"s3BucketName\":\"{bucket}\",\"s3Key\":\"{key}\"}}]"
    )
}

#[cfg(test)]
mod tests {
    use crate::events::Events;
    use crate::spec::Spec;

    #[test]
    fn one_percent_of_the_events_is_larger_than_a_topic_accepts() {
        let spec = Spec { large_percent: 1, ..Spec::default() };
        let events = Events::new(&spec).unwrap();
        let sizes: Vec<usize> = (0..10_000).map(|number| events.template(number).json.len()).collect();
        let large: Vec<usize> = sizes.iter().copied().filter(|size| *size > 256 << 10).collect();
        assert_eq!(large.len(), 100);
        assert!(large.iter().all(|size| (300 << 10..1_200 << 10).contains(size)), "{large:?}");
        // The messages of one receive have at most 1 MiB together.
        let most = events.large().iter().map(|template| template.body.len()).max();
        assert!(most.is_some_and(|most| most < 900 << 10), "{most:?}");
        let mean = events.json_bytes();
        assert!((mean - sizes.iter().sum::<usize>() as f64 / 1e4).abs() < 200.0, "{mean}");
    }

    #[test]
    fn every_form_of_a_large_event_is_sent() {
        let events = Events::new(&Spec { large_percent: 1, ..Spec::default() }).unwrap();
        let mut forms: Vec<(Option<&str>, bool)> =
            events.large().iter().map(|template| (template.encoding, template.object.is_some())).collect();
        forms.sort_unstable();
        let expected = [None, Some("gzip"), Some("zstd")].map(|encoding| [(encoding, false), (encoding, true)]);
        assert_eq!(forms, expected.concat());
        for template in events.large() {
            assert_eq!(
                template.object.is_some(),
                template.body.starts_with("[\"software.amazon."),
                "{}",
                template.body
            );
        }
    }
}
