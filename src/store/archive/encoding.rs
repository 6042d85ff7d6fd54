//! Bodies and attributes as the columns of a segment have them. What is written is read back as it was.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use serde::{Deserialize, Serialize};

/// The `body_encoding` of a body whose bytes are stored. Encoding them in standard base64 gives the body.
pub(super) const BASE64: &str = "base64";
/// The `body_encoding` of a body that is stored as it is.
pub(super) const TEXT: &str = "text";

/// Returns a body as it is stored, with its encoding.
pub(super) fn encode_body(body: &str) -> (ByteArray, &'static str) {
    // Most bodies are the base64 of Protobuf, and are a quarter smaller without it. The decoder refuses every text
    // that it would not give back: other padding, other bits at the end, other characters.
    match STANDARD.decode(body) {
        Ok(bytes) => (bytes.into(), BASE64),
        Err(_) => (body.into(), TEXT),
    }
}

/// Returns the body as it was received.
///
/// # Errors
/// Returns an error if the encoding is not known, or if a text is not UTF-8.
pub(super) fn decode_body(stored: &ByteArray, encoding: &str) -> Result<String, ParquetError> {
    match encoding {
        BASE64 => Ok(STANDARD.encode(stored.data())),
        TEXT => Ok(stored.as_utf8()?.to_owned()),
        other => Err(ParquetError::General(format!("the body encoding {other} is not known"))),
    }
}

/// An attribute of a message in JSON. A value is a text or bytes.
#[derive(Serialize, Deserialize)]
struct Attribute {
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Returns attributes as a JSON object, sorted by name.
///
/// # Errors
/// Returns an error if they cannot be written as JSON; this is a defect.
pub(super) fn encode_attributes(attributes: &HashMap<String, MessageAttributeValue>) -> Result<String, ParquetError> {
    let attribute = |value: &'_ MessageAttributeValue| -> Attribute {
        Attribute {
            r#type: value.data_type().to_owned(),
            value: value.string_value().map(str::to_owned),
            base64: value.binary_value().map(|blob| STANDARD.encode(blob)),
        }
    };
    let sorted: BTreeMap<&str, Attribute> =
        attributes.iter().map(|(name, value)| (name.as_str(), attribute(value))).collect();
    serde_json::to_string(&sorted).map_err(|error| ParquetError::External(error.into()))
}

/// Returns the attributes that a JSON object of a segment names.
///
/// # Errors
/// Returns an error if the text is not such an object.
pub(super) fn decode_attributes(json: &str) -> Result<HashMap<String, MessageAttributeValue>, ParquetError> {
    let failed = |error: String| ParquetError::General(format!("the attributes of a message cannot be read: {error}"));
    let stored: HashMap<String, Attribute> = serde_json::from_str(json).map_err(|error| failed(error.to_string()))?;
    let mut attributes = HashMap::with_capacity(stored.len());
    for (name, Attribute { r#type, value, base64 }) in stored {
        let bytes = base64.map(|text| STANDARD.decode(text)).transpose().map_err(|error| failed(error.to_string()))?;
        let value = MessageAttributeValue::builder()
            .data_type(r#type)
            .set_string_value(value)
            .set_binary_value(bytes.map(Blob::new))
            .build()
            .map_err(|error| failed(error.to_string()))?;
        attributes.insert(name, value);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(body: &str) -> (Vec<u8>, &'static str) {
        let (bytes, encoding) = encode_body(body);
        assert_eq!(decode_body(&bytes, encoding).unwrap(), body);
        (bytes.data().to_vec(), encoding)
    }

    #[test]
    fn only_a_body_that_its_bytes_give_back_is_decoded() {
        assert_eq!(stored("AAEC"), (vec![0, 1, 2], BASE64));
        assert_eq!(stored("AAE="), (vec![0, 1], BASE64));
        assert_eq!(stored("AA+/"), (vec![0, 15, 191], BASE64));
        // Without padding, with other bits at the end, with white space, or with the other alphabet.
        for text in ["AAE", "AAF=", "AAEC\n", "AA EC", "AA-_", "AAE==", "=", "{\"a\":1}", "Zwölf"] {
            assert_eq!(stored(text), (text.as_bytes().to_vec(), TEXT));
        }
        assert!(decode_body(&ByteArray::from("x"), "gzip").is_err());
        assert!(decode_body(&ByteArray::from(vec![255]), TEXT).is_err());
    }

    #[test]
    fn any_body_comes_back() {
        const ALPHABET: &[u8] = b"AQgw/+=-_ \n\xc3\xa4";
        let mut random = fastrand::Rng::with_seed(7);
        let (mut decoded, mut kept) = (0, 0);
        for _ in 0..20_000 {
            let letters = if random.bool() { 6 } else { ALPHABET.len() };
            let length = random.usize(0..10);
            let body: Vec<u8> = (0..length).map(|_| ALPHABET[random.usize(..letters)]).collect();
            let Ok(body) = String::from_utf8(body) else { continue };
            match stored(&body).1 {
                BASE64 => decoded += 1,
                _ => kept += 1,
            }
        }
        assert!(decoded > 1_000 && kept > 1_000, "{decoded} decoded, {kept} kept");
    }

    #[test]
    fn damaged_attributes_are_an_error() {
        for json in ["", "[]", r#"{"a":1}"#, r#"{"a":{"value":"x"}}"#, r#"{"a":{"type":"Binary","base64":"?"}}"#] {
            assert!(decode_attributes(json).is_err(), "{json}");
        }
    }
}
