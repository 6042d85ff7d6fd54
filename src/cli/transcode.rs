//! `protobridge transcode`: reads Protobuf on standard input and writes JSON on standard output.

use std::io::{self, BufRead, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::Usage;
use crate::config::{Bytes, Descriptors, Enums, FieldNames, Int64, InvalidUtf8, Profile, Taps, UnknownAny};
use crate::message::envelope;
use crate::message::{QuarantineKind, QuarantineReason};
use crate::schema::registry::{ProfileId, Profiles, Registry, Snapshot};
use crate::schema::transcode;

/// Arguments of `transcode`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Compiled descriptor sets: a folder, or one file
    #[arg(long, value_name = "PATH")]
    descriptors: PathBuf,
    /// Full name of the message type, such as shop.v1.OrderPlaced
    #[arg(long = "type", value_name = "NAME")]
    message_type: Option<String>,
    /// The form of the JSON, as settings separated by commas: field-names=json|proto, int64=string|number,
    /// enums=name|number, bytes=base64|base64url|hex, unknown-any=refuse|bytes, invalid-utf8=refuse|replace,
    /// emit-defaults=true|false
    #[arg(long, value_name = "KEY=VALUE,…", default_value = "")]
    profile: ProfileArg,
    /// The format of standard input
    #[arg(long, value_enum, default_value_t = Input::Raw)]
    input: Input,
    /// The largest JSON of one message in bytes; a larger one is an error, as with a topic that accepts no more
    #[arg(long, value_name = "BYTES", default_value_t = usize::MAX, hide_default_value = true)]
    max_bytes: usize,
}

const EXAMPLES: &str = "\
Examples:
  protobridge transcode --descriptors descriptors --type shop.v1.OrderPlaced < order.bin
  echo 'shop.v1.OrderPlaced<TAB>CgIIAQ==' | protobridge transcode --descriptors descriptors --input base64-lines

With --input base64-lines, each input line gives one output line, in order. A line that cannot be transcoded gives \
`error: CODE: message`; the command goes on, and exits with code 1 at the end.";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Input {
    /// One message in the wire format; the whole input is its payload
    Raw,
    /// One message per line in base64; `TYPE<TAB>BASE64` without --type
    Base64Lines,
}

/// A profile that is spelled out on the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct ProfileArg(pub(super) Profile);

impl FromStr for ProfileArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut profile = Profile::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            match pair {
                "field-names=json" => profile.field_names = FieldNames::Json,
                "field-names=proto" => profile.field_names = FieldNames::Proto,
                "int64=string" => profile.int64 = Int64::String,
                "int64=number" => profile.int64 = Int64::Number,
                "enums=name" => profile.enums = Enums::Name,
                "enums=number" => profile.enums = Enums::Number,
                "bytes=base64" => profile.bytes = Bytes::Base64,
                "bytes=base64url" => profile.bytes = Bytes::Base64Url,
                "bytes=hex" => profile.bytes = Bytes::Hex,
                "unknown-any=refuse" => profile.unknown_any = UnknownAny::Refuse,
                "unknown-any=bytes" => profile.unknown_any = UnknownAny::Bytes,
                "invalid-utf8=refuse" => profile.invalid_utf8 = InvalidUtf8::Refuse,
                "invalid-utf8=replace" => profile.invalid_utf8 = InvalidUtf8::Replace,
                "emit-defaults=true" => profile.emit_defaults = true,
                "emit-defaults=false" => profile.emit_defaults = false,
                _ => {
                    return Err(format!(
                        "`{pair}` is not one of field-names=json|proto, int64=string|number, enums=name|number, bytes=base64|base64url|hex, unknown-any=refuse|bytes, invalid-utf8=refuse|replace, emit-defaults=true|false"
                    ));
                }
            }
        }
        Ok(Self(profile))
    }
}

/// Transcodes standard input. The exit code is 1 if a message cannot be transcoded.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.message_type.is_none() && matches!(args.input, Input::Raw) {
        return Err(Usage(
            "--input raw requires --type, because the wire format does not contain the name of the type",
        )
        .into());
    }
    let snapshot = load(&args.descriptors, &args.profile.0)?;
    let fixed = args.message_type.as_deref();
    if let Some(name) = fixed
        && snapshot.find(name).is_none()
    {
        bail!(
            "no descriptor set in {} defines the message type {name}{}",
            args.descriptors.display(),
            hint(&snapshot, name)
        );
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let all_succeeded = match (args.input, fixed) {
        (Input::Raw, Some(name)) => {
            let mut payload = Vec::new();
            io::stdin().lock().read_to_end(&mut payload)?;
            match json(&snapshot, name, &payload, args.max_bytes) {
                Ok(json) => writeln!(out, "{json}")?,
                Err(QuarantineReason { kind, detail }) => bail!("{kind}: {detail}"),
            }
            true
        }
        (_, fixed) => {
            lines(io::stdin().lock(), &mut out, |line| transcode_line(line, &snapshot, fixed, args.max_bytes))?
        }
    };
    out.flush()?;
    Ok(if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(path: &Path, profile: &Profile) -> anyhow::Result<Arc<Snapshot>> {
    let profiles = Profiles::new(&[("default".to_owned(), profile.clone())].into());
    let settings = Descriptors { path: path.to_owned(), ..Descriptors::default() };
    Ok(Registry::load(&settings, &Taps::default(), Arc::new(profiles)).context("--descriptors")?.current())
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
    max_bytes: usize,
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
    json(snapshot, name, &payload, max_bytes)
}

fn json(snapshot: &Snapshot, name: &str, payload: &[u8], max_bytes: usize) -> Result<Arc<String>, QuarantineReason> {
    let unknown = || {
        QuarantineKind::UnknownType.because(format_args!("no descriptor set defines {name}{}", hint(snapshot, name)))
    };
    let event_type = snapshot.find(name.trim()).ok_or_else(unknown)?;
    transcode::Transcoder::new(event_type, payload, ProfileId::default(), max_bytes)?.json(ProfileId::default())
}

/// Returns the end of an error message about an unknown type: a similar name, or the command that lists all names.
fn hint(snapshot: &Snapshot, name: &str) -> String {
    match strict_config::nearest(name, snapshot.type_names()) {
        Some(known) => format!("; did you mean {known}?"),
        None => "; `protobridge descriptors list` shows all types".to_owned(),
    }
}
