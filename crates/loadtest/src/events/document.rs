//! Documents of any size, from those of the corpus: with fewer paragraphs, or with more.

/// `bench.Document.paragraphs`, which are text.
const PARAGRAPHS_FIELD: u64 = 3;

/// As many documents, each of about so many bytes.
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
        // Each document begins with another paragraph.
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

/// Field number and bytes, tag included, of each record of a message that has nothing but length-delimited fields.
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
