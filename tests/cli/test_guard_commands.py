"""Capture and guard from the command line, as docs/guard.md shows them: two servers, a model, and two people."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from test_cli import titer

from titer.cli.guard_model import opened
from titer.cli.guard_plan import ModelPlan, read_plan
from titer.cli.guard_prepare import preparation
from titer.errors import GuardError, PlanError
from titer.provenance.guard.dicom import SUCCESS, send
from titer.provenance.ledger.operations import state

GUIDE = Path(__file__).parents[2] / "docs" / "guard.md"
NOTE = "No acute finding."


@contextmanager
def serving(*words: object, folder: Path) -> Iterator[dict[str, str]]:
    """A command that serves, in a process of its own; its addresses by scheme."""
    command = [sys.executable, "-c", "from titer.cli.main import main; main()", *map(str, words)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        found: dict[str, str] = {}
        assert process.stdout is not None
        try:
            for line in process.stdout:
                address = re.search(r"(\w+)://\S+", line)
                if address:
                    found[address[1]] = address[0]
                if (address and len(found) == words.count("--port") + ("run" in words) * 2) or line == "Watching.\n":
                    break
            assert found or "watch" in words, process.stderr and process.stderr.read()
            yield found
        finally:
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            found["said"], found["logged"] = rest, errors


def onnx_sum(path: Path) -> None:
    """A graph that adds up what it is given."""
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, "channels", "rows", "columns"])
    answer = helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])
    node = helper.make_node("ReduceSum", ["x"], ["score"], keepdims=0, noop_with_empty_axes=0)
    whole = helper.make_node("Reshape", ["sum", "one"], ["score"])
    one = helper.make_tensor("one", TensorProto.INT64, [1], [1])
    node.output[0] = "sum"
    graph = helper.make_graph([node, whole], "sum", [given], [answer], [one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def image(name: str) -> bytes:
    from pydicom.data import get_testdata_file

    return Path(str(get_testdata_file(name, download=False))).read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger and a site, made as the guide says."""
    folder = tmp_path_factory.mktemp("hospital")
    assert (
        titer("ledger", "init", folder / "ledger", "--origin", "hospital.example/t", "--mark", folder / "m").returncode
        == 0
    )
    assert titer("guard", "init", folder / "site").returncode == 0
    return folder


def settings(place: Path) -> str:
    """The settings of the guide, with the key of this site."""
    text = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert text is not None
    from titer.provenance.guard.folder import Folder

    told = text[1].replace("/srv/titer/", f"{place}/").replace("/srv/ledger", f"{place}/ledger")
    key = Folder(place / "site").public("capture")
    return re.sub(r"[0-9a-f]{64}", key, told)


def test_a_hospital_from_the_command_line(place: Path) -> None:
    raw, moved = image("CT_small.dcm"), bytearray(image("CT_small.dcm"))
    moved[-1000] ^= 1
    with serving("capture", "dicom", "ledger", "site", "--port", "0", folder=place) as modality:
        assert send(raw, int(modality["dicom"].rpartition(":")[2])) == SUCCESS
    assert re.fullmatch(r"0 published dicom [0-9a-f]{64}\nStopped\.\n", modality["said"])

    onnx_sum(place / "chest.onnx")
    token = titer("guard", "token", place / "callers.txt", "viewer-1").stdout.strip()
    config = place / "guard.yaml"
    config.write_text(re.sub(r"port: \d+", "port: 0", settings(place)))
    with serving("guard", "run", config, folder=place) as front:
        port = int(front["dicom"].rpartition(":")[2])
        assert [send(raw, port), send(bytes(moved), port)] == [SUCCESS] * 2
        with httpx.Client(base_url=front["http"], trust_env=False) as client:
            headers = {"Content-Type": "application/dicom"}
            assert client.post("/dicom", content=raw, headers=headers).status_code == 401
            headers |= {"Authorization": f"Bearer {token}"}
            answer = client.post("/dicom", content=raw, headers=headers).json()
            assert answer["verdict"] == "verified"
            assert len(answer["output"]["score"]) == 1

    lines = [json.loads(line) for line in front["logged"].splitlines()]
    assert [line["action"] for line in lines if "action" in line] == ["pass", "quarantine", "pass"]
    assert all("time" in line and line["logger"].startswith("titer.") for line in lines)

    files = {path.name: path.read_text() for path in (place / "site" / "trail" / "guard" / "fhir").glob("*.ndjson")}
    assert {name: text.count("\n") for name, text in files.items()} == {
        "AuditEvent-000001.ndjson": 3, "Provenance-000001.ndjson": 3,
    }  # fmt: skip
    assert answer["decision"] in files["AuditEvent-000001.ndjson"]

    listed = titer("guard", "list", place / "site")
    assert listed.returncode == 0
    name, *_ = listed.stdout.split()
    assert "altered  content.px" in listed.stdout
    where = ("--site", place / "site", "--ledger", place / "ledger")
    told = titer("guard", "explain", name, *where).stdout
    for line in (
        "verdict: altered, in mode block", "reasons: content.px", "action: quarantine", f"withheld as: {name}",
        "difference: ", "signer: ", "layers: ", "receipt: leaf 0 under a signed root", "model: not asked",
    ):  # fmt: skip
        assert line in told
    assert re.search(r"difference: frame 0 differs within rows 64-127", told)
    passed = titer("guard", "explain", answer["decision"], *where).stdout
    assert "verdict: verified, in mode block\nreasons: none\n" in passed
    assert "model's output: " in passed

    people = ("--first", "A. Jones", "--second", "B. Smith", "--reason", "checked by phone")
    one = titer(
        "guard", "override", name, "--config", config, "--first", "A. Jones", "--second", "a. jones", "--reason", "x"
    )
    assert one.returncode == 2
    assert "two people" in one.stderr
    released = titer("guard", "override", name, "--config", config, *people)
    assert released.returncode == 0, released.stderr
    assert json.loads(released.stdout)["verdict"] == "altered"
    assert titer("guard", "list", place / "site").stdout == ""
    told = titer("guard", "explain", json.loads(released.stdout)["decision"], *where).stdout
    assert "verdict: altered, in mode override" in told
    assert titer("ledger", "fsck", place / "ledger").returncode == 0


def test_a_folder_and_a_gateway_from_the_command_line(place: Path) -> None:
    (place / "in").mkdir()
    (place / "in" / "note.txt").write_text(NOTE)
    words = ("capture", "watch", place / "ledger", place / "site", place / "in", "--kind", "text", "--settle", "0")
    assert " published text " in titer(*words, "--once").stdout
    assert titer(*words, "--once").stdout == ""
    before, until = state(place / "ledger")["entries"], time.monotonic() + 60
    with serving(*words, folder=place) as watched:
        (place / "in" / "late.txt").write_text("A late note.")
        while state(place / "ledger")["entries"] == before and time.monotonic() < until:
            time.sleep(0.05)
    assert watched["said"].count(" published text ") == 1
    with (
        serving("capture", "http", "ledger", "site", "--open", "--port", "0", folder=place) as gateway,
        httpx.Client(base_url=gateway["http"], trust_env=False) as client,
    ):
        told = client.post("/text", content=b"Another note.", headers={"Content-Type": "text/plain"})
        assert told.status_code == 201
        # One process at a time signs with a key.
        refused = titer(*words, "--once")
        assert (refused.returncode, "another process that uses it" in refused.stderr) == (2, True)
    for words in (("http",), ("http", "--open", "--host", "0.0.0.0"), ("dicom", "--host", "0.0.0.0")):
        refused = titer("capture", words[0], place / "ledger", place / "site", *words[1:])
        assert refused.returncode == 2


def test_two_points_capture_at_once_and_others_check_what_was_captured(place: Path) -> None:
    """An object with a subject, its receipt and opening, and a verifier who has nothing else."""
    assert re.fullmatch(r"[0-9a-f]{64}\n", titer("guard", "point", place / "site", "gateway").stdout)
    keys = titer("guard", "keys", place / "site").stdout
    assert re.findall(r"^(\w+): [0-9a-f]{64}$", keys, re.MULTILINE) == ["capture", "guard", "override", "gateway"]
    note, where = place / "report.txt", (place / "ledger", place / "site")
    note.write_text("Seen at rounds.")
    with (
        serving("capture", "dicom", "ledger", "site", "--port", "0", folder=place),
        serving("capture", "http", "ledger", "site", "--open", "--port", "0", "--point", "gateway", folder=place) as at,
        httpx.Client(base_url=at["http"], trust_env=False) as client,
    ):
        headers = {"Content-Type": "text/plain", "Titer-Subject": "4711"}
        record = client.post("/text", content=note.read_bytes(), headers=headers).json()["record"]
    policy = place / "policy.txt"
    policy.write_text(titer("ledger", "policy", place / "ledger").stdout)

    def checked(file: Path, *more: object) -> int:
        proof = ("--receipt", f"{place / 'told'}.receipt", "--opening", f"{place / 'told'}.opening")
        return titer("verify", file, "--kind", "text", *proof, "--policy", policy, *more).returncode

    told = titer("capture", "receipt", *where, record, place / "told")
    assert told.stdout == f"Receipt: {place / 'told'}.receipt\nOpening: {place / 'told'}.opening\n"
    other = place / "other.txt"
    other.write_text("Seen at rounds?")
    assert (checked(note), checked(other), checked(note, "--subject", "4711")) == (0, 1, 3)
    titer("capture", "receipt", *where, record, place / "told", "--with-subject")
    assert [checked(note, *more) for more in ((), ("--subject", "4711"), ("--subject", "4712"))] == [0, 0, 1]
    for wrong in ("guard", "override", "nobody"):
        assert titer("capture", "http", *where, "--open", "--point", wrong).returncode == 2


def test_an_option_without_a_value_is_refused(place: Path) -> None:
    refused = titer("capture", "cases", place / "ledger", place / "site", "breast_biopsies", "--option", "size")
    assert (refused.returncode, "NAME=VALUE, got size" in refused.stderr) == (2, True)


def test_settings_are_checked_before_anything_starts(place: Path, tmp_path: Path) -> None:
    config, good = tmp_path / "guard.yaml", settings(place)
    config.write_text(good)
    assert read_plan(config).policy.mode == "block"
    for change, word in (
        (("mode: block", "mode: blocked"), "observe, flag or block"),
        (("mode: block", "mood: block"), "did you mean 'mode'?"),
        (("onnx:", "kserve: http://127.0.0.1/v2/models/a\n  onnx:"), "either 'onnx' or 'kserve'"),
        (("ledger:", "ledgers:"), "'ledgers' at guard.yaml line 1"),
        (("kind: image", "kind: picture"), "image, signal, row or text"),
        (("port: 11112", "port: 99999"), "65535"),
        (("captures:", "captures: []\n  derivers:"), "at least 1"),
    ):
        config.write_text(good.replace(*change))
        with pytest.raises(PlanError) as told:
            read_plan(config)
        assert word in str(told.value)
    for raw in (b"a: [", b"- a", b"\xff"):
        config.write_bytes(raw)
        with pytest.raises(PlanError):
            read_plan(config)


@pytest.mark.parametrize(
    ("plan", "raw", "shape"),
    [
        ({"kind": "image", "size": [16, 8], "color": "rgb"}, "CT_small.dcm", (1, 3, 16, 8)),
        ({"kind": "image", "layout": "channels-last"}, "CT_small.dcm", (1, 128, 128, 1)),
        ({"kind": "row", "columns": ["b", "a"], "mean": 1.0, "std": 2.0}, b'{"a": 3, "b": 1.5, "c": null}', (1, 2)),
        ({"kind": "text"}, b"Kein Befund.", (1, 1)),
        (
            {"kind": "signal"},
            {"a.hea": b"a 1 500 2\na.dat 16 200/mV 16 0 1 3 0 II\n", "a.dat": bytes([1, 0, 2, 0])},
            (1, 1, 2),
        ),
    ],
)
def test_objects_are_prepared_as_told(plan: dict[str, object], raw: object, shape: tuple[int, ...]) -> None:
    from titer.cli.guard_plan import PreparePlan

    prepare, digest = preparation(PreparePlan.model_validate(plan))
    made = prepare(image(raw) if isinstance(raw, str) else raw)  # type: ignore[arg-type]
    assert made.shape == shape
    assert digest != preparation(PreparePlan.model_validate(plan | {"layout": "channels-last"}))[1] or "layout" in plan
    if plan["kind"] == "row":
        assert np.array_equal(made, np.array([[0.25, 1.0]], np.float32))
    if plan["kind"] == "signal":
        # Digested, as the guard gives it, and not.
        from titer.provenance.fingerprint.signal import digital

        assert np.array_equal(prepare(digital(raw)[1]), made)  # type: ignore[arg-type]
    with pytest.raises(GuardError) as told:
        prepare(b"\xff" if plan["kind"] == "text" else b'{"a": "3", "b": null}')
    assert told.value.code == "prepare.failed"


def test_settings_of_another_kind_of_input_are_refused() -> None:
    from titer.cli.guard_plan import PreparePlan

    for plan in ({"kind": "text", "std": 2.0}, {"kind": "row"}, {"kind": "image", "columns": ["a"]}):
        with pytest.raises(PlanError):
            preparation(PreparePlan.model_validate(plan))


SERVICE = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Service(BaseHTTPRequestHandler):
    def answer(self, told):
        raw = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        given, answer = ({"name": name, "datatype": "FP32", "shape": [-1, 2]} for name in "xy")
        self.answer({"name": "sum", "inputs": [given], "outputs": [answer]})

    def do_POST(self):
        (given,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
        told = {"name": "y", "datatype": "FP32", "shape": [1], "data": [sum(given["data"])]}
        self.answer({"model_name": "sum", "outputs": [told]})

    def log_message(self, *words):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[1])), Service).serve_forever()
"""


def test_an_endpoint_that_a_command_starts_is_asked_and_ends_with_the_guard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = (sys.executable, "-c", SERVICE, str(port))
    plan = ModelPlan(kserve=f"http://127.0.0.1:{port}/v2/models/sum", command=command, digest="ab" * 32)
    with opened(plan) as (ask, digest):
        assert digest == "ab" * 32
        assert ask(np.array([[1.5, 2.0]])) == {"y": np.array([3.5], np.float32)}
    with pytest.raises(GuardError) as told:
        ask(np.array([[1.5, 2.0]]))
    assert told.value.code == "model.failed"
    for words in (("/no/such/program",), (sys.executable, "-c", "")):
        with pytest.raises(GuardError) as told, opened(plan.model_copy(update={"command": words})):
            pass
        assert told.value.code == "model.command"


def test_a_model_of_text_answers_in_text(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.STRING, [None, 1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", ports[:1], ports[1:])
    path = tmp_path / "same.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    with opened(ModelPlan(onnx=path)) as (ask, _):
        assert ask(np.array([["Kein Befund."]]))["y"].tolist() == [["Kein Befund."]]
    with pytest.raises(GuardError, match="inputs x; outputs y"), opened(ModelPlan(onnx=path, input="z")):
        pass
