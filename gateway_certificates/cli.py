"""The subcommands of ``python -m gateway_certificates``: arguments in, exit status out."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from gateway_certificates import site
from gateway_certificates.files import CertificateRefused, Store, load_chain, set_aside, write_new
from gateway_certificates.making import alternative_names, make_authority, make_device, make_server
from gateway_settings import shared
from gateway_settings.environment import environment, exit_on_bad_setting, read
from gateway_settings.log import shaped
from gateway_settings.private import keep_private
from gateway_settings.values import non_empty

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2

_AUTHORITY_DAYS = 3650
_DAYS = 1825
_HELP = """\
Makes certificates, so that devices and Gateway speak DICOM by TLS and each knows that the other is the right one.

  1. ca              once: the department's authority
  2. server NAME...  once: what worklist and receiver show, by the names and addresses that devices call
  3. device AE       for each device: its certificate; its common name is the AE title, and no other may use it
  4. DICOM_TLS=1     in .env or the environment; restart. From then on every device must show a certificate.

A device needs three files: its certificate and its key (devices/AE.pem and .key), and the authority's certificate,
ca.pem. Try them by:  echoscu +tls CT1.key CT1.pem +cf ca.pem -aet CT1 -aec MWL_SCP NAME 4243

ca.key is the most precious file here: whoever has it can make certificates for any device. Keep a copy offline.
"""
_EPILOG = """\
Settings: DICOM_TLS_DIR (var/tls) is where services find their files, DICOM_AUTHORITY_DIR (var/authority) holds ca.key
and the devices' files. Keys are for their owner alone, and nothing is overwritten.
Exit status: 0 done, 1 not done (the reason is one line on standard error), 2 wrong arguments.
"""

_RENEW = "set the one that is there aside, under another name, and make a new one"

Run = Callable[[Store, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the subcommand, return its exit status."""
    options = _parser().parse_args(arguments)
    keep_private()
    run: Run = options.run
    try:
        with exit_on_bad_setting():
            run(store(), options)
    except CertificateRefused as error:
        print(shaped(str(error)), file=sys.stderr)  # noqa: T201
        return EXIT_REFUSED
    return EXIT_DONE


def store() -> Store:
    """Return where the settings say that certificates are.

    :raises BadSetting: when they can't be used.
    """
    env = environment()
    authority = read(env, "DICOM_AUTHORITY_DIR", non_empty, f"{shared.DATA_DIR.read(env)}/authority")
    return Store(shared.tls_dir(env), Path(authority))


def _parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m gateway_certificates", description=_HELP, epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    authority = _command(commands, "ca", _ca, "make the department's authority")
    authority.add_argument("--name", default="Gateway department authority", help="what it is called [%(default)s]")
    authority.add_argument("--days", type=_days, default=_AUTHORITY_DAYS, help="for how long [%(default)s]")

    server = _command(commands, "server", _server, "make the certificate of worklist and receiver")
    server.add_argument("names", nargs="+", type=_hosts, metavar="NAME", help="host name or address that devices call")
    server.add_argument("--days", type=_days, default=_DAYS, help="for how long [%(default)s]")
    server.add_argument("--renew", action="store_true", help=_RENEW)
    server.add_argument(
        "--if-missing", action="store_true",
        help="as a first start does: make the authority too, and leave alone what is there",
    )  # fmt: skip

    device = _command(commands, "device", _device, "make the certificate of one device")
    device.add_argument("ae_title", type=_ae_title, metavar="AE_TITLE", help="by which the device calls")
    device.add_argument(
        "names", nargs="*", type=_host, metavar="NAME", help="host names and addresses, if it is called too"
    )
    device.add_argument("--days", type=_days, default=_DAYS, help="for how long [%(default)s]")
    device.add_argument("--renew", action="store_true", help=_RENEW)
    device.add_argument(
        "--stdout",
        action="store_true",
        help="print certificate, key and the authority's certificate, for a file elsewhere",
    )

    shown = _command(commands, "show", _show, "print what certificates are there, for whom and until when")
    shown.add_argument("files", nargs="*", type=Path, metavar="FILE", help="certificates elsewhere")

    web = _command(
        commands, "site", _site, "what compose.yaml runs: prepare the certificate of the site's reverse proxy"
    )
    web.add_argument(
        "hosts", type=_hosts, metavar="HOSTS", help="the site's names, comma-separated (DJANGO_ALLOWED_HOSTS)"
    )
    web.add_argument("--folder", type=Path, required=True, help="where the proxy reads")
    web.add_argument("--certificate", type=Path, help="the department's, with its chain, PEM")
    web.add_argument("--key", type=Path, help="its private key, PEM")
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: Run, summary: str
) -> argparse.ArgumentParser:
    made = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    made.set_defaults(run=run)
    return made


def _ca(kept: Store, options: argparse.Namespace) -> None:
    if kept.authority_key.exists():
        raise CertificateRefused(
            f"{kept.authority_key} is there already: with another authority no device would be known any longer"
        )
    made = make_authority(options.name, options.days)
    write_new(made, kept.authority_certificate, kept.authority_key)
    _say(f"made {kept.authority_certificate}, which every device needs,")
    _say(f"and {kept.authority_key}, which nobody else may have")


def _server(kept: Store, options: argparse.Namespace) -> None:
    if options.if_missing:
        if not kept.authority_certificate.exists():
            write_new(
                make_authority("Gateway department authority", _AUTHORITY_DAYS),
                kept.authority_certificate,
                kept.authority_key,
            )
        if kept.server_certificate.exists():
            return
    names = site.nameable([host for hosts in options.names for host in hosts]) or ["localhost"]
    made = make_server(kept.load_authority(), names, options.days)
    _set_aside(options, kept.server_certificate, kept.server_key)
    write_new(made, kept.server_certificate, kept.server_key)
    _say(f"made {kept.server_certificate} and its key, for {', '.join(names)}")


def _device(kept: Store, options: argparse.Namespace) -> None:
    certificate, key = kept.device(options.ae_title)
    authority = kept.load_authority()
    made = make_device(authority, options.ae_title, options.names, options.days)
    _set_aside(options, certificate, key)
    write_new(made, certificate, key)
    if options.stdout:
        sys.stdout.write((made.certificate_pem() + made.key_pem() + authority.certificate_pem()).decode())
        return
    _say(f"made {certificate} and {key}; the device needs both, and {kept.authority_certificate}")
    _say(f"SHA-256 {made.certificate.fingerprint(hashes.SHA256()).hex()}")


def _set_aside(options: argparse.Namespace, *paths: Path) -> None:
    if options.renew:
        set_aside(paths, datetime.datetime.now(datetime.UTC))


def _show(kept: Store, options: argparse.Namespace) -> None:
    paths = options.files or kept.certificates()
    if not paths:
        raise CertificateRefused(f"there are no certificates in {kept.tls} and {kept.authority}")
    now = datetime.datetime.now(datetime.UTC)
    for path in paths:
        certificate = load_chain(path)[0]
        left = (certificate.not_valid_after_utc - now).days
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d} ({f'{left} days' if left >= 0 else 'ended'})"
        _say(f"{path}\n  for      {_subject(certificate)}\n  until    {until}")
        _say(f"  SHA-256  {certificate.fingerprint(hashes.SHA256()).hex()}")


def _site(_: Store, options: argparse.Namespace) -> None:
    for line in site.prepare(options.folder, options.hosts, options.certificate, options.key):
        _say(line)


def _subject(certificate: x509.Certificate) -> str:
    names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ", ".join(names)
    return ", ".join(dict.fromkeys([*names, *(str(name.value) for name in alternative)]))


def _host(text: str) -> str:
    try:
        alternative_names([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",") if host.strip()]
    for host in hosts:
        if host != "*":
            _host(host.removeprefix("."))
    return hosts


def _ae_title(text: str) -> str:
    """Parse an AE title (VR AE, PS3.5 §6.2)."""
    title = text.strip(" ")
    if not 1 <= len(title) <= 16 or any(not " " <= character <= "~" or character == "\\" for character in title):
        raise argparse.ArgumentTypeError(f"{text!r} is not an AE title: 1 to 16 characters of ASCII, no backslash")
    return title


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 to 36500")
    return int(text)


def _say(line: str) -> None:
    print(line)  # noqa: T201
