//! `protobridge transcode`: reads Protobuf on standard input and writes JSON on standard output.

use std::io::{self, BufRead, BufWriter, Read as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::Usage;
use super::config_file::ConfigFile;
use super::inputs;
use super::profile::{self, ProfileChoice};
use crate::config::{Aws, Descriptors, Location};
use crate::message::envelope;
use crate::message::{QuarantineKind, QuarantineReason};
use crate::schema::registry::{ProfileId, Snapshot};
use crate::schema::transcode;

/// Arguments of `transcode`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    // The file has the descriptor sets, the named profiles and the customers.
    #[command(flatten)]
    config: ConfigFile,
    /// Compiled descriptor sets, instead of those of the configuration: a folder, one file, or s3://BUCKET/PREFIX
    #[arg(long, value_name = "PATH")]
    descriptors: Option<Location>,
    /// Full name of the message type, such as shop.v1.OrderPlaced
    #[arg(long = "type", value_name = "NAME")]
    message_type: Option<String>,
    /// The form of the JSON: the name of a profile of the configuration, or settings separated by commas:
    /// field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex,
    /// unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false
    /// [default: the profile of the customer, or `default`]
    #[arg(long, value_name = "NAME or KEY=VALUE,…")]
    profile: Option<ProfileChoice>,
    /// Customer whose profile is used; must be in the customers file. If --profile is given too, that profile is used
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    /// The format of standard input
    #[arg(long, value_enum, default_value_t = Input::Raw)]
    input: Input,
    /// The largest JSON of one message in bytes; a larger one is an error, as with a topic that accepts no more
    #[arg(long, value_name = "BYTES", default_value_t = usize::MAX, hide_default_value = true)]
    max_bytes: usize,
}

const EXAMPLES: &str = "\
Examples:
  protobridge transcode --descriptors descriptors \\
    --type shop.v1.OrderPlaced < order.bin
  echo 'shop.v1.OrderPlaced<TAB>CgIIAQ==' |
    protobridge transcode --descriptors descriptors --input base64-lines
  protobridge transcode --config protobridge.yaml --customer acme \\
    --type shop.v1.OrderPlaced < order.bin

With --input base64-lines, each input line gives one output line, in order. A line that cannot be transcoded gives \
`error: CODE: message`; the command goes on, and exits with code 1 at the end.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Input {
    /// One message in the wire format; the whole input is its payload
    Raw,
    /// One message per line in base64; `TYPE<TAB>BASE64` without --type
    Base64Lines,
}

/// Transcodes standard input. The exit code is 1 if a message cannot be transcoded.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.message_type.is_none() && matches!(args.input, Input::Raw) {
        return Err(Usage(
            "--input raw requires --type, because the wire format does not contain the name of the type",
        )
        .into());
    }
    let Setup { snapshot, profile, path } = setup(args)?;
    let fixed = args.message_type.as_deref();
    if let Some(name) = fixed
        && snapshot.find(name).is_none()
    {
        bail!("no descriptor set in {} defines the message type {name}{}", path, hint(&snapshot, name));
    }
    let form = (profile, args.max_bytes);
    let mut out = BufWriter::new(io::stdout().lock());
    let all_succeeded = match (args.input, fixed) {
        (Input::Raw, Some(name)) => {
            let mut payload = Vec::new();
            io::stdin().lock().read_to_end(&mut payload)?;
            match json(&snapshot, name, &payload, form) {
                Ok(json) => writeln!(out, "{json}")?,
                Err(QuarantineReason { kind, detail }) => bail!("{kind}: {detail}"),
            }
            true
        }
        (_, fixed) => lines(io::stdin().lock(), &mut out, |line| transcode_line(line, &snapshot, fixed, form))?,
    };
    out.flush()?;
    Ok(if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The descriptor sets, and the profile in which the JSON is written.
struct Setup {
    snapshot: Arc<Snapshot>,
    profile: ProfileId,
    /// The path of the sets.
    path: Location,
}

fn setup(args: &Args) -> anyhow::Result<Setup> {
    let config = match &args.descriptors {
        // Sets that are named alone must not depend on the folder that the command runs in.
        Some(_) if !args.config.is_named() && args.customer.is_none() => None,
        None if args.config.if_present().is_none() => {
            return Err(Usage("use --config FILE or --descriptors PATH; this folder has no protobridge.yaml").into());
        }
        _ => Some(args.config.load()?),
    };
    let choice = args.profile.clone().unwrap_or_default();
    let Some(mut config) = config else {
        let path = args.descriptors.clone().unwrap_or(Location::Path(PathBuf::new()));
        let (profiles, profile) = choice.among(&Default::default(), false)?;
        let settings = Descriptors { path: path.clone(), ..Descriptors::default() };
        let registry = inputs::registry(&settings, &Aws::default(), Arc::new(profiles)).context("--descriptors")?;
        return Ok(Setup { snapshot: registry.current(), profile, path });
    };
    if let Some(place) = &args.descriptors {
        config.descriptors.path.clone_from(place);
    }
    config.profiles = choice.added_to(config.profiles);
    let (profiles, profile) = choice.among(&config.profiles, true)?;
    let Some(id) = &args.customer else {
        let registry = inputs::registry(&config.descriptors, &config.aws, Arc::new(profiles));
        let snapshot = registry.map_err(inputs::of_configuration)?.current();
        return Ok(Setup { snapshot, profile, path: config.descriptors.path });
    };
    let loaded = inputs::load(&config)?;
    let customer = profile::find_customer(&loaded.routes.current(), id, &config)?;
    let profile = args.profile.as_ref().map_or(customer.profile, |_| profile);
    Ok(Setup { snapshot: loaded.registry.current(), profile, path: config.descriptors.path })
}

/// Writes one line for each input line, and returns whether all of them were transcoded.
fn lines(
    mut input: impl BufRead,
    out: &mut impl Write,
    transcode: impl Fn(&[u8]) -> Result<Arc<String>, QuarantineReason>,
) -> io::Result<bool> {
    let mut all_succeeded = true;
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(all_succeeded);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        match transcode(text.strip_suffix(b"\r").unwrap_or(text)) {
            Ok(json) => writeln!(out, "{json}")?,
            Err(QuarantineReason { kind, detail }) => {
                all_succeeded = false;
                // A detail that contains line breaks must not become several lines.
                writeln!(out, "error: {kind}: {}", detail.replace(['\n', '\r'], " "))?;
            }
        }
    }
}

fn transcode_line(
    line: &[u8],
    snapshot: &Snapshot,
    fixed: Option<&str>,
    form: (ProfileId, usize),
) -> Result<Arc<String>, QuarantineReason> {
    let line = std::str::from_utf8(line).map_err(|_| QuarantineKind::BadEnvelope.because("the line is not UTF-8"))?;
    let (name, text) = match fixed {
        Some(name) => (name, line),
        None => line.split_once('\t').ok_or_else(|| {
            QuarantineKind::BadEnvelope.because("the line has no tab; write TYPE<TAB>BASE64, or use --type")
        })?,
    };
    let payload = envelope::decode_base64(text)
        .map_err(|error| QuarantineKind::BadEnvelope.because(format_args!("the line is not base64: {error}")))?;
    json(snapshot, name, &payload, form)
}

/// Returns the JSON of a payload in a profile, with a largest size in bytes.
fn json(
    snapshot: &Snapshot,
    name: &str,
    payload: &[u8],
    (profile, max_bytes): (ProfileId, usize),
) -> Result<Arc<String>, QuarantineReason> {
    let unknown = || {
        QuarantineKind::UnknownType.because(format_args!("no descriptor set defines {name}{}", hint(snapshot, name)))
    };
    let event_type = snapshot.find(name.trim()).ok_or_else(unknown)?;
    transcode::Transcoder::new(event_type, payload, profile, max_bytes)?.json(profile, max_bytes)
}

/// Returns the end of an error message about an unknown type: a similar name, or the command that lists all names.
fn hint(snapshot: &Snapshot, name: &str) -> String {
    match strict_config::nearest(name, snapshot.type_names()) {
        Some(known) => format!("; did you mean {known}?"),
        None => "; `protobridge descriptors list` shows all types".to_owned(),
    }
}
