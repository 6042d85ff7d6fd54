"""Compares an unpacked archive of a release with the documents. Exits with an error at the first difference.

    check.py FOLDER COMMIT
"""

import re
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Fields of the ELF header: 64 bits, and the number of the processor.
ELF_64_BITS = 2
ELF_X86_64 = 62


def check(condition, what, *details):
    """Prints what was checked. If the condition is false, exits with an error."""
    if not condition:
        sys.exit("\n".join([f"release test: FAILED: {what}", *map(str, details)]))
    print(f"release test: {what}")


def run(*command):
    """Runs a command, and returns its output."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def check_files(folder):
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    pages = {file for file in files if re.fullmatch(r"man/protobridge[a-z-]*\.1", file)}
    completions = {f"completions/protobridge.{shell}" for shell in ["bash", "fish", "zsh"]}
    others = {"protobridge", "README.md", "CHANGELOG.md", "LICENSE"}
    check(files == pages | completions | others, "the archive has the files that .ci/release lists", sorted(files))
    modes = {file: (folder / file).stat().st_mode & 0o777 for file in files}
    check(
        all(mode == (0o755 if file == "protobridge" else 0o644) for file, mode in modes.items()),
        "every user can read the files, and run the binary alone",
        modes,
    )
    return pages


def check_pages(folder, pages):
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^\| `protobridge ([a-z-]+)` \|", readme, re.MULTILINE)
    missing = [command for command in commands if f"man/protobridge-{command}.1" not in pages]
    check(commands and not missing, "each command of README.md has a manual page", missing)
    titles = {page: (folder / page).read_text() for page in pages}
    wrong = [page for page, text in titles.items() if f".TH {Path(page).stem} 1" not in text]
    check(not wrong, "each manual page has its title", wrong)


def check_completions(folder):
    bash = folder / "completions/protobridge.bash"
    run("bash", "-n", str(bash))
    script = f'source {bash}; COMP_WORDS=(protobridge des); COMP_CWORD=1; _protobridge protobridge des ""; echo "${{COMPREPLY[*]}}"'
    answer = run("bash", "-c", script).strip()
    check(answer == "descriptors", "bash completes `protobridge des`", answer)


def check_binary(binary, commit):
    header = binary.read_bytes()[:20]
    machine = struct.unpack_from("<H", header, 18)[0]
    check(header[:4] == b"\x7fELF" and header[4] == ELF_64_BITS and machine == ELF_X86_64, "the binary is for x86-64")
    version = run(str(binary), "--version").strip()
    check(f"({commit[:12]})" in version, "the binary names the commit", version)


def main():
    folder, commit = Path(sys.argv[1]), sys.argv[2]
    pages = check_files(folder)
    check_pages(folder, pages)
    check_completions(folder)
    check_binary(folder / "protobridge", commit)


main()
