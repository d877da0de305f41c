"""The department's rules for what a query may see, beside what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from environs import FileAwareEnv

from gateway_settings import shared
from gateway_settings.environment import read as read_setting
from gateway_settings.values import boolean, choice, whole_number
from mwl_admin.worklist.identifier import MAX_INFLATED


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say.

    ``own_only``: a station sees its own steps and unassigned ones of its modality, not everybody's. ``unknown_see``:
    AE titles without a station are let in, and see the list. ``serve_as_before``: also where they are not, those go on
    that were served before an update, until staff have answered for them. ``default_days``: the first and last day,
    from today, that a query without a date sees; None is no limit. ``refuse_above``: above ``maximum_matches`` the
    query is refused, not cut. ``ignore_accents``: names match without regard to accents. ``hide_ended``: finished and
    cancelled steps are hidden. ``offer_started``: a step that one station has started, as it reported by MPPS, is still
    offered to others. ``max_inflated``: bytes that a deflated identifier may grow to.
    """

    own_only: bool = True
    unknown_see: bool = True
    serve_as_before: bool = True
    default_days: tuple[int, int] | None = None
    maximum_matches: int = 1000
    refuse_above: bool = False
    ignore_accents: bool = False
    hide_ended: bool = True
    offer_started: bool = False
    max_inflated: int = MAX_INFLATED


def load(env: FileAwareEnv) -> Policy:
    """Read the policy's settings.

    :raises BadSetting: for the first that can't be used.
    """
    read = partial(read_setting, env)
    # Beyond its own machine nobody is served whom the department doesn't know, unless it says so.
    unknown = shared.MWL_UNKNOWN_STATIONS.read(env)
    return Policy(
        own_only=read("MWL_STATION_SCOPE", choice("own", "all"), "own") == "own",
        unknown_see=unknown == "all" or (unknown == "auto" and shared.MWL_BIND.read(env).is_loopback),
        # What the department has decided by itself, no update overrides.
        serve_as_before=unknown == "auto",
        default_days=read("MWL_DEFAULT_DAYS", days, "off"),
        maximum_matches=read("MWL_MAX_MATCHES", whole_number(1, 9_999_999), "1000"),
        refuse_above=read("MWL_ABOVE_MAX_MATCHES", choice("cut", "refuse"), "cut") == "refuse",
        ignore_accents=read("MWL_NAME_ACCENTS", choice("match", "ignore"), "match") == "ignore",
        hide_ended=read("MWL_ENDED_STEPS", choice("hide", "show"), "hide") == "hide",
        offer_started=read("MWL_OFFER_STARTED", boolean, "0"),
        max_inflated=read("MWL_MAX_INFLATED_BYTES", whole_number(1024, 2**30), "1048576"),
    )


def days(text: str) -> tuple[int, int] | None:
    """Parse the window of an undated query: `-2:+7`, or `off`."""
    text = text.strip()
    if text.lower() == "off":
        return None
    match = re.fullmatch(r"([+-]?\d{1,4}):([+-]?\d{1,4})", text)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(f"{text!r} is neither off nor a first and a last day from today, such as -2:+7")
    return int(match[1]), int(match[2])
