//! The descriptor sets that a running service has in force, over its admin endpoint.

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::{HeaderMap, StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use strict_config::nearest;

use super::{Usage, inputs};
use crate::base::http::{Http, Network};
use crate::config::{Aws, Descriptors, Location, Taps};
use crate::schema::registry::{self, File, Profiles, Registry, Snapshot};

const CONNECT: Duration = Duration::from_secs(5);
/// The longest time for one answer. A set can be large, and the way to it slow.
const ANSWER: Duration = Duration::from_secs(60);
/// The largest page `/schemas` in bytes. Ten thousand types take about one megabyte.
const MAX_PAGE: usize = 64 << 20;
/// The characters that a path keeps.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The part of the page `/schemas` that this module reads.
#[derive(Debug, Deserialize)]
struct Page {
    sets: Vec<InForce>,
}

/// A set in force.
#[derive(Debug, Deserialize)]
struct InForce {
    name: String,
    hash: String,
    bytes: usize,
    in_force_since: String,
}

/// The admin endpoint of a service.
struct Admin {
    url: String,
    http: Http,
}

impl Admin {
    fn new(url: &Uri) -> anyhow::Result<Self> {
        if url.host().is_none() || !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(Usage("the URL of an admin endpoint is such as http://localhost:8080").into());
        }
        let url = url.to_string();
        let http = Network::of_environment()?.client(CONNECT, ANSWER);
        Ok(Self { url: url.trim_end_matches("/schemas").trim_end_matches('/').to_owned(), http })
    }

    async fn get(&self, path: &str, max_bytes: usize) -> anyhow::Result<bytes::Bytes> {
        let url = format!("{}{path}", self.url);
        let answer = self.http.get(url.parse()?, HeaderMap::new(), max_bytes).await;
        let (status, body) = answer.with_context(|| url.clone())?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND => {
                bail!("{url}: not found; is this the admin endpoint of a protobridge that serves its sets?")
            }
            status => bail!("{url}: {status}"),
        }
    }

    async fn list(&self) -> anyhow::Result<Vec<InForce>> {
        let page = self.get("/schemas", MAX_PAGE).await?;
        let page: Page = serde_json::from_slice(&page).with_context(|| format!("{}/schemas", self.url))?;
        Ok(page.sets)
    }

    /// Fetches a set, and checks that it is the listed version.
    async fn fetch(&self, set: &InForce) -> anyhow::Result<File> {
        let name = &set.name;
        let path = format!("/schemas/sets/{}", utf8_percent_encode(name, PATH));
        let bytes = self.get(&path, set.bytes.saturating_add(1)).await?;
        let found = registry::hash(&bytes);
        if found != set.hash {
            let listed = &set.hash;
            bail!("{name}: version {found} came instead of {listed}; the sets changed meanwhile, so try again");
        }
        Ok(File { name: name.clone(), content: Ok(bytes.into()) })
    }

    async fn fetch_all(&self, sets: &[InForce]) -> anyhow::Result<Vec<File>> {
        let mut files = Vec::new();
        for set in sets {
            files.push(self.fetch(set).await?);
        }
        Ok(files)
    }
}

/// Saves the sets in force at `url` in a folder: all of them, or those that are named.
pub(super) fn save(url: &Uri, folder: &Path, names: &[String]) -> anyhow::Result<ExitCode> {
    let admin = Admin::new(url)?;
    let mut out = anstream::stdout().lock();
    crate::cli::runtime()?.block_on(async {
        let mut sets = admin.list().await?;
        if let Some(name) = names.iter().find(|name| !sets.iter().any(|set| set.name == **name)) {
            bail!("no set in force has the name {name}{}", hint(name, &sets));
        }
        sets.retain(|set| names.is_empty() || names.contains(&set.name));
        for set in &sets {
            let path = folder.join(relative(&set.name)?);
            let File { content, .. } = admin.fetch(set).await?;
            std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(|| path.display().to_string())?;
            std::fs::write(&path, content?).with_context(|| path.display().to_string())?;
            writeln!(out, "{} ({}, in force since {})", path.display(), set.hash, set.in_force_since)?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns the sets in force at `url`, and the sets that would be in force with those at `place`. A folder replaces all sets;
/// a file replaces the set of its name.
pub(super) fn versions(
    url: &Uri,
    place: &Location,
    name: Option<&str>,
) -> anyhow::Result<(Arc<Snapshot>, Arc<Snapshot>)> {
    let admin = Admin::new(url)?;
    let (sets, files) = crate::cli::runtime()?.block_on(async {
        let sets = admin.list().await?;
        let files = admin.fetch_all(&sets).await?;
        anyhow::Ok((sets, files))
    })?;
    let local = inputs::sets(&Descriptors { path: place.clone(), ..Descriptors::default() }, &Aws::default());
    let mut local = local.with_context(|| place.to_string())?;
    let is_folder = match place {
        Location::Path(path) => path.is_dir(),
        Location::Bucket(place) => !registry::is_object(place),
    };
    let mut notes = Vec::new();
    if !is_folder && let [file] = local.as_mut_slice() {
        file.name = name.map_or_else(|| file.name.clone(), str::to_owned);
        if !sets.iter().any(|set| set.name == file.name) {
            let name = &file.name;
            notes.push(format!(
                "no set in force has the name {name}, so it is compared as one more set; with --set NAME it replaces one{}",
                hint(name, &sets)
            ));
        }
    } else if name.is_some() {
        return Err(Usage("--set names one set, and the path is a folder").into());
    }
    for file in &local {
        let Some(set) = sets.iter().find(|set| set.name == file.name) else { continue };
        let hash = file.content.as_ref().map(|bytes| registry::hash(bytes)).unwrap_or_default();
        let InForce { name, hash: in_force, in_force_since, .. } = set;
        notes.push(match hash == *in_force {
            true => format!("{name} is in force in this version ({hash}) since {in_force_since}"),
            false => format!("{name} ({hash}) is compared with {in_force}, in force since {in_force_since}"),
        });
    }
    for note in notes {
        anstream::eprintln!("note: {note}");
    }
    let old = snapshot(&files).with_context(|| admin.url.clone())?;
    let new = if is_folder { local } else { replaced(files, local) };
    Ok((old, snapshot(&new).with_context(|| place.to_string())?))
}

fn snapshot(files: &[File]) -> Result<Arc<Snapshot>, registry::Error> {
    let profiles = Arc::new(Profiles::new(&Default::default()));
    Ok(Registry::of(files, &Descriptors::default(), &Taps::default(), profiles)?.current())
}

/// Returns the files, with `new` ones in place of those of the same names, in the order of their names.
fn replaced(mut files: Vec<File>, new: Vec<File>) -> Vec<File> {
    files.retain(|file| !new.iter().any(|new| new.name == file.name));
    files.extend(new);
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

fn hint(name: &str, sets: &[InForce]) -> String {
    let names = || sets.iter().map(|set| set.name.as_str());
    match nearest(name, names()) {
        Some(near) => format!("; did you mean {near}?"),
        None => format!("; in force: {}", names().collect::<Vec<_>>().join(", ")),
    }
}

/// Returns the path of a set below a folder. A name that leads out of the folder is refused.
fn relative(name: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(name);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_inside || name.is_empty() {
        bail!("the service has a set named {name:?}, which is no path inside a folder; it is not saved");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_saved_only_inside_the_folder() {
        assert_eq!(relative("team/a.binpb").unwrap(), Path::new("team/a.binpb"));
        for name in ["../a.binpb", "/etc/a.binpb", "a/../../b.binpb", ""] {
            assert!(relative(name).is_err(), "{name}");
        }
    }
}
