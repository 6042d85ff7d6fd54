use std::sync::Arc;

use super::*;
use crate::schema::registry::tests::folder;
use crate::schema::registry::{Profiles, Registry, Snapshot};

const SHOP: &[u8] = include_bytes!("../../../../descriptors/shop.binpb");
const OURS: &[u8] = include_bytes!("../../../../descriptors/protobridge.binpb");

fn load_limited(settings: &config::Descriptors) -> Result<Registry, Error> {
    Registry::load(settings, &config::Taps::default(), Arc::new(Profiles::new(&Default::default())))
}

fn load(path: &Path) -> Result<Arc<Snapshot>, Error> {
    Ok(load_limited(&config::Descriptors { path: path.into(), ..Default::default() })?.current())
}

fn limited(path: &Path, max_file_bytes: u64, max_total_bytes: u64) -> config::Descriptors {
    config::Descriptors { path: path.into(), max_file_bytes, max_total_bytes, ..Default::default() }
}

#[test]
fn a_file_that_grows_while_it_is_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.pb"), b"12").unwrap();
    let settings =
        config::Descriptors { path: folder.path().into(), max_file_bytes: 10, ..config::Descriptors::default() };
    let loaded = each(&settings, |found, _, cap| {
        assert_eq!((found.size, cap), (2, 10));
        Ok((11, ()))
    });
    let (_, refused) = loaded.unwrap().remove(0);
    assert!(refused.unwrap_err().to_string().starts_with("descriptor set x.pb: it has 11 bytes"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

fn names_of(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.sets().iter().map(|set| set.name.as_str()).collect()
}

#[test]
fn the_sets_of_every_known_ending_are_loaded_compressed_or_not() {
    let zipped = gzip(SHOP);
    let members = [gzip(&SHOP[..100]), gzip(&SHOP[100..])].concat();
    let files: [(&str, &[u8]); 12] = [
        ("a.desc", SHOP),
        ("b.binpb", SHOP),
        ("c.pb", SHOP),
        ("d.protoset", SHOP),
        ("e.fds", SHOP),
        ("f.bin", SHOP),
        ("g.binpb.gz", &zipped),
        ("h.fds.gz", &members),
        // The bytes decide, not the name.
        ("i.binpb", &zipped),
        ("j.binpb.gz", SHOP),
        ("notes.gz", SHOP),
        ("shop.tar.gz", SHOP),
    ];
    let folder = folder(&files);
    let snapshot = load(folder.path()).unwrap();
    assert_eq!(
        names_of(&snapshot),
        [
            "a.desc",
            "b.binpb",
            "c.pb",
            "d.protoset",
            "e.fds",
            "f.bin",
            "g.binpb.gz",
            "h.fds.gz",
            "i.binpb",
            "j.binpb.gz"
        ]
    );
    assert!(snapshot.sets().iter().all(|set| set.hash == snapshot.sets()[0].hash && set.bytes == SHOP.len()));
    let alone = load(&folder.path().join("i.binpb")).unwrap();
    assert!(alone.find("shop.v1.OrderPlaced").is_some());
}

#[test]
fn a_compressed_set_is_decompressed_up_to_the_limits() {
    let bomb = gzip(&vec![0; 20_000_000]);
    assert!(bomb.len() < 20_000, "{} bytes", bomb.len());
    let folder = folder(&[("a.binpb.gz", &gzip(SHOP)), ("b.binpb", &bomb), ("c.binpb.gz", &gzip(OURS))]);
    let size = SHOP.len() as u64;
    let reasons = |max_file_bytes, max_total_bytes| {
        let registry = load_limited(&limited(folder.path(), max_file_bytes, max_total_bytes)).unwrap();
        assert!(registry.is_current(&registry.hashes().unwrap()), "both readers agree");
        let current = registry.current();
        current.refused().iter().map(|refused| refused.reason.clone() + "\n").collect::<String>()
    };
    assert_eq!(
        reasons(1_000_000, 2_000_000),
        "descriptor set b.binpb: it has at least 1000001 bytes after it is decompressed, and `descriptors.max_file_bytes` allows 1000000; remove what no event needs from the set, or raise the limit and the memory of the process with it\n"
    );
    let total = size + 30_000;
    assert_eq!(
        reasons(1_000_000, total),
        format!(
            "descriptor set b.binpb: together with the smaller sets, it has at least {} bytes after it is decompressed, and `descriptors.max_total_bytes` allows {total}; remove what no event needs from the set, or raise the limit and the memory of the process with it\n",
            total + 1
        )
    );
}

#[test]
fn a_damaged_compressed_set_is_refused_and_does_not_hold_up_the_others() {
    let zipped = gzip(SHOP);
    let half = &zipped[..zipped.len() / 2];
    let folder = folder(&[("a.binpb.gz", half), ("b.binpb", OURS)]);
    let settings = limited(folder.path(), 1_000_000, 2_000_000);
    let registry = load_limited(&settings).unwrap();
    let snapshot = registry.current();
    assert_eq!(names_of(&snapshot), ["b.binpb"]);
    assert_eq!(
        snapshot.refused()[0].to_string(),
        "descriptor set a.binpb.gz: it starts like gzip, and it cannot be decompressed (incomplete deflate stream); is it half written? Compress it again, or remove it; its types are unknown"
    );
    assert!(registry.is_current(&registry.hashes().unwrap()));
    // A file that is being written changes its hash with each byte, so it is not admitted before it is complete.
    fs::write(folder.path().join("a.binpb.gz"), &zipped[..half.len() + 1]).unwrap();
    assert!(!registry.is_current(&registry.hashes().unwrap()));
    fs::write(folder.path().join("a.binpb.gz"), &zipped).unwrap();
    let reloaded = registry.admit(&registry.read().unwrap()).unwrap();
    assert_eq!(names_of(&reloaded.snapshot), ["a.binpb.gz", "b.binpb"]);
}

#[test]
fn a_warning_names_the_sources_in_the_folder() {
    let warning = |files: &[(&str, &[u8])]| {
        let folder = folder(files);
        let registry = load_limited(&limited(folder.path(), 1_000_000, 2_000_000)).unwrap();
        registry.source_warning().map(|text| text.replace(&folder.path().display().to_string(), "FOLDER"))
    };
    assert_eq!(warning(&[("shop.binpb", SHOP), (".a.proto", b""), ("proto", b""), ("a.proto.txt", b"")]), None);
    assert_eq!(
        warning(&[("shop.binpb", SHOP), ("shop/v1/order.proto", b"")]).unwrap(),
        "shop/v1/order.proto is a source, which protobridge does not read; compile a set with `protoc --include_imports --descriptor_set_out=FILE.binpb` or `buf build -o FILE.binpb`, and keep the sources out of FOLDER"
    );
    let sources = ["a", "b", "c", "d", "e", "f", "g"].map(|name| format!("{name}.proto"));
    let mut files: Vec<(&str, &[u8])> = sources.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let only_sources = folder(&files);
    let error = load(only_sources.path()).unwrap_err().to_string();
    let expected =
        "a.proto, b.proto, c.proto, d.proto, e.proto and 2 more are sources, which protobridge does not read; compile";
    assert!(error.contains(&format!("and .gz; {expected} one with `protoc")), "{error}");
    files.push(("shop.binpb", SHOP));
    assert!(warning(&files).unwrap().starts_with(expected));
}
