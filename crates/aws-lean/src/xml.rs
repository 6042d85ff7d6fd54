//! A reader for the XML of SNS and S3. It knows a few tags by their local names and skips everything else.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// The tags that the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag {
    PublishBatchResponse,
    PublishBatchResult,
    Successful,
    Failed,
    Member,
    Id,
    Code,
    Message,
    MessageId,
    SequenceNumber,
    SenderFault,
    Error,
    ResponseMetadata,
    RequestId,
    ListBucketResult,
    Contents,
    Key,
    Size,
    Revision,
    IsTruncated,
    EncodingType,
    NextContinuationToken,
    Other,
}

impl From<&[u8]> for Tag {
    fn from(name: &[u8]) -> Self {
        match name {
            b"PublishBatchResponse" => Self::PublishBatchResponse,
            b"PublishBatchResult" => Self::PublishBatchResult,
            b"Successful" => Self::Successful,
            b"Failed" => Self::Failed,
            b"member" => Self::Member,
            b"Id" => Self::Id,
            b"Code" => Self::Code,
            b"Message" => Self::Message,
            b"MessageId" => Self::MessageId,
            b"SequenceNumber" => Self::SequenceNumber,
            b"SenderFault" => Self::SenderFault,
            b"Error" => Self::Error,
            b"ResponseMetadata" => Self::ResponseMetadata,
            b"RequestId" => Self::RequestId,
            b"ListBucketResult" => Self::ListBucketResult,
            b"Contents" => Self::Contents,
            b"Key" => Self::Key,
            b"Size" => Self::Size,
            b"ETag" => Self::Revision,
            b"IsTruncated" => Self::IsTruncated,
            b"EncodingType" => Self::EncodingType,
            b"NextContinuationToken" => Self::NextContinuationToken,
            _ => Self::Other,
        }
    }
}

/// Why a body is not the expected XML.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Xml(#[from] quick_xml::Error),
    #[error(transparent)]
    Encoding(#[from] quick_xml::encoding::EncodingError),
    #[error("there is no entity &{0};")]
    Entity(String),
    #[error("it ends too early")]
    Truncated,
    #[error("it is not a PublishBatchResponse")]
    Unexpected,
}

/// Reads a document and calls `ended` at the end of each element, with the tags of the path to it, outermost first, and
/// with its text. The text of an element with children is the text after its last child.
///
/// # Errors
/// Returns an error if the document is not well-formed or not complete.
pub(crate) fn read(xml: &[u8], mut ended: impl FnMut(&[Tag], &str)) -> Result<(), Malformed> {
    let mut reader = Reader::from_reader(xml);
    let (mut path, mut text) = (Vec::with_capacity(8), String::new());
    let mut is_whole = false;
    loop {
        match reader.read_event()? {
            Event::Start(start) => {
                path.push(Tag::from(start.local_name().as_ref()));
                text.clear();
            }
            Event::Empty(empty) => {
                path.push(Tag::from(empty.local_name().as_ref()));
                ended(&path, "");
                path.pop();
                text.clear();
                is_whole |= path.is_empty();
            }
            Event::Text(part) => text.push_str(&part.xml10_content()?),
            Event::CData(part) => text.push_str(&part.xml10_content()?),
            Event::GeneralRef(reference) => match reference.resolve_char_ref()? {
                Some(character) => text.push(character),
                None => {
                    let name = reference.decode()?;
                    let known = resolve_predefined_entity(&name);
                    text.push_str(known.ok_or_else(|| Malformed::Entity(name.clone().into_owned()))?);
                }
            },
            // `Reader` checks that start and end tags match.
            Event::End(_) => {
                ended(&path, &text);
                path.pop();
                text.clear();
                is_whole |= path.is_empty();
            }
            Event::Eof if is_whole && path.is_empty() => return Ok(()),
            Event::Eof => return Err(Malformed::Truncated),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(xml: &str) -> Result<Vec<(Vec<Tag>, String)>, Malformed> {
        let mut texts = Vec::new();
        read(xml.as_bytes(), |path, text| texts.push((path.to_vec(), text.to_owned())))?;
        Ok(texts)
    }

    #[test]
    fn references_and_cdata_are_resolved_in_text() {
        for (xml, expected) in [
            ("<Code>a &amp; b &lt;c&gt; &quot;&apos;</Code>", "a & b <c> \"'"),
            ("<Code>&#246;&#xF6;</Code>", "öö"),
            ("<Code><![CDATA[a & <b>]]> c</Code>", "a & <b> c"),
            ("<Code>one<!-- not this -->two</Code>", "onetwo"),
            (
                "<?xml version=\"1.0\"?>\n\
                 <aws:Code xmlns:aws=\"http://sns.amazonaws.com/doc/2010-03-31/\">x</aws:Code>\n",
                "x",
            ),
            ("<Code/>", ""),
            ("<Code></Code>", ""),
        ] {
            assert_eq!(texts(xml).unwrap(), [(vec![Tag::Code], expected.to_owned())], "{xml}");
        }
    }

    #[test]
    fn an_incomplete_or_malformed_document_is_an_error() {
        let whole = "<ErrorResponse><Error><Code>a&amp;b</Code></Error></ErrorResponse>";
        assert_eq!(texts(whole).unwrap().len(), 3);
        for end in 0..whole.len() {
            assert!(texts(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for bad in ["text", "<a></b>", "<a>&nbsp;</a>", "<a>&#xFFFFFFF;</a>", "</a>"] {
            assert!(texts(bad).is_err(), "{bad}");
        }
    }
}
