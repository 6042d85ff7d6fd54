//! Makes documents of a given size from the corpus, by removing or repeating paragraphs.

/// The number of the text field `bench.Document.paragraphs`.
const PARAGRAPHS_FIELD: u64 = 3;

/// Resizes each document to about the given number of bytes.
pub(super) fn sized(documents: &[Vec<u8>], bytes: usize) -> Vec<Vec<u8>> {
    let records: Vec<Vec<(u64, &[u8])>> = documents.iter().map(|document| records(document)).collect();
    let paragraphs: Vec<&[u8]> =
        records.iter().flatten().filter(|(number, _)| *number == PARAGRAPHS_FIELD).map(|(_, record)| *record).collect();
    let resize = |(index, records): (usize, &Vec<(u64, &[u8])>)| {
        let others = || records.iter().filter(|(number, _)| *number != PARAGRAPHS_FIELD);
        let mut left = bytes.saturating_sub(others().map(|(_, record)| record.len()).sum());
        let mut document = Vec::with_capacity(bytes + 1_000);
        let before = others().filter(|(number, _)| *number < PARAGRAPHS_FIELD);
        before.for_each(|(_, record)| document.extend_from_slice(record));
        // Each document begins with a different paragraph.
        for paragraph in paragraphs.iter().cycle().skip(index * paragraphs.len() / documents.len()) {
            document.extend_from_slice(paragraph);
            left = left.saturating_sub(paragraph.len());
            if left == 0 {
                break;
            }
        }
        let after = others().filter(|(number, _)| *number > PARAGRAPHS_FIELD);
        after.for_each(|(_, record)| document.extend_from_slice(record));
        document
    };
    records.iter().enumerate().map(resize).collect()
}

/// Returns the field number and the bytes, including the tag, of each record. All fields must be length-delimited.
fn records(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut records = Vec::new();
    while let Some((tag, after_tag)) = varint(message) {
        assert_eq!(tag & 7, 2, "a document has only length-delimited fields");
        let (length, after) = varint(after_tag).expect("a tag is followed by a length");
        let (record, rest) = message.split_at(message.len() - after.len() + length as usize);
        records.push((tag >> 3, record));
        message = rest;
    }
    records
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    Some((value, &bytes[end + 1..]))
}
