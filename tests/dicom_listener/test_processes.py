"""Master, workers and health process: what stops, what is replaced, what goes on (real processes and signals)."""

from __future__ import annotations

import os
import resource
import signal
import time

import psutil
import pytest

from tests.clients.raw import COMMAND, LAST, RawPeer, association_request, find, identifier, p_data, pdv, store
from tests.dicom_listener.conftest import StartToy
from tests.dicom_listener.toy_process import ToyProcess
from tests.pace import Stopwatch
from tests.waiting import wait_until


def wait_in_operation(toy: ToyProcess) -> RawPeer:
    """A peer whose C-FIND is at work until the flag `go` is there."""
    peer = toy.associated()
    peer.send_message(5, find(), identifier("WAIT"))
    assert peer.read_message().status == 0xFF00
    wait_until(toy.flag("waiting").exists)
    return peer


# -- stopping


def test_sigterm_lets_operations_finish_and_ends_idle_associations(start_toy: StartToy) -> None:
    toy = start_toy()
    idle, silent = [toy.associated() for _ in range(4)], toy.peer()
    busy, storing = wait_in_operation(toy), toy.associated()
    storing.send(p_data(pdv(3, COMMAND | LAST, store(1, "1.2.77"))), p_data(pdv(3, 0, b"begun ")))
    wait_until(lambda: len(list((toy.folder / "toy" / "incoming").iterdir())) == 1)
    toy.master.terminate()
    for peer in idle:
        assert peer.read_pdu().abort == (0, 0)
        assert peer.is_ended()
    assert silent.is_ended()
    with pytest.raises(OSError, match="refused"):
        toy.peer()
    storing.send(p_data(pdv(3, LAST, b"finished")))
    assert storing.read_message().status == 0
    assert storing.read_pdu().abort == (0, 0)
    storing.sock.close()
    assert toy.is_running(), "an operation is at work"
    toy.flag("go").touch()
    assert busy.read_message().status == 0
    assert busy.read_pdu().abort == (0, 0)
    busy.sock.close()
    assert toy.wait(60) == 0
    assert toy.stored()["1.2.77"].read_bytes() == b"begun finished"
    assert len(list((toy.folder / "toy" / "flags").glob("closed-*"))) == 2, "each worker closed its service"
    assert "ERROR" not in toy.log_text()
    for peer in (*idle, silent):
        peer.sock.close()


def test_an_association_that_is_asked_for_meanwhile_is_rejected_for_now(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="1")
    request = association_request()
    [worker] = toy.workers()
    with wait_in_operation(toy) as busy:
        before = worker.num_fds()
        late = toy.peer()
        wait_until(lambda: worker.num_fds() == before + 1)
        late.send(request[:80])
        assert worker.num_threads() == 2, "a request that is not complete costs no thread"
        toy.master.terminate()
        wait_until(lambda: "stopping" in toy.log_text())
        late.send(request[80:])
        assert late.read_pdu().rejection == (2, 3, 1)
        late.sock.close()
        toy.flag("go").touch()
        assert busy.read_message().status == 0
    assert toy.wait(60) == 0
    assert "because='service stops'" in toy.log_text()


def test_an_operation_that_outlasts_the_time_to_stop_is_cut(start_toy: StartToy) -> None:
    toy = start_toy(TOY_STOP_SECONDS="0.5")
    with wait_in_operation(toy) as busy:
        watch = Stopwatch()
        toy.master.terminate()
        assert busy.is_ended()
        assert toy.wait(60) == 0
        assert watch.is_below(6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_at_rest_stops_at_once(start_toy: StartToy, number: signal.Signals) -> None:
    toy = start_toy()
    family = toy.master.children(recursive=True)
    watch = Stopwatch()
    toy.master.send_signal(number)
    assert toy.wait(60) == 0
    assert watch.is_below(3)
    assert not any(process.is_running() for process in family)


def test_a_sigterm_to_the_whole_group_stops_as_well(start_toy: StartToy) -> None:
    toy = start_toy()
    os.killpg(toy.pid, signal.SIGTERM)
    assert toy.wait(60) == 0


# -- dying


def test_a_killed_worker_is_replaced_and_its_mates_go_on(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="2", TOY_MAX_ASSOCIATIONS="40", TOY_MAX_ASSOCIATIONS_PER_ADDRESS="40")
    peers = [toy.associated()]
    while len(peers) < 40 and any(worker.num_threads() == 1 for worker in toy.workers()):
        peers.append(toy.associated())  # whichever worker is awake takes it: until each has one
    victim = max(toy.workers(), key=lambda worker: worker.num_threads())
    mate = next(worker for worker in toy.workers() if worker.pid != victim.pid)
    victim.kill()
    wait_until(lambda: victim.pid not in {worker.pid for worker in toy.workers()} and len(toy.workers()) == 2)
    assert mate.is_running()
    alive = []
    for number, peer in enumerate(peers):
        try:
            peer.store(b"x", instance=f"1.2.{number}")
        except (EOFError, OSError):
            continue
        alive.append(peer)
    assert 0 < len(alive) < len(peers)
    wait_until(lambda: toy.health()["associations"] == len(alive), what="the dead worker's seats are free")
    more = [toy.associated() for _ in range(40 - len(alive))]
    for peer in (*alive, *more):
        peer.release()
    wait_until(toy.is_healthy)
    assert toy.metrics()["dicom_worker_restarts_total"] == 1
    assert "a process died and is replaced" in toy.log_text()
    assert "signal 9" in toy.log_text()
    for peer in peers:
        peer.sock.close()


def test_a_killed_health_process_is_replaced(start_toy: StartToy) -> None:
    toy = start_toy()
    workers = {worker.pid for worker in toy.workers()}
    companion = companion_of(toy)
    [health] = [child for child in toy.master.children() if child.pid not in {*workers, companion}]
    health.kill()
    wait_until(lambda: health.pid not in {child.pid for child in toy.master.children()})
    wait_until(toy.is_healthy)
    assert {worker.pid for worker in toy.workers()} == workers


def companion_of(toy: ToyProcess) -> int:
    """The process ID that the companion wrote when it began."""
    return int(wait_until(lambda: toy.flag("companion").exists() and toy.flag("companion").read_text()) or 0)


def test_a_killed_companion_is_replaced_and_serving_goes_on(start_toy: StartToy) -> None:
    toy = start_toy()
    workers = {worker.pid for worker in toy.workers()}
    first = companion_of(toy)
    assert first in {child.pid for child in toy.master.children()}
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: companion_of(toy) != first)
    toy.assert_works()
    assert {worker.pid for worker in toy.workers()} == workers
    assert toy.stop() == 0
    assert not psutil.pid_exists(companion_of(toy))


def test_workers_stop_when_the_master_is_killed(start_toy: StartToy) -> None:
    toy = start_toy()
    family = toy.master.children(recursive=True)
    assert len(family) == 4
    busy = wait_in_operation(toy)
    toy.master.kill()
    toy.flag("go").touch()
    assert busy.read_message().status == 0
    busy.sock.close()
    wait_until(lambda: not any(is_alive(process) for process in family), what="nobody is left")
    with pytest.raises(OSError, match="refused"):
        toy.peer()


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# -- hanging


def test_health_says_that_a_worker_hangs_and_that_it_recovered(start_toy: StartToy) -> None:
    toy = start_toy()
    hanging, _ = toy.workers()
    hanging.suspend()
    wait_until(lambda: toy.health()["status"] == "failing")
    assert not toy.is_healthy()
    with toy.associated() as peer:
        peer.echo()
    hanging.resume()
    wait_until(toy.is_healthy)
    toy.assert_works()


# -- too many open files


def test_too_many_open_files_neither_end_the_service_nor_make_it_spin(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="1", TOY_FIRST_PDU_SECONDS="60")
    before = toy.usage_at_rest()
    [worker] = toy.workers()
    limit = worker.num_fds() + 10
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (limit, limit))
    peers = [toy.peer() for _ in range(30)]
    wait_until(lambda: worker.num_fds() == limit)
    errors = toy.metrics()["dicom_accept_errors_total"]
    used, started = sum(worker.cpu_times()[:2]), time.monotonic()
    wait_until(lambda: toy.metrics()["dicom_accept_errors_total"] >= errors + 5)
    used, passed = sum(worker.cpu_times()[:2]) - used, time.monotonic() - started
    assert passed > 0.8, "it backs off"
    assert used < 0.2 * passed, f"{used} s of CPU in {passed} s"
    for peer in peers:
        peer.sock.close()
    toy.assert_works()
    toy.wait_for_usage(before)
    assert toy.workers() == [worker], "the same process all the time"


# -- settings


@pytest.mark.parametrize(("name", "value"), [("TOY_BIND", "203.0.113.1:104"), ("TOY_IDLE_SECONDS", "-1")])
def test_a_bad_setting_is_one_line_and_status_2(start_toy: StartToy, name: str, value: str) -> None:
    toy = start_toy(wait=False, **{name: value})
    assert toy.wait(60) == 2
    [line] = toy.log_text().splitlines()
    assert line.startswith(f"{name}: ")


def test_a_port_that_is_taken_is_a_bad_setting(start_toy: StartToy) -> None:
    first = start_toy()
    second = start_toy(wait=False, TOY_BIND=f"127.0.0.1:{first.port}")
    assert second.wait(60) == 2
    assert second.log_text().startswith("TOY_BIND: cannot listen on")


# -- SIGHUP


def test_sighup_reloads_every_worker_and_disturbs_no_association(start_toy: StartToy) -> None:
    toy = start_toy()
    with toy.associated() as peer:
        pids = {worker.pid for worker in toy.workers()}
        toy.master.send_signal(signal.SIGHUP)
        for pid in pids:
            wait_until(toy.flag(f"reloaded-{pid}").exists)
        peer.echo()
        peer.release()
    assert {worker.pid for worker in toy.workers()} == pids


def test_a_reload_that_fails_leaves_what_was_in_force(start_toy: StartToy) -> None:
    toy = start_toy()
    toy.flag("bad-reload").touch()
    pids = {worker.pid for worker in toy.workers()}
    os.killpg(toy.pid, signal.SIGHUP)  # as a terminal does that closes
    wait_until(lambda: toy.log_text().count("reload failed") >= 2)
    toy.assert_works()
    assert {worker.pid for worker in toy.workers()} == pids
    assert toy.is_healthy()
    assert "a process died" not in toy.log_text()


# -- at rest


def test_idle_associations_cost_next_to_nothing(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="1")
    peers = [toy.associated() for _ in range(100)]
    [worker] = toy.workers()
    used, started = sum(worker.cpu_times()[:2]), time.monotonic()
    beats = toy.health()["workers"]
    wait_until(lambda: time.monotonic() - started > 2)
    used, passed = sum(worker.cpu_times()[:2]) - used, time.monotonic() - started
    assert beats
    assert used <= 0.03 * passed + 0.02, f"{used} s of CPU in {passed} s"
    for peer in peers:
        peer.release()


def test_a_request_in_the_queue_outlives_the_worker_that_did_not_take_it(start_toy: StartToy) -> None:
    toy = start_toy(TOY_WORKERS="1")
    [worker] = toy.workers()
    worker.suspend()
    with toy.peer() as peer:
        peer.send(association_request())
        worker.kill()
        assert peer.read_pdu().kind == 2
        peer.release()
