"""A storage server as pynetdicom's documentation would have it: the peer of the rows that name it."""

from __future__ import annotations

import sys
from pathlib import Path

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event


def main(port: int, folder: Path) -> None:
    """Serve until the process is ended; files go to ``folder``."""

    def store(event: Event) -> int:
        name = getattr(event.request, "AffectedSOPInstanceUID")  # noqa: B009 - typed for every request
        (folder / f"{name}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    ae = AE("STOCK")
    ae.maximum_associations = 1000
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context("1.2.840.10008.1.1")
    ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
