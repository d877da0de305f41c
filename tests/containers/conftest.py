"""compose.yaml built and run for real: one project for all tests of the containers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.cast import CT1, MUELLER_CT
from tests.clients import dcmtk
from tests.clients.compose import Project
from tests.components import demand
from tests.containers.images import IMAGE
from tests.waiting import wait_until

# Where no registry is reached, what trixie has stands in for the image that compose.yaml names.
PROXY_STAND_IN = """\
FROM debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""


def provide_proxy() -> None:
    """Have the proxy's image: pulled where that works, else made from Debian's package of the same branch."""
    image = "haproxy:3.0"
    for command in (["image", "inspect", image], ["pull", "--quiet", image]):
        if subprocess.run(["docker", *command], capture_output=True, timeout=300, check=False).returncode == 0:
            return
    subprocess.run(["docker", "build", "--tag", image, "-"], input=PROXY_STAND_IN, text=True, timeout=600, check=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The image built, everything up and healthy; a station added and an entry made on the site, one image stored."""
    demand("docker")
    provide_proxy()
    made = Project(tmp_path_factory.mktemp("compose"))
    try:
        made.compose("build")
        made.up()
        site = made.site()
        station = site.add_station(ae_title=CT1.ae_title, station_name=CT1.station_name, modality=CT1.modality)
        site.add_entry(**MUELLER_CT.form(), step_stations=[station])
        wait_until(lambda: dcmtk.store(made.pacs_port, IMAGE, calling=CT1.ae_title).succeeded, timeout=30,
                   what="the receiver knows the new station")  # fmt: skip
        yield made
    except BaseException:
        print(made.compose("logs", "--tail", "60"))
        raise
    finally:
        made.remove()
