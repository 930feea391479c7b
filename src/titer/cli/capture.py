"""`titer capture`: where data is born, each object gets a signed record in the ledger."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titer.cli.receipt import receipt

if TYPE_CHECKING:
    from titer.provenance.guard.capture import Capture, Captured

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def capture() -> None:
    """Record data where it is born (see docs/guard.md)."""


capture.add_command(receipt)


def _places(command: Callable[..., Any]) -> Callable[..., Any]:
    """The arguments that all have."""
    named = click.option("--point", default="capture", show_default=True, help="Key of the site that signs.")
    command = click.argument("site", type=_FOLDER)(named(command))
    return click.argument("ledger", type=_FOLDER)(command)


def _listening(port: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of servers."""

    def added(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--object-bytes", type=click.IntRange(1), default=1 << 28, show_default=True),
            click.option("--authorities", type=_FILE, help="Authorities whose certificates callers need (PEM)."),
            click.option("--private-key", type=_FILE, help="Key of the certificate (PEM)."),
            click.option("--certificate", type=_FILE, help="Certificate for TLS (PEM)."),
            click.option("--port", type=click.IntRange(0, 65535), default=port, show_default=True),
            click.option("--host", default="127.0.0.1", show_default=True),
        ):
            command = option(command)
        return command

    return added


@capture.command()
@_places
@_listening(11112)
@click.option("--title", default="TITER", show_default=True, help="Application entity title.")
@click.option("--caller", "callers", multiple=True, help="Title of one who may send (default: all).")
@click.option("--open", "open_door", is_flag=True, help="Serve other machines without TLS, on a closed network.")
def dicom(
    ledger: Path,
    site: Path,
    *,
    point: str,
    host: str,
    port: int,
    certificate: Path | None,
    private_key: Path | None,
    authorities: Path | None,
    object_bytes: int,
    title: str,
    callers: tuple[str, ...],
    open_door: bool,
) -> int:
    """Receive images over C-STORE; senders hear of success once a published checkpoint covers the record."""
    from titer.cli.serving import dicom_tls, logged, tls_of, wait
    from titer.provenance.guard.dicom import Receiver, capturing

    tls = dicom_tls(host, tls_of(certificate, private_key, authorities), open_door=open_door)
    with (
        logged(),
        _point(ledger, site, point) as capturer,
        Receiver(
            capturing(capturer, _said),
            title=title,
            host=host,
            port=port,
            object_bytes=object_bytes,
            callers=callers,
            tls=tls,
        ) as receiver,
    ):
        wait([f"dicom://{title}@{host}:{receiver.port}"])
    return 0


@capture.command()
@_places
@_listening(8443)
@click.option("--tokens", type=_FILE, help="File of callers that `titer guard token` makes.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), default=100.0, show_default=True, help="Per second.")
@click.option("--burst", type=click.IntRange(1), default=1000, show_default=True, help="Requests at once.")
@click.option("--open", "open_door", is_flag=True, help="Let everybody on this machine in without a token.")
def http(
    ledger: Path,
    site: Path,
    *,
    point: str,
    host: str,
    port: int,
    certificate: Path | None,
    private_key: Path | None,
    authorities: Path | None,
    object_bytes: int,
    tokens: Path | None,
    rate: float,
    burst: int,
    open_door: bool,
) -> int:
    """Receive text, FHIR, rows, claims, signals and images over HTTP and STOW-RS."""
    from titer.cli.serving import logged, tls_of, wait
    from titer.provenance.guard.http import application
    from titer.provenance.guard.intake import Door
    from titer.provenance.guard.limits import Limits
    from titer.provenance.guard.serving import Server, require_safe
    from titer.provenance.guard.tokens import Tokens
    from titer.provenance.guard.work import recording

    known = None if tokens is None else Tokens(tokens)
    tls = tls_of(certificate, private_key, authorities)
    require_safe(host, known, tls, open_door=open_door)
    door = Door(known, Limits(object_bytes=object_bytes, rate=rate, burst=burst))
    with (
        logged(),
        _point(ledger, site, point) as capturer,
        Server(application(recording(capturer, _said), door), host=host, port=port, tls=tls) as server,
    ):
        wait([server.address])
    return 0


@capture.command()
@_places
@click.argument("folder", type=_FOLDER)
@click.option("--kind", help="Kind of data, where the first bytes do not tell it, such as text.")
@click.option("--settle", type=click.FloatRange(0), default=2.0, show_default=True, help="Seconds without a change.")
@click.option("--renamed", is_flag=True, help="Senders rename whole files into place: ask for no lease.")
@click.option("--once", is_flag=True, help="End when all files that are there are captured.")
@click.option("--object-bytes", type=click.IntRange(1), default=1 << 30, show_default=True)
def watch(
    ledger: Path,
    site: Path,
    folder: Path,
    *,
    point: str,
    kind: str | None,
    settle: float,
    renamed: bool,
    once: bool,
    object_bytes: int,
) -> int:
    """Capture each file of FOLDER once, when nobody writes it any more."""
    import signal

    from titer.cli.serving import logged
    from titer.provenance.guard.limits import Limits
    from titer.provenance.guard.watch import Watch

    stop = threading.Event()
    limits = Limits(object_bytes=object_bytes)
    with logged(), _point(ledger, site, point) as capturer:
        watched = Watch(
            folder,
            capturer,
            site / "watched.sqlite",
            kind=kind,
            settle=settle,
            renamed=renamed,
            limits=limits,
            told=_said,
        )
        with closing(watched):
            if once:
                while watched.turn():
                    stop.wait(min(0.2, settle))
                return 0
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, lambda *_: stop.set())
            click.echo("Watching.")
            watched.run(stop)
            click.echo("Stopped.")
    return 0


@capture.command()
@_places
@click.argument("where")
@click.option("--data", "root", type=click.Path(path_type=Path), help="Folder of data sets (default: TITER_DATA).")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="As under data.options of the plan.")
def cases(ledger: Path, site: Path, where: str, *, point: str, root: Path | None, options: tuple[str, ...]) -> int:
    """Capture each case of the data set WHERE (a name or a path) as an audit reads it; see `data.receipts` of plans."""
    import yaml

    from titer.audit.captured import capture_cases
    from titer.cases.find import data_root, find_dataset

    split = [each.partition("=") for each in options]
    for name, equals, _ in split:
        if not equals:
            raise click.BadParameter(f"expected NAME=VALUE, got {name}", param_hint="--option")
    dataset = find_dataset(where, root=data_root(root), **{name: yaml.safe_load(value) for name, _, value in split})
    with _point(ledger, site, point) as capturer:
        new = capture_cases(dataset, capturer)
    click.echo(f"{len(dataset.cases)} cases, {new} of them new in the ledger.")
    return 0


@contextmanager
def _point(ledger: Path, site: Path, name: str) -> Iterator[Capture]:
    """A capture point of a site."""
    from titer.provenance.guard.capture import Capture
    from titer.provenance.guard.folder import Folder
    from titer.provenance.ledger.chain import Chain
    from titer.provenance.ledger.settings import opened

    if name in ("guard", "override"):
        raise click.BadParameter(f"the key {name} signs decisions; see `titer guard point`", param_hint="--point")
    folder = Folder(site)
    with folder.key(name) as key, opened(ledger) as log, closing(folder.index()) as index:
        log.start()
        yield Capture(Chain(log, key), index)


def _said(done: Captured) -> None:
    """One line for each record; nothing in it names what was captured."""
    where = "-" if done.appended.index is None else done.appended.index
    click.echo(f"{where} {done.appended.state} {done.fingerprint.kind} {done.leaf_hash.hex()}")
