//! The candidates of a comparison: what each file is, by its content, and the configuration that they make together.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::app::Offline;
use crate::aws::Clients;
use crate::base::http::Network;
use crate::cli::Usage;
use crate::config::load::{self, Origin};
use crate::config::{self, Config};
use crate::schema::registry::{self, File};
use crate::store::Store;

/// A candidate that was recognized.
#[derive(Debug)]
pub(super) struct Recognized {
    /// The candidate as the command line names it.
    pub(super) name: String,
    /// What it is, and what it replaces.
    pub(super) meaning: String,
}

/// A candidate, by its content.
#[derive(Debug)]
enum Candidate {
    Configuration(PathBuf),
    Customers(PathBuf),
    /// A folder of sets. Those of a prefix are in a temporary folder, which is removed with this value.
    Sets(PathBuf, Option<TempDir>),
    Set(PathBuf),
}

/// Loads what the candidates make of the configuration in force, and says what was recognized.
///
/// # Errors
/// Returns an error if a candidate is not recognized, if two cannot be combined, or if one does not load.
pub(super) async fn load(names: &[String], in_force: &Config) -> anyhow::Result<(Offline, Vec<Recognized>)> {
    let mut found = Vec::new();
    for name in names {
        found.push(recognize(name, in_force).await?);
    }
    let mut meanings: Vec<Option<String>> = names.iter().map(|_| None).collect();
    let mut config = in_force.clone();
    // A whole configuration comes first: the other candidates replace its files.
    if let Some((index, path)) = only(&found, |candidate| match candidate {
        Candidate::Configuration(path) => Some(path),
        _ => None,
    })? {
        config = Origin::new(path, load::environment()).load()?;
        // The sets and the customers come from the files that it names.
        meanings[index] = Some("a configuration; it replaces the one in force".to_owned());
    }
    if let Some((index, path)) = only(&found, |candidate| match candidate {
        Candidate::Customers(path) => Some(path),
        _ => None,
    })? {
        let replaced = std::mem::replace(&mut config.route.customers_file, path.clone().into());
        meanings[index] = Some(format!("a customers file; it replaces {replaced}"));
    }
    if let Some((index, path)) = only(&found, |candidate| match candidate {
        Candidate::Sets(path, _) => Some(path),
        _ => None,
    })? {
        let replaced = std::mem::replace(&mut config.descriptors.path, path.clone().into());
        let place = match found[index] {
            Candidate::Sets(_, Some(_)) => "prefix",
            _ => "folder",
        };
        meanings[index] = Some(format!("a {place} of descriptor sets; it replaces {replaced}"));
    }
    let mut sets = registry::read(&config.descriptors).map_err(crate::app::Error::from).context("the candidate")?;
    for (index, candidate) in found.iter().enumerate() {
        if let Candidate::Set(path) = candidate {
            meanings[index] = Some(replace(&mut sets, path, &config.descriptors)?);
        }
    }
    let offline = Offline::load_with_sets(config, &sets).context("the candidate does not load")?;
    let named = names.iter().zip(meanings);
    let recognized =
        named.map(|(name, meaning)| Recognized { name: name.clone(), meaning: meaning.unwrap_or_default() });
    Ok((offline, recognized.collect()))
}

/// Returns the only candidate of a kind, with its index.
fn only<'c>(
    found: &'c [Candidate],
    is: impl Fn(&'c Candidate) -> Option<&'c PathBuf>,
) -> Result<Option<(usize, &'c PathBuf)>, Usage> {
    let mut of_kind = found.iter().enumerate().filter_map(|(index, candidate)| Some((index, is(candidate)?)));
    match (of_kind.next(), of_kind.next()) {
        (first, None) => Ok(first),
        _ => Err(Usage(
            "--compare takes one configuration, one customers file and one folder of sets at most; single sets can be \
             several",
        )),
    }
}

/// Puts a set in the place of the one with its file name, and says so.
fn replace(sets: &mut Vec<File>, path: &Path, limits: &config::Descriptors) -> anyhow::Result<String> {
    let settings = config::Descriptors { path: path.into(), ..limits.clone() };
    let read =
        registry::read(&settings).map_err(crate::app::Error::from).with_context(|| path.display().to_string())?;
    let Some(mut set) = read.into_iter().next() else { bail!("{}: it has no set", path.display()) };
    let same: Vec<usize> = (0..sets.len()).filter(|index| last_part(&sets[*index].name) == set.name).collect();
    match same.as_slice() {
        [index] => {
            set.name.clone_from(&sets[*index].name);
            let meaning = format!("a descriptor set; it replaces {}", set.name);
            sets[*index] = set;
            Ok(meaning)
        }
        [] => {
            let known: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
            let meaning = format!(
                "a descriptor set; it is added, because no set in force has its file name ({})",
                known.join(", ")
            );
            sets.push(set);
            sets.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(meaning)
        }
        _ => bail!("{}: several sets in force have this file name; compare a folder of all sets", path.display()),
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Recognizes a candidate by its content.
async fn recognize(name: &str, in_force: &Config) -> anyhow::Result<Candidate> {
    if name.starts_with("s3://") {
        let folder = fetch(name, in_force).await.with_context(|| name.to_owned())?;
        return Ok(Candidate::Sets(folder.path().to_owned(), Some(folder)));
    }
    let path = PathBuf::from(name.strip_prefix("file://").unwrap_or(name));
    if path.is_dir() {
        return Ok(Candidate::Sets(path, None));
    }
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(match kind_of(&bytes) {
        Some(Kind::Customers) => Candidate::Customers(path),
        Some(Kind::Configuration) => Candidate::Configuration(path),
        // Whether it is a set, the registry says.
        Some(Kind::Set) => Candidate::Set(path),
        None => bail!(
            "{}: it is not recognized; a candidate is a descriptor set, a folder or an s3:// prefix of sets, a \
             customers file (`customers: […]`) or a configuration file",
            path.display()
        ),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Customers,
    Configuration,
    Set,
}

/// Returns what a file is. Only YAML has the keys of a configuration or of a customers file; every other file that is
/// no YAML mapping is taken for a set.
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Some(Kind::Set) };
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Object(keys)) if keys.contains_key("customers") => Some(Kind::Customers),
        Ok(Value::Object(keys)) => {
            let known = serde_json::to_value(Config::default()).unwrap_or_default();
            keys.keys().any(|key| known.get(key).is_some()).then_some(Kind::Configuration)
        }
        // A set in which each byte is a character has control characters, so it is no text of YAML.
        _ => text.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r')).then_some(Kind::Set),
    }
}

/// Reads the sets of a prefix into a temporary folder.
async fn fetch(url: &str, in_force: &Config) -> anyhow::Result<TempDir> {
    let settings = config::Store { url: Some(url.to_owned()), kms_key_id: None };
    let clients = Clients::new(&in_force.aws, Network::of_environment()?).await;
    let Some(store) = Store::open(&settings, &clients.shared, &clients.network)? else { bail!("it is no store") };
    copy(&store, &in_force.descriptors).await
}

/// Copies the objects of a store into a temporary folder. Leaves out those that are too large for a set.
async fn copy(store: &Store, limits: &config::Descriptors) -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("protobridge-compare-").tempdir()?;
    let objects = store.list("").await?;
    if objects.is_empty() {
        bail!("there is no object with this prefix");
    }
    let total: u64 = objects.iter().map(|object| object.size).sum();
    if total > limits.max_total_bytes {
        bail!(
            "its objects have {total} bytes, and `descriptors.max_total_bytes` allows {}; name a prefix that has only \
             sets",
            limits.max_total_bytes
        );
    }
    for object in objects {
        let path = folder.path().join(&object.key);
        std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
        std::fs::write(&path, store.get(&object.key).await?)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_recognized_by_its_content() {
        let set = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/descriptors/shop.binpb")).unwrap();
        for (bytes, expected) in [
            (&b"customers: [{id: acme}]"[..], Some(Kind::Customers)),
            (b"{\"customers\": []}", Some(Kind::Customers)),
            (b"queues: []\nprofiles: {}", Some(Kind::Configuration)),
            (b"taps: {customer: [a]}", Some(Kind::Configuration)),
            (b"cases: []", None),
            (b"hello", None),
            (b"", None),
            (b"\n\x0b\n\x09a.proto", Some(Kind::Set)),
            (b"\x1f\x8b\x08", Some(Kind::Set)),
            (&set, Some(Kind::Set)),
        ] {
            assert_eq!(kind_of(bytes), expected, "{:?}", String::from_utf8_lossy(bytes).get(..20));
        }
    }

    #[tokio::test]
    async fn the_sets_of_a_prefix_are_copied_with_their_names() {
        let source = tempfile::tempdir().unwrap();
        let store = Store::folder(source.path().to_owned()).unwrap();
        let limits = config::Descriptors::default();
        assert!(copy(&store, &limits).await.unwrap_err().to_string().contains("no object"));
        store.put("a.binpb", "one".into()).await.unwrap();
        store.put("team/b.binpb", "two".into()).await.unwrap();
        let folder = copy(&store, &limits).await.unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("a.binpb"), read("team/b.binpb")), ("one".to_owned(), "two".to_owned()));
        let small = config::Descriptors { max_total_bytes: 5, ..limits };
        assert!(copy(&store, &small).await.unwrap_err().to_string().contains("6 bytes"));
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists(), "the folder is temporary");
    }
}
