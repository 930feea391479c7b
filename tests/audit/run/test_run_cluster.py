"""A Dask cluster on this machine: the same bytes, whoever dies; and nobody is spoken to without proof."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from run_samples import logged_jobs

from titer.audit.run import DaskExecutor, Event, Failed, Finished, InlineExecutor, Job, Progress, Retried, Store, choose
from titer.audit.run.tls import Credentials, check_address
from titer.errors import ExecutionError, PlanError

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
HERE = Path(__file__).parent
QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
ROLES = ("scheduler", "worker", "client")


class Cluster:
    """A scheduler and workers as processes of their own, on ports that the system chooses."""

    def __init__(self, folder: Path, *, workers: int, **environment: str) -> None:
        self._folder, self._file = folder, folder / "scheduler.json"
        paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {"PYTHONPATH": os.pathsep.join(paths), "DASK_TEMPORARY_DIRECTORY": str(folder)}
        self._environment = os.environ | own | environment
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", *QUIET)
        self.workers = [self._start("worker", "--nthreads", "1", "--no-nanny", *QUIET) for _ in range(workers)]
        end = time.monotonic() + 60
        while not self._file.exists() and time.monotonic() < end:
            time.sleep(0.05)
        self.address: str = json.loads(self._file.read_text())["address"]

    def _start(self, role: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", "--scheduler-file", str(self._file), *options]
        with (self._folder / f"{role}.log").open("ab") as log:
            return subprocess.Popen(command, env=self._environment, cwd=self._folder, stderr=log)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def own_cluster(folder: Path, *, protocol: str = "tcp://", security: Any = None) -> Iterator[str]:
    """A scheduler and one worker inside this process; gives the address."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        host="127.0.0.1",
        protocol=protocol,
        security=security,
        dashboard_address=None,
        local_directory=str(folder),
    ) as cluster:
        yield cluster.scheduler_address


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.results.iterdir()}


def test_a_killed_worker_loses_nothing_and_changes_no_bit(tmp_path: Path) -> None:
    jobs = [
        *logged_jobs(tmp_path / "log", 16, 0.1),
        *(Job(key=f"learn{seed}", function="run_samples:learn", payload={"seed": seed}) for seed in range(3)),
    ]
    cluster = Cluster(tmp_path, workers=2)
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        if sum(isinstance(event, Finished) for event in events) == 5:
            cluster.workers[0].kill()

    store, undisturbed = Store(tmp_path / "cluster"), Store(tmp_path / "inline")
    try:
        choose(cluster.address).run(jobs, store, listen)
        again: list[Event] = []
        choose(cluster.address).run(jobs, store, again.append)
    finally:
        cluster.close()
    InlineExecutor().run(jobs, undisturbed)
    assert contents(store) == contents(undisturbed)
    assert {event.key for event in events if isinstance(event, Finished)} == {job.key for job in jobs}
    assert len([event for event in events if isinstance(event, Finished)]) == len(jobs)
    assert [type(event).__name__ for event in again] == ["Planned"]


def test_failures_inputs_and_stored_results(tmp_path: Path) -> None:
    payload = {"log": str(tmp_path / "log"), "name": "b", "seconds": 1.0}
    jobs = [
        Job(key="a", function="run_samples:tell"),
        Job(key="b", function="run_samples:log", payload=payload, after=("a",)),
        Job(key="c", function="run_samples:refuse"),
        Job(key="d", function="run_samples:tell", after=("c",)),
        Job(key="e", function="run_samples:tell", after=("a", "b")),
        Job(key="threads", function="run_samples:threads"),
    ]
    stores = [Store(tmp_path / "cluster"), Store(tmp_path / "inline")]
    events: list[Event] = []
    with own_cluster(tmp_path) as address:
        InlineExecutor().run(jobs[:1], stores[0])
        for executor, store in zip((choose(address), InlineExecutor()), stores, strict=True):
            with pytest.raises(ExecutionError, match="got 2 failed ones"):
                executor.run(jobs, store, events.append if store is stores[0] else lambda event: None)
    assert contents(stores[0]) == contents(stores[1])
    assert stores[0].get("threads") == b"1"
    reasons = {event.key: event.reason for event in events if isinstance(event, Failed)}
    assert reasons == {"c": "DataError: expected cases, got none; give some", "d": "it needs c, which failed"}
    assert [event for event in events if isinstance(event, Progress)]
    assert not [event for event in events if isinstance(event, Retried)]


def test_what_a_cluster_cannot_mend_is_said_and_the_rest_is_kept(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, workers=2, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    deadly = Job(key="a", function="run_samples:die", payload={"count": str(tmp_path / "count"), "times": 99})
    store = Store(tmp_path / "store")

    def end_of_scheduler(event: Event) -> None:
        if isinstance(event, Finished):
            cluster.scheduler.kill()

    try:
        with pytest.raises(ExecutionError, match="a: the cluster gave it up: KilledWorker"):
            choose(cluster.address).run([deadly, Job(key="b", function="run_samples:tell")], store)
        assert store.keys() == ("b",)
        jobs = logged_jobs(tmp_path / "log", 8, 0.2)
        with pytest.raises(ExecutionError, match="start the scheduler again"):
            DaskExecutor(cluster.address, patience=2.0).run(jobs, store, end_of_scheduler)
    finally:
        cluster.close()
    assert 2 <= len(store.keys()) < 9


def test_stopping_leaves_the_cluster_and_keeps_what_is_finished(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Finished):
            raise KeyboardInterrupt

    store, jobs = Store(tmp_path / "store"), logged_jobs(tmp_path / "log", 6, 0.1)
    with own_cluster(tmp_path) as address:
        with pytest.raises(KeyboardInterrupt):
            choose(address).run(jobs, store, stop)
        assert len(store.keys()) == 1
        choose(address).run(jobs, store)
    assert len(store.keys()) == 6


def test_another_version_on_a_worker_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from titer.audit.run import remote

    order = remote.Order("a", "run_samples:tell", "{}", "topic", version="0.0.0")
    assert "the driver 0.0.0; install one version on all" in str(remote.work(order, {}).failure)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="a Dask scheduler at"):
        DaskExecutor("tcp://127.0.0.1:9", patience=0.5).run(
            [Job(key="a", function="run_samples:tell")], Store(tmp_path)
        )


def test_mutual_tls(tmp_path: Path) -> None:
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    jobs = [Job(key="a", function="run_samples:tell"), Job(key="b", function="run_samples:tell", after=("a",))]
    store = Store(tmp_path / "store")
    security = distributed.Security(
        tls_ca_file=str(ours.ca),
        require_encryption=True,
        **{f"tls_{role}_cert": str(ours.cert) for role in ROLES},
        **{f"tls_{role}_key": str(ours.key) for role in ROLES},
    )
    with own_cluster(tmp_path, protocol="tls://", security=security) as address:
        assert address.startswith("tls://127.0.0.1:")
        choose(address, ca=ours.ca, cert=ours.cert, key=ours.key).run(jobs, store)
        assert store.keys() == ("a", "b")
        for strangers in (theirs, Credentials(ours.ca, theirs.cert, theirs.key)):
            with pytest.raises(ExecutionError, match="knows our certificate"):
                DaskExecutor(address, strangers, patience=1.0).run(jobs, Store(tmp_path / "other"))
        with pytest.raises(ExecutionError, match="knows our certificate"):
            DaskExecutor(address.replace("tls", "tcp"), patience=1.0).run(jobs, Store(tmp_path / "other"))


def test_tls_files_must_be_there_and_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = authority(tmp_path / "ours"), authority(tmp_path / "theirs")
    jobs = [Job(key="a", function="run_samples:tell")]
    store = Store(tmp_path / "store")
    address = "tls://cluster.example:8786"
    for given, message in (
        (Credentials(), "no ca and no cert and no key"),
        (Credentials(ca=ours.ca, cert=ours.cert), "got no key; give ca, cert and key"),
        (Credentials(ours.ca, ours.cert, tmp_path / "absent"), "a file for key, got .*absent"),
        (Credentials(ours.ca, ours.cert, theirs.key), "a certificate and its own key"),
        (Credentials(ours.key, ours.cert, ours.key), "PEM files"),
    ):
        with pytest.raises(PlanError, match=message):
            DaskExecutor(address, given).run(jobs, store)


def test_tls_files_may_come_from_dasks_configuration(tmp_path: Path) -> None:
    import dask

    from titer.audit.run.tls import checked

    ours = authority(tmp_path)
    named = {"ca-file": str(ours.ca), "client": {"cert": str(ours.cert), "key": str(ours.key)}}
    with dask.config.set({"distributed.comm.tls": named}):
        assert checked(Credentials()) == ours


@pytest.mark.parametrize(
    "address",
    [
        "tcp://10.0.0.1:8786",
        "tcp://cluster.example:8786",
        "tcp://0.0.0.0:8786",
        "tcp://127.0.0.1.example:8786",
        "tcp://[::]:1",
    ],
)
def test_in_the_clear_only_on_this_machine(address: str) -> None:
    with pytest.raises(PlanError, match="mutual TLS"):
        choose(address)


@pytest.mark.parametrize(
    "address", ["ucx://127.0.0.1:1", "127.0.0.1:8786", "tls://cluster", "tcp://:8786", "tls://a:b", ""]
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(PlanError):
        check_address(address)


def test_loopback_has_several_names() -> None:
    assert {check_address(f"tcp://{host}:1") for host in ("127.0.0.1", "127.8.8.8", "localhost", "[::1]")} == {"tcp"}


def authority(folder: Path) -> Credentials:
    """A new authority, and a certificate of it for 127.0.0.1 that serves both sides."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    certificates = []
    for key, subject, is_authority in ((keys[0], "authority", True), (keys[1], "member", False)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        certificates.append(builder.sign(keys[0], hashes.SHA256()))
    folder.mkdir(exist_ok=True)
    files = Credentials(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    pem = serialization.Encoding.PEM
    for path, certificate in zip((files.ca, files.cert), certificates, strict=True):
        assert path is not None
        path.write_bytes(certificate.public_bytes(pem))
    assert files.key is not None
    files.key.write_bytes(keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files
