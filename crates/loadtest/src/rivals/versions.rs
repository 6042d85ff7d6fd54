//! The versions of the languages and libraries, as the lock files name them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Options;
use super::build::SOURCES;
use super::contestant::Contestant;

/// Returns the versions in words.
pub(super) fn of(contestant: Contestant, options: &Options) -> String {
    let (program, argument, lock, libraries) = match contestant {
        Contestant::Protobridge if options.service.is_some() => {
            return "a given binary, default configuration".to_owned();
        }
        Contestant::Protobridge => return format!("cargo profile `{}`, default configuration", options.profile),
        Contestant::Floor => {
            ("rustc", "--version", "../../../Cargo.lock", &["aws-sdk-sqs", "aws-sdk-sns", "aws-smithy-runtime"][..])
        }
        Contestant::Rust => (
            "rustc",
            "--version",
            "rust/Cargo.lock",
            &["aws-sdk-sqs", "aws-sdk-sns", "prost-reflect", "serde_json"][..],
        ),
        Contestant::Go => {
            let sdk = "github.com/aws/aws-sdk-go-v2/service";
            return versions(
                "go",
                "version",
                "go/go.mod",
                &[&format!("{sdk}/sqs"), &format!("{sdk}/sns"), "google.golang.org/protobuf"],
            );
        }
        Contestant::Node => {
            let libraries = &["@aws-sdk/client-sqs", "@aws-sdk/client-sns", "@bufbuild/protobuf"][..];
            ("node", "--version", "node/package-lock.json", libraries)
        }
        Contestant::Python => ("python3", "--version", "python/requirements.txt", &["boto3", "protobuf"][..]),
    };
    versions(program, argument, lock, libraries)
}

fn versions(program: &str, argument: &str, lock: &str, libraries: &[&str]) -> String {
    let output = Command::new(program).arg(argument).output().ok();
    let language = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let lock = fs::read_to_string(Path::new(SOURCES).join(lock)).unwrap_or_default();
    let libraries = libraries.iter().map(|name| {
        let version = version(&lock, name).unwrap_or("?");
        format!("{} {version}", name.trim_start_matches("github.com/"))
    });
    let program = if program == "node" { "Node " } else { "" };
    let language = format!("{program}{}", language.trim());
    std::iter::once(language).chain(libraries).collect::<Vec<_>>().join(", ")
}

/// Returns the version of a library in the lock file of any of the languages. Each names a library and then its
/// version, on the same line or on the next one.
fn version<'l>(lock: &'l str, library: &str) -> Option<&'l str> {
    let is_separator = |char: char| char.is_whitespace() || "\"'=:,{}\\".contains(char);
    let mut words = lock.split(is_separator).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.strip_prefix("node_modules/").unwrap_or(word) != library {
            continue;
        }
        let next = words.clone().find(|word| *word != "version")?;
        if next.trim_start_matches('v').starts_with(|char: char| char.is_ascii_digit()) {
            return Some(next.trim_start_matches('v'));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_the_lock_file_of_each_language() {
        let cargo = "name = \"a\"\ndependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"1.2.3\"\n";
        assert_eq!(version(cargo, "b"), Some("1.2.3"));
        assert_eq!(version("require (\n\tgithub.com/x/y v1.4.0\n)\n", "github.com/x/y"), Some("1.4.0"));
        let npm = r#"{"": {"dependencies": {"@x/y": "2.0.0"}}, "node_modules/@x/y": {"version": "2.0.0"}}"#;
        assert_eq!(version(npm, "@x/y"), Some("2.0.0"));
        assert_eq!(version("boto3==1.44.8 \\\n    --hash=sha256:00\n", "boto3"), Some("1.44.8"));
        assert_eq!(version("boto3==1.44.8", "protobuf"), None);
    }

    #[test]
    fn every_library_has_a_version() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            options: Options,
        }
        let options = <Cli as clap::Parser>::parse_from(["loadtest"]);
        for contestant in Contestant::all() {
            let versions = of(contestant, &options.options);
            assert!(!versions.contains(" ?"), "{contestant}: {versions}");
        }
    }
}
