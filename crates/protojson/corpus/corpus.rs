//! Reads the corpus. Tests and benches include this file with `#[path]`.

/// The compiled schema: a FileDescriptorSet with its imports.
pub(crate) const DESCRIPTOR_SET: &[u8] = include_bytes!("corpus.binpb");

/// The payloads of one message type.
pub(crate) struct Set {
    pub(crate) name: &'static str,
    /// The full name of the message type.
    pub(crate) message_type: &'static str,
    pub(crate) payloads: Vec<&'static [u8]>,
}

/// Returns all sets.
pub(crate) fn sets() -> Vec<Set> {
    include_str!("index.txt")
        .lines()
        .map(|line| {
            let (name, message_type) = line.split_once(' ').expect("a name and a type");
            Set { name, message_type, payloads: records(file(name)) }
        })
        .collect()
}

fn file(set: &str) -> &'static [u8] {
    match set {
        "change" => include_bytes!("bin/change.bin"),
        "strings" => include_bytes!("bin/strings.bin"),
        "numbers" => include_bytes!("bin/numbers.bin"),
        "deep" => include_bytes!("bin/deep.bin"),
        "heartbeat" => include_bytes!("bin/heartbeat.bin"),
        "bytes" => include_bytes!("bin/bytes.bin"),
        "change_shuf" => include_bytes!("bin/change_shuf.bin"),
        _ => panic!("no file for set {set}"),
    }
}

/// Splits a file into its records. Each record follows its length, a little-endian u32.
fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk::<4>() {
        let (record, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        records.push(record);
        file = rest;
    }
    records
}
