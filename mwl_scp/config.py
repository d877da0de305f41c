"""Settings of the worklist provider: the listener's, the worklist's rules, and how long queries are kept."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from environs import FileAwareEnv

from dicom_listener.config import ListenerConfig, load_listener
from gateway_settings import shared
from gateway_settings.environment import read
from gateway_settings.values import whole_number
from mwl_admin.worklist.policy import Policy
from mwl_scp.recording_limits import RecordingLimits


@dataclass(frozen=True, slots=True)
class Config:
    """What `python -m mwl_scp` runs by. ``retention_days``: recorded queries are deleted after so many; 0 is never."""

    listener: ListenerConfig
    policy: Policy
    record_queries: bool
    retention_days: int
    record_limits: RecordingLimits


def load(env: FileAwareEnv) -> Config:
    """Read the settings; those that the site has too are the site's (:mod:`mwl_admin.settings`).

    :raises BadSetting: for the first that can't be used.
    """
    return Config(
        listener=load_listener(
            env,
            "MWL",
            name="mwl_scp",
            ae_title=shared.MWL_AE_TITLE,
            bind=shared.MWL_BIND,
            health_bind=shared.MWL_HEALTH_BIND,
            workers=1,
        ),
        policy=settings.WORKLIST_POLICY,
        record_queries=settings.RECORD_QUERIES,
        retention_days=read(env, "MWL_QUERY_RETENTION_DAYS", whole_number(0, 36_500), "30"),
        record_limits=RecordingLimits(
            keys=read(env, "MWL_RECORD_KEY_BYTES", whole_number(1024, 1024**2), "16384"),
            waiting=read(env, "MWL_RECORD_QUEUE_BYTES", whole_number(65_536, 1024**3), "16777216"),
            total=read(env, "MWL_RECORD_MAX_BYTES", whole_number(0, 1024**4), "1073741824"),
        ),
    )
