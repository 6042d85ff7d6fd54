//! The candidates of a comparison: what each file is, by its content, and the configuration that they make together.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::app::{Inputs, Offline, read_sets};
use crate::aws::Clients;
use crate::base::http::Network;
use crate::cli::Usage;
use crate::config::load::{self, Origin};
use crate::config::{self, Config, Location};
use crate::schema::registry::{self, File};

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
    Customers(Location),
    /// A folder of sets, or a prefix of a bucket.
    Sets(Location),
    /// One set: a file, or an object of a bucket.
    Set(Location),
}

/// Loads what the candidates make of the configuration in force, and says what was recognized.
///
/// # Errors
/// Returns an error if a candidate is not recognized, if two cannot be combined, or if one does not load.
pub(super) async fn load(names: &[String], in_force: &Config) -> anyhow::Result<(Offline, Vec<Recognized>)> {
    let mut found = Vec::new();
    for name in names {
        found.push(recognize(name)?);
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
    if let Some((index, place)) = only(&found, |candidate| match candidate {
        Candidate::Customers(place) => Some(place),
        _ => None,
    })? {
        let replaced = std::mem::replace(&mut config.route.customers_file, place.clone());
        meanings[index] = Some(format!("a customers file; it replaces {replaced}"));
    }
    if let Some((index, place)) = only(&found, |candidate| match candidate {
        Candidate::Sets(place) => Some(place),
        _ => None,
    })? {
        let replaced = std::mem::replace(&mut config.descriptors.path, place.clone());
        let kind = if place.path().is_some() { "folder" } else { "prefix" };
        meanings[index] = Some(format!("a {kind} of descriptor sets; it replaces {replaced}"));
    }
    let network = Network::of_environment()?;
    let mut inputs = Inputs::read_with(&config, &network).await.context("the candidate")?;
    for (index, candidate) in found.iter().enumerate() {
        if let Candidate::Set(place) = candidate {
            let set = read(place, &config, &network).await.with_context(|| place.to_string())?;
            meanings[index] = Some(replace(&mut inputs, place, set)?);
        }
    }
    let offline = Offline::of(config, inputs).context("the candidate does not load")?;
    let named = names.iter().zip(meanings);
    let recognized =
        named.map(|(name, meaning)| Recognized { name: name.clone(), meaning: meaning.unwrap_or_default() });
    Ok((offline, recognized.collect()))
}

/// Returns the only candidate of a kind, with its index.
fn only<'c, T>(
    found: &'c [Candidate],
    is: impl Fn(&'c Candidate) -> Option<&'c T>,
) -> Result<Option<(usize, &'c T)>, Usage> {
    let mut of_kind = found.iter().enumerate().filter_map(|(index, candidate)| Some((index, is(candidate)?)));
    match (of_kind.next(), of_kind.next()) {
        (first, None) => Ok(first),
        _ => Err(Usage(
            "--compare takes one configuration, one customers file and one folder of sets at most; single sets can be \
             several",
        )),
    }
}

/// Reads one set: a file, or an object of a bucket.
async fn read(place: &Location, config: &Config, network: &Network) -> anyhow::Result<File> {
    let descriptors = config::Descriptors { path: place.clone(), ..config.descriptors.clone() };
    let read = match place {
        Location::Path(_) => registry::read(&descriptors).map_err(crate::app::Error::from)?,
        Location::Bucket(_) => {
            let clients = Clients::new(&config.aws, network.clone()).await;
            read_sets(&Config { descriptors, ..config.clone() }, &clients).await?
        }
    };
    read.into_iter().next().context("it has no set")
}

/// Puts a set in the place of the one with its file name, and says so.
fn replace(inputs: &mut Inputs, place: &Location, mut set: File) -> anyhow::Result<String> {
    let sets = inputs.sets_mut();
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
        _ => bail!("{place}: several sets in force have this file name; compare a folder of all sets"),
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Recognizes a candidate: a file by its content, an object of a bucket by the ending of its key.
fn recognize(name: &str) -> anyhow::Result<Candidate> {
    let place = Location::from(name);
    if let Some(object) = place.in_bucket() {
        let is_yaml = [".yaml", ".yml"].iter().any(|ending| object.key.ends_with(ending));
        return Ok(match is_yaml {
            true => Candidate::Customers(place),
            false if registry::is_object(object) => Candidate::Set(place),
            false => Candidate::Sets(place),
        });
    }
    let path = PathBuf::from(name.strip_prefix("file://").unwrap_or(name));
    if path.is_dir() {
        return Ok(Candidate::Sets(place));
    }
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(match kind_of(&bytes) {
        Some(Kind::Customers) => Candidate::Customers(place),
        Some(Kind::Configuration) => Candidate::Configuration(path),
        // Whether it is a set, the registry says.
        Some(Kind::Set) => Candidate::Set(place),
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

    #[test]
    fn a_candidate_in_a_bucket_is_recognized_by_its_key() {
        for (name, expected) in [
            ("s3://acme/sets", "Sets"),
            ("s3://acme", "Sets"),
            ("s3://acme/sets/orders.binpb", "Set"),
            ("s3://acme/sets/orders.desc.gz", "Set"),
            ("s3://acme/customers.yaml", "Customers"),
        ] {
            let candidate = recognize(name).unwrap();
            assert!(format!("{candidate:?}").starts_with(&format!("{expected}(Bucket")), "{name}: {candidate:?}");
        }
    }
}
