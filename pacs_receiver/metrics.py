"""What the receiver counts, for `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

INSTANCES = Counter("pacs_instances", "Instances stored")
BYTES = Counter("pacs_received_bytes", "Bytes of data sets stored")
DUPLICATES = Counter("pacs_duplicates", "Instances that came again with the same bytes")
CONFLICTS = Counter("pacs_conflicts", "Instances that came again with different bytes")
ODD = Counter("pacs_odd", "Instances stored as they came though their encoding is odd")
REFUSED = Counter("pacs_refused", "Instances refused, by status", ["status"])
STORE_SECONDS = Histogram(
    "pacs_store_seconds",
    "Time from an instance's command to its answer",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
FREE_BYTES = Gauge("pacs_free_bytes", "Free bytes above the reserve", multiprocess_mode="livemostrecent")
RUNWAY_DAYS = Gauge(
    "pacs_runway_days", "Days until the reserve is reached, at the last week's rate", multiprocess_mode="livemostrecent"
)
SET_ASIDE = Gauge(
    "pacs_set_aside", "Instances of which newer bytes wait to be settled", multiprocess_mode="livemostrecent"
)
MIXED_UP = Gauge(
    "pacs_mixed_up_studies",
    "Studies with images of different patients under one Study Instance UID",
    multiprocess_mode="livemostrecent",
)
