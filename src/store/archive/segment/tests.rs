use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;

use super::super::test_rows::{declared, full, sparse};
use super::*;

#[test]
fn rows_are_written_in_the_order_of_their_positions_and_with_the_declaration() {
    let rows = [sparse("b", 7, 9), sparse("a", 7, 8), full(9, "AAEC"), full(1, "no base64")];
    let lost = Lost { queue: "events".into(), from: 1, to: 2, count: 3 };
    let declaration = Declaration { lost: 3, ..declared(&rows, 4, (0, 1)) };
    let bytes = write(&rows, &declaration, std::slice::from_ref(&lost)).unwrap();
    let file = SerializedFileReader::new(bytes).unwrap();
    let read: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let column = |name: &str| COLUMNS.iter().position(|column| column.name == name).unwrap();
    let ids: Vec<_> = read.iter().map(|row| row.get_string(column("message_id")).unwrap().as_str()).collect();
    assert_eq!(ids, ["a", "b", "message-0001", "message-0009"]);
    let bodies: Vec<_> = read.iter().map(|row| row.get_bytes(column("body")).unwrap().data()).collect();
    assert_eq!(bodies, [&b"hello"[..], b"hello", b"no base64", &[0, 1, 2]]);
    let encodings: Vec<_> = read.iter().map(|row| row.get_string(column("body_encoding")).unwrap().as_str()).collect();
    assert_eq!(encodings, ["text", "text", "text", "base64"]);
    assert!(
        read[3].get_string(column("attributes")).unwrap().starts_with(r#"{"bytes":{"type":"Binary","base64":"AP8H"},"#)
    );

    let metadata = file.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |name: &str| metadata.iter().find(|entry| entry.key == name).unwrap().value.clone().unwrap();
    assert_eq!(value("protobridge.replica"), "pod-a");
    assert_eq!(value("protobridge.rows"), "4");
    assert_eq!(value("protobridge.lost"), r#"[{"queue":"events","from":1,"to":2,"count":3}]"#);
    let sent = file.metadata().row_group(0).column(3).statistics().expect("sent_at has a minimum");
    assert_eq!(sent.min_bytes_opt(), Some(&7_i64.to_le_bytes()[..]));
}

#[test]
fn a_segment_is_in_groups_and_its_bodies_are_in_pages() {
    let body = "x".repeat(10_001);
    let rows: Vec<Row> = (0..1_000).map(|number| full(number, &body)).collect();
    let bytes = write(&rows, &declared(&rows, 0, (0, 1)), &[]).unwrap();
    let options = parquet::file::serialized_reader::ReadOptionsBuilder::new().with_page_index().build();
    let file = SerializedFileReader::new_with_options(bytes, options).unwrap();
    let groups = file.metadata().row_groups();
    assert_eq!(groups.len(), 3);
    assert!(groups[..2].iter().all(|group| group.column(BODY).uncompressed_size() > 3_800_000));
    let pages = file.metadata().page_index_for_row_group(0).page_locations(BODY).unwrap().len();
    assert!((50..70).contains(&pages), "{pages} pages");
}

#[test]
fn a_segment_without_rows_is_a_file() {
    let bytes = write(&[], &declared(&[], 0, (0, 1)), &[]).unwrap();
    assert_eq!(SerializedFileReader::new(bytes).unwrap().metadata().file_metadata().num_rows(), 0);
}
