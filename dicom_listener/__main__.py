"""`python -m dicom_listener`: what belongs to both DICOM services and is done by hand."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Sequence

from dicom_listener.credentials import PasscodeHash
from gateway_settings.values import ae_title

_SHORTEST = 8

_ABOUT = """\
Prints an entry for the file that MWL_USER_IDENTITIES_FILE and PACS_USER_IDENTITIES_FILE name. The passcode is asked for
on the terminal, or read as one line of standard input; the entry holds its hash only.

  python -m dicom_listener identity ct1 --ae-title CT1 >> identities.toml

The services read the file again when it changes. Whether a device must identify itself is said by
MWL_REQUIRE_USER_IDENTITY and PACS_REQUIRE_USER_IDENTITY. Try it with DCMTK:

  storescu -aet CT1 --user ct1 --password PASSCODE --pos-response localhost 4244 FILE
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m dicom_listener", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    identity = commands.add_parser(
        "identity",
        help="make an entry for the file of user identities",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    identity.add_argument("name", metavar="NAME", help="user name, as the device sends it")
    identity.add_argument(
        "--ae-title", action="append", default=[], type=ae_title, metavar="TITLE",
        help="calling AE title to which the user is bound; may be given several times; any when left out",
    )  # fmt: skip
    identity.add_argument(
        "--no-passcode", action="store_true", help="the name is enough: for devices that send nothing else"
    )
    options = parser.parse_args(arguments)
    if not options.name.strip():
        parser.error("NAME must not be empty")
    if options.no_passcode:
        lines = ["passcode_required = false"]
    else:
        passcode = _passcode()
        if len(passcode) < _SHORTEST:
            parser.error(f"a passcode needs at least {_SHORTEST} characters")
        lines = [f"passcode = {_quoted(str(PasscodeHash.of(passcode.encode())))}"]
    lines.append(f"ae_titles = [{', '.join(_quoted(title) for title in options.ae_title)}]")
    print("[[user]]", f"name = {_quoted(options.name)}", *lines, "", sep="\n")  # noqa: T201 - what the command is for
    return 0


def _passcode() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    passcode = getpass.getpass("Passcode: ", sys.stderr)
    if getpass.getpass("The same again: ", sys.stderr) != passcode:
        print("The two differ.", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    return passcode


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON string is a basic string of TOML


if __name__ == "__main__":
    sys.exit(main())
