use super::*;

#[tokio::test]
async fn an_object_of_a_folder_is_written_listed_read_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().join("a/b")).unwrap();
    assert_eq!(store.list("journal/v1").await.unwrap(), []);
    let key = "journal/v1/date=2026-11-28/hour=01/x-1.parquet";
    store.put(key, Bytes::from_static(b"0123456789")).await.unwrap();
    store.put("counters/v1/y.json", Bytes::from_static(b"{}")).await.unwrap();
    let listed = store.list("journal/v1").await.unwrap();
    assert_eq!(listed.iter().map(|object| (&*object.key, object.size)).collect::<Vec<_>>(), [(key, 10)]);
    assert_eq!(store.get(key).await.unwrap(), "0123456789");
    assert_eq!(store.get_range(key, 2..5).await.unwrap(), "234");
    store.delete(key).await.unwrap();
    let error = store.get(key).await.unwrap_err();
    assert!(error.is_missing() && error.to_string().contains(key), "{error}");
    assert_eq!(error.labels(), StoreErrorLabels { operation: StoreCall::Get, code: StoreErrorCode::Missing });
}

#[tokio::test]
async fn of_many_calls_that_create_an_object_one_creates_it() {
    let folder = tempfile::tempdir().unwrap();
    for store in [Store::folder(folder.path().into()).unwrap(), Store::in_memory()] {
        let calls = (0..20_u8).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move { (writer, store.create("a/b.json", Bytes::from(vec![writer])).await.unwrap()) })
        });
        let mut winners = Vec::new();
        for call in calls.collect::<Vec<_>>() {
            let (writer, created) = call.await.unwrap();
            winners.extend((created == Created::New).then_some(writer));
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(store.get("a/b.json").await.unwrap(), winners);
    }
}

#[test]
fn a_folder_that_cannot_be_created_is_named_with_the_way_out() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Store::folder(file.path().join("x")).unwrap_err().to_string();
    assert!(error.starts_with("`store.url`: the folder /") && error.contains("create it"), "{error}");
}

#[tokio::test]
async fn a_folder_that_denies_a_file_is_counted_as_denied() {
    use std::os::unix::fs::PermissionsExt as _;
    let failed =
        |kind| Cause::Store(object_store::Error::Generic { store: "disk", source: io::Error::from(kind).into() });
    let denied = Error {
        operation: StoreCall::Put,
        url: "file:///x".into(),
        key: "y".into(),
        source: failed(ErrorKind::PermissionDenied),
    };
    assert_eq!(denied.labels().code, StoreErrorCode::Denied);
    let full = failed(ErrorKind::StorageFull);
    assert_eq!(Error { source: full, ..denied }.labels().code, StoreErrorCode::Other);

    let folder = tempfile::tempdir().unwrap();
    let store = Store::folder(folder.path().into()).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser can write nevertheless.
    if let Err(error) = store.put("a/b", Bytes::new()).await {
        assert_eq!(error.labels(), StoreErrorLabels { operation: StoreCall::Put, code: StoreErrorCode::Denied });
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_name_of_a_replica_makes_no_folder() {
    assert_eq!(cleaned("a/b c=d"), "a_b_c_d");
    assert!(!replica_name().is_empty());
}
