//! Sample payloads in a folder, instead of an archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::engine::{Engine, Subject};
use crate::app::Offline;
use crate::cli::case::{Case, TestFile};
use crate::cli::explain::input;
use crate::delivery::dry_run::Answers;

/// Adds the samples of a folder and of its sub-folders to a comparison, in the order of their names. `queue` is the
/// queue of the files that name none.
///
/// # Errors
/// Returns an error if the folder has no samples, or if one cannot be read: a sample that is left out could be the one
/// that shows a difference.
pub(super) fn compare(
    folder: &Path,
    sides: [&Offline; 2],
    queue: Option<&str>,
    engine: &mut Engine<'_>,
) -> anyhow::Result<()> {
    let files = files(folder)?;
    if files.is_empty() {
        bail!("{}: it has no samples; --help names their forms", folder.display());
    }
    for path in files {
        if engine.is_full() {
            break;
        }
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let place = || path.display().to_string();
        if is_test_file(&path) {
            let file = TestFile::load(&path)?;
            for case in &file.cases {
                if engine.is_full() {
                    break;
                }
                let subject = of_case(case, format!("{name}: {}", case.name), file.folder(), sides);
                add(engine, subject.with_context(place)?);
            }
        } else {
            add(engine, of_file(&path, name, sides, queue).with_context(place)?);
        }
    }
    Ok(())
}

fn add(engine: &mut Engine<'_>, subject: Subject) {
    if engine.takes(&subject.message.queue, &subject.name) {
        engine.add(subject, None);
    }
}

/// Returns the sample that a test case is. Its payload is read with the configuration in force, as its producer writes
/// it today, or else with the candidate, if only that has its type.
fn of_case(case: &Case, name: String, folder: &Path, [old, new]: [&Offline; 2]) -> anyhow::Result<Subject> {
    let message = case.message(old, folder).or_else(|first| case.message(new, folder).map_err(|_| first));
    let objects = case.objects(old, folder).or_else(|first| case.objects(new, folder).map_err(|_| first));
    let case = || -> Result<_, crate::cli::case::Unusable> {
        Ok(Subject { name, message: message?, answers: objects?, schemas: [case.schemas(old)?, case.schemas(new)?] })
    };
    case().map_err(|unusable| anyhow!("{}: {}", unusable.key, unusable.message))
}

/// Returns the sample in a file that is no test file.
fn of_file(path: &Path, name: String, sides: [&Offline; 2], queue: Option<&str>) -> anyhow::Result<Subject> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let payload = match (type_of_name(&stem, sides), &*ending) {
        (Some(_), "json") => json!({"json": serde_json::from_slice::<Value>(&std::fs::read(path)?)?}),
        (Some(_), "txtpb") => json!({"text": std::fs::read_to_string(path)?}),
        (Some(_), _) => json!({"file": path.file_name().unwrap_or_default().to_string_lossy()}),
        (None, "json") => {
            let queue = sides[0].queue(queue).map_err(with_queue)?;
            let attribute = &sides[0].config().envelope.payload_attribute;
            let message = input::read(path, input::Form::Sqs, queue, attribute);
            let message = message.context(
                "its name begins with no known type, as in TYPE.NAME.json, and it is no message as \
                 `aws sqs receive-message` prints it",
            )?;
            return Ok(Subject { name, message, answers: Answers::default(), schemas: [None, None] });
        }
        (None, _) => bail!("its name begins with no known type; name it TYPE.NAME.{ending}"),
    };
    let queue = sides[0].queue(queue).map_err(with_queue)?.label.clone();
    let case = json!({"queue": queue, "type": type_of_name(&stem, sides), "payload": payload});
    of_case(&serde_json::from_value(case)?, name, folder, sides)
}

fn with_queue(error: crate::app::UnknownQueue) -> anyhow::Error {
    anyhow!("{error} with --queue")
}

/// Returns the longest begin of a name that is the name of a known type.
fn type_of_name<'n>(stem: &'n str, sides: [&Offline; 2]) -> Option<&'n str> {
    let is_known = |name: &&str| sides.iter().any(|side| side.snapshot().find(name).is_some());
    let dots = stem.match_indices('.').map(|(dot, _)| &stem[..dot]);
    dots.chain([stem]).rfind(is_known)
}

fn is_test_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// Returns the samples of a folder. Other files and hidden ones are ignored.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let ending = path.extension().unwrap_or_default();
            let is_sample = ["yaml", "yml", "json", "bin", "txtpb"].iter().any(|known| ending == *known);
            match path.is_dir() {
                _ if is_hidden => {}
                true => folders.push(path),
                false if is_sample => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
