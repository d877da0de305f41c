"""Tokens of systems that use the HTTP API."""

import datetime
from argparse import ArgumentTypeError
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from mwl_admin.management.terminal import PlainCommand
from mwl_admin.models import APIClient, Station


class Command(PlainCommand):
    help = "Makes, renews, lists and ends tokens of the HTTP API. A token is shown once, when it is made."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        make = actions.add_parser("make", help="make a client and show its token")
        make.add_argument("name", help="which system it is")
        make.add_argument("--write", action="store_true", help="it may also make, change and cancel entries")
        make.add_argument("--no-read", action="store_true", help="it may not search and read")
        make.add_argument("--station", metavar="AE_TITLE", help="the modality that it is, and whose profile applies")
        make.add_argument("--until", metavar="YYYY-MM-DD", type=_day, help="the token's last day")
        renew = actions.add_parser("renew", help="show a new token; the old one ends at once")
        renew.add_argument("name")
        renew.add_argument("--until", metavar="YYYY-MM-DD", type=_day, help="the new token's last day")
        end = actions.add_parser("end", help="switch a client off")
        end.add_argument("name")
        actions.add_parser("list", help="list the clients")

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _make(self, options: dict[str, Any]) -> None:
        station = None
        if options["station"]:
            station = Station.objects.filter(ae_title=options["station"]).first()
            if station is None:
                raise CommandError(f"No station has the AE title {options['station']}")
        try:
            _, token = APIClient.create(
                name=options["name"],
                can_read=not options["no_read"],
                can_write=options["write"],
                station=station,
                expires_on=options["until"],
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(token)

    def _renew(self, options: dict[str, Any]) -> None:
        client = self._client(options["name"])
        client.expires_on = options["until"] or client.expires_on
        if client.has_expired:
            raise CommandError(f"The token was valid until {client.expires_on}: say --until when the new one is")
        token = client.make_token()
        client.save()
        self.stdout.write(token)

    def _end(self, options: dict[str, Any]) -> None:
        client = self._client(options["name"])
        client.enabled = False
        client.save()
        self.stdout.write(f"{client} is switched off")

    def _list(self, options: dict[str, Any]) -> None:
        for client in APIClient.objects.select_related("station"):
            scopes = [scope for scope, may in (("read", client.can_read), ("write", client.can_write)) if may]
            reach = f" of {client.station.ae_title}" if client.station else ""
            used = f"{client.last_used_at:%Y-%m-%d %H:%M} UTC" if client.last_used_at else "never"
            told = [f"{', '.join(scopes)}{reach}", f"last used {used}", *_life(client)]
            self.stdout.write(f"{client.token_start}… {client}: {'; '.join(told)}")

    def _client(self, name: str) -> APIClient:
        client = APIClient.objects.filter(name=name).first()
        if client is None:
            raise CommandError(f"There is no client called {name}")
        return client


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day such as 2027-01-31") from None


def _life(client: APIClient) -> list[str]:
    """Return what ends the token, or has ended it."""
    if not client.enabled:
        return ["off"]
    if client.has_expired:
        return [f"EXPIRED on {client.expires_on}"]
    if client.expires_soon:
        return [f"EXPIRES SOON: valid until {client.expires_on}"]
    return [f"valid until {client.expires_on}"] if client.expires_on else []
