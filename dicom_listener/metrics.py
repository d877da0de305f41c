"""What the listener counts, for `/metrics`: the same names in both services, each in a process family of its own."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Counter("dicom_connections", "TCP connections accepted")
ASSOCIATIONS = Counter("dicom_associations", "Associations accepted")
REJECTED = Counter("dicom_associations_rejected", "A-ASSOCIATE-RJ sent, by reason", ["reason"])
ENDED = Counter("dicom_associations_ended", "Associations that ended, by how", ["how"])
LIMITED = Counter("dicom_limits", "Peers cut off by a limit, by which", ["limit"])
ACTIVE = Gauge("dicom_associations_open", "Associations open now", multiprocess_mode="livesum")
MESSAGES = Counter("dicom_messages", "DIMSE requests answered, by command and status", ["command", "status"])
OPERATION_SECONDS = Histogram(
    "dicom_operation_seconds",
    "From the complete command set to the final response, by command",
    ["command"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
TLS_FAILED = Counter("dicom_tls_failures", "TLS handshakes that failed")
ACCEPT_ERRORS = Counter("dicom_accept_errors", "Errors of accept(), as too many open files")
WORKER_RESTARTS = Counter("dicom_worker_restarts", "Worker processes replaced after they died")
