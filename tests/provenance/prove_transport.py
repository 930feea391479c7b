"""Prints which images keep `px` and `rd` through which writer: pydicom, DCMTK, GDCM and Orthanc.

    python tests/provenance/prove_transport.py [--small] [--list]

Sources are all images that come with pydicom; lossy ones are decoded first, and the decoded image is what travels.
(The DCMTK package brings tools but no images.) A writer that is not installed, or that cannot write an image,
makes no pair; an image that has no exact fingerprint is listed with its reason code.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from acceptance import absent, tell
from pydicom.data import get_testdata_files
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from titer.errors import FingerprintError
from titer.provenance.fingerprint import Fingerprint
from titer.provenance.fingerprint.dicom import fingerprint

Writer = Callable[[Path, Path], None]
SMALL = (
    "MR_small.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_small_odd.dcm", "SC_ybr_full_422_uncompressed.dcm",
    "rtdose_1frame.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jpeg_dcmtk.dcm", "liver_1frame.dcm",
)  # fmt: skip
_DCMTK = {
    "dcmconv implicit": ["dcmconv", "+ti"],
    "dcmconv explicit": ["dcmconv", "+te"],
    "dcmconv deflated": ["dcmconv", "+td"],
    "dcmconv undefined lengths": ["dcmconv", "+te", "-e"],
    "dcmcrle": ["dcmcrle"],
    "dcmcjpls raw": ["dcmcjpls", "+pr"],
    "dcmcjpls cooked": ["dcmcjpls", "+pc"],
    "dcmcjpls by sample": ["dcmcjpls", "+is"],
    "dcmcjpls by plane": ["dcmcjpls", "+in"],
    "dcmcjpeg lossless": ["dcmcjpeg", "+el"],
    "dcmcjpeg lossless SV1": ["dcmcjpeg", "+e1"],
    "dcmcjpeg fragments": ["dcmcjpeg", "+e1", "+fs", "1", "-ot"],
}
# Colors stay as they are: without `+cn` DCMTK turns YCbCr into RGB, which loses values.
_BACK = {"dcmcrle": ["dcmdrle"], "dcmcjpls": ["dcmdjpls"], "dcmcjpeg": ["dcmdjpeg", "+cn"]}
_FIRST = {"RLE": _BACK["dcmcrle"], "JPEG-LS": _BACK["dcmcjpls"], "JPEG ": _BACK["dcmcjpeg"]}
_ORTHANC = {
    "Orthanc as is": "",
    "Orthanc explicit": ExplicitVRLittleEndian,
    "Orthanc implicit": ImplicitVRLittleEndian,
    "Orthanc deflated": DeflatedExplicitVRLittleEndian,
    "Orthanc JPEG lossless": "1.2.840.10008.1.2.4.70",
    "Orthanc JPEG-LS": JPEGLSLossless,
}
_GDCM = {
    "gdcm RLE": "RLELossless",
    "gdcm JPEG lossless": "JPEGLosslessProcess14_1",
    "gdcm JPEG-LS": "JPEGLSLossless",
    "gdcm JPEG 2000": "JPEG2000Lossless",
}


_GDCM_PROGRAM = """
import gdcm, sys
gdcm.Trace.WarningOff(), gdcm.Trace.ErrorOff()
reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
reader.SetFileName(sys.argv[2])
reader.Read() or sys.exit("E: GDCM cannot read it")
change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, sys.argv[1])))
change.SetInput(reader.GetImage())
change.Change() or sys.exit("E: GDCM cannot change it")
writer.SetFileName(sys.argv[3])
writer.SetFile(reader.GetFile())
writer.SetImage(change.GetOutput())
writer.Write() or sys.exit("E: GDCM cannot write it")
"""


class NotWritten(Exception):  # noqa: N818 - no error: this writer has no such image
    """The writer cannot write this image."""


@dataclass(frozen=True)
class Pair:
    """One image through one writer: `equal`, `different`, `altered`, `refused` (with a code) or `not written`.

    `altered` is a difference that an independent reader confirms: the writer wrote other pixels.
    """

    image: str
    writer: str
    outcome: str
    detail: str = ""


def sources(folder: Path, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Path]]:
    """Images of pydicom, lossy ones decoded into `folder`."""
    for path in sorted({Path(each) for each in get_testdata_files("*.dcm")}):
        if names and path.name not in names:
            continue
        head = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        syntax = getattr(head, "file_meta", pydicom.Dataset()).get("TransferSyntaxUID")
        if "Rows" not in head:
            continue
        if syntax is not None and syntax.is_compressed and _lossy(path):
            decoded = folder / f"{path.stem} decoded.dcm"
            if _decoded(path, decoded):
                yield decoded.name, decoded
        yield path.name, path


def writers(orthanc: Orthanc | None = None) -> dict[str, Writer]:
    """Every writer that is installed, by name."""
    found: dict[str, Writer] = {
        f"pydicom {name}": _pydicom(syntax)
        for name, syntax in {
            "implicit": ImplicitVRLittleEndian,
            "explicit": ExplicitVRLittleEndian,
            "deflated": DeflatedExplicitVRLittleEndian,
            "RLE": RLELossless,
            "JPEG-LS": JPEGLSLossless,
            "JPEG 2000": JPEG2000Lossless,
        }.items()
    }
    found |= {name: _gdcm(syntax) for name, syntax in _GDCM.items()}
    for name, command in _DCMTK.items():
        if shutil.which(command[0]):
            found[name] = _dcmtk([command])
            if command[0] in _BACK:
                found[f"{name}, back"] = _dcmtk([command, _BACK[command[0]]])
    if orthanc is not None:
        found |= {name: _orthanc(orthanc, syntax) for name, syntax in _ORTHANC.items()}
    return found


def pairs(images: Iterator[tuple[str, Path]], through: dict[str, Writer], folder: Path) -> Iterator[Pair]:
    """Every image through every writer."""
    for name, path in images:
        before = _try(path)
        if isinstance(before, str):
            yield Pair(name, "", "refused", before)
            continue
        if "px" not in before or before.notes["lossy"]:
            yield Pair(name, "", "lossy", "cs only" if "px" not in before else "px for one decoder")
            continue
        for writer, write in through.items():
            out = folder / "out.dcm"
            out.unlink(missing_ok=True)
            try:
                write(path, out)
            except NotWritten as error:
                yield Pair(name, writer, "not written", str(error))
                continue
            after = _try(out)
            if isinstance(after, str):
                yield Pair(name, writer, "refused", after)
                continue
            changed = [each for each in ("px", "rd") if each not in after or before[each] != after[each]]
            told = "; ".join(_told(before, after)) if changed else ""
            if changed == ["px"] and _altered(path, out):
                yield Pair(name, writer, "altered", f"{told} (pydicom finds other pixels too)")
                continue
            yield Pair(name, writer, "different" if changed else "equal", told)


_TRIES = 8


class Orthanc:
    """An Orthanc on loopback that keeps its data in a folder; started again where an image ended it."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._server: subprocess.Popen[bytes] | None = None
        self._address = ""

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """The answer to one question; `OSError` where there is none."""
        if self._server is None or self._server.poll() is not None:
            self._start()
        with urllib.request.urlopen(self._address + path, data=body, timeout=30) as answer:
            data: bytes = answer.read()
            return data

    def ended(self) -> bool:
        """Whether it has ended by itself; one that breaks off an answer may still be about to."""
        if self._server is None:
            return False
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait(30)

    def _start(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._address = f"http://127.0.0.1:{port}"
        settings = {
            "StorageDirectory": str(self._folder / "orthanc"),
            "IndexDirectory": str(self._folder / "orthanc"),
            "HttpPort": port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "OverwriteInstances": True,
            "Plugins": [],
        }
        (self._folder / "orthanc.json").write_text(json.dumps(settings))
        command = [self._program, str(self._folder / "orthanc.json")]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self._address}/system", timeout=30).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("Orthanc does not answer")


@contextmanager
def orthanc_server(folder: Path) -> Iterator[Orthanc | None]:
    """An Orthanc for some time; nothing where none is installed."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/orthanc/bin")
    server = Orthanc(program, folder) if program else None
    try:
        yield server
    finally:
        if server is not None:
            server.stop()


def summary(found: list[Pair]) -> str:
    """The table: one line per writer, then everything that is not equal."""
    lines = [f"{'writer':<28}{'equal':>7}{'different':>11}{'altered':>9}{'refused':>9}{'not written':>13}"]
    for writer in dict.fromkeys(each.writer for each in found if each.writer):
        count = Counter(each.outcome for each in found if each.writer == writer)
        row = (count[each] for each in ("equal", "different", "altered", "refused", "not written"))
        lines.append("{:<28}{:>7}{:>11}{:>9}{:>9}{:>13}".format(writer, *row))
    made = [each for each in found if each.writer and each.outcome != "not written"]
    equal = sum(each.outcome == "equal" for each in made)
    images = len({each.image for each in made})
    lines.append(f"\npx and rd equal in {equal} of {len(made)} pairs ({images} images)")
    for each in found:
        if each.outcome in ("different", "altered", "refused", "lossy"):
            lines.append(f"  {each.outcome:<10}{each.image} {each.writer and 'through ' + each.writer}: {each.detail}")
    return "\n".join(lines)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--small", action="store_true", help="eight small images")
    asked.add_argument("--list", action="store_true", help="also print what a writer could not write")
    options = asked.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(made)
        with orthanc_server(folder) as server:
            found = list(pairs(sources(folder, SMALL if options.small else ()), writers(server), folder))
    print(summary(found))
    if options.list:
        print(
            "\n".join(f"{each.image} through {each.writer}: {each.detail}" for each in found if "not" in each.outcome)
        )
    count = Counter(each.outcome for each in found)
    through = {each.writer for each in found if each.outcome == "equal"}
    words = f"{count['equal']} pairs of {len({each.image for each in found})} images and {len(through)} writers"
    tell(3, "px and rd equal", f"{words}; {count['different']} different", held=not count["different"])
    if count["refused"] or count["altered"]:
        words = f"{count['refused']} refused with a code, {count['altered']} where the writer itself wrote other pixels"
        tell(3, "no pair", words, held=True)
    if not any(each.startswith("Orthanc") for each in through):
        absent(3, "Orthanc", "not installed: install the package orthanc")
    return int(count["different"] > 0)


def _try(path: Path) -> Fingerprint | str:
    try:
        return fingerprint(path)
    except FingerprintError as error:
        return error.code


def _altered(path: Path, out: Path) -> bool:
    one, other = (pydicom.pixels.pixel_array(each, raw=True) for each in (path, out))
    return one.shape != other.shape or bool((one != other).any())


def _told(before: Fingerprint, after: Fingerprint) -> list[str]:
    from titer.provenance.fingerprint import explain_difference

    return [each.sentence for each in explain_difference(before.opening, after)]


def _lossy(path: Path) -> bool:
    found = _try(path)
    return not isinstance(found, str) and bool(found.notes["lossy"])


def _decoded(path: Path, out: Path) -> bool:
    data = pydicom.dcmread(path)
    try:
        data.decompress(as_rgb=False)
        data.save_as(out)
        if not isinstance(_try(out), str):
            return True
    except Exception:
        out.unlink(missing_ok=True)
    # What pydicom cannot decode, or leaves with the name of halved chroma that is no longer there.
    if not shutil.which("dcmdjpeg"):
        return False
    return subprocess.run(["dcmdjpeg", path, out], capture_output=True, check=False).returncode == 0


def _pydicom(syntax: str) -> Writer:
    def write(path: Path, out: Path) -> None:
        data = pydicom.dcmread(path)
        try:
            if data.file_meta.TransferSyntaxUID.is_compressed:
                data.decompress(as_rgb=False)
            if not data.original_encoding[1]:
                raise NotWritten("pydicom keeps big-endian words as they are")
            if syntax == JPEG2000Lossless:
                _to_2000(data)
            elif syntax in (RLELossless, JPEGLSLossless):
                plugin = "pydicom" if syntax == RLELossless else "pyjpegls"
                data.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
            else:
                data.file_meta.TransferSyntaxUID = syntax
            explicit = syntax != ImplicitVRLittleEndian
            pydicom.dcmwrite(out, data, implicit_vr=not explicit, little_endian=True)
        except NotWritten:
            raise
        except Exception as error:
            raise NotWritten(f"{type(error).__name__}: {error}".splitlines()[0]) from error

    return write


def _to_2000(data: pydicom.Dataset) -> None:
    """JPEG 2000 lossless by OpenJPEG, wrapped by pydicom."""
    from openjpeg.utils import encode_pixel_data
    from pydicom.encaps import encapsulate
    from pydicom.pixels import iter_pixels

    color = data.SamplesPerPixel > 1
    rgb = data.PhotometricInterpretation == "RGB"
    frames = []
    for frame in iter_pixels(data, raw=True):
        frames.append(
            encode_pixel_data(
                frame.tobytes(),
                rows=data.Rows,
                columns=data.Columns,
                samples_per_pixel=data.SamplesPerPixel,
                bits_stored=data.BitsStored,
                bits_allocated=data.BitsAllocated,
                pixel_representation=data.PixelRepresentation,
                photometric_interpretation="YBR_RCT" if rgb else data.PhotometricInterpretation,
                use_mct=rgb,
            )
        )
    data.PixelData = encapsulate(frames)
    data["PixelData"].is_undefined_length = True
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    if color:
        data.PlanarConfiguration = 0
        data.PhotometricInterpretation = "YBR_RCT" if rgb else data.PhotometricInterpretation.replace("_422", "")


def _gdcm(syntax: str) -> Writer:
    def write(path: Path, out: Path) -> None:
        # In a process of its own: what this library cannot write may end the process.
        _run([[sys.executable, "-c", _GDCM_PROGRAM, syntax]], path, out)
        # Its writer also changes spacing and rescale values; only what it encoded is taken.
        made, data = pydicom.dcmread(out), pydicom.dcmread(path)
        data["PixelData"] = made["PixelData"]
        data.file_meta.TransferSyntaxUID = made.file_meta.TransferSyntaxUID
        for name in ("PlanarConfiguration", "PhotometricInterpretation"):
            if name in made:
                data[name] = made[name]
        pydicom.dcmwrite(out, data, implicit_vr=False, little_endian=True)

    return write


def _dcmtk(commands: list[list[str]]) -> Writer:
    def write(path: Path, out: Path) -> None:
        syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
        first = [command for name, command in _FIRST.items() if syntax.is_compressed and syntax.name.startswith(name)]
        _run([*first, *commands], path, out)

    return write


def _run(commands: list[list[str]], path: Path, out: Path) -> None:
    """Programs one after the other, each from the file that the one before it made."""
    for number, command in enumerate(commands):
        made = out.with_name(f"step{number}.dcm") if number + 1 < len(commands) else out
        done = subprocess.run([*command, path, made], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
            raise NotWritten(said[0] if said else f"{Path(command[0]).name} exit {done.returncode}")
        path = made


def _orthanc(server: Orthanc, syntax: str) -> Writer:
    def once(path: Path) -> bytes:
        stored = json.loads(server.ask("/instances", path.read_bytes()))
        if not syntax:
            return server.ask(f"/instances/{stored['ID']}/file")
        body = {"Transcode": syntax, "Keep": ["SOPInstanceUID"], "Force": True}
        return server.ask(f"/instances/{stored['ID']}/modify", json.dumps(body).encode())

    def write(path: Path, out: Path) -> None:
        for left in reversed(range(_TRIES)):
            try:
                out.write_bytes(once(path))
                return
            except OSError as error:
                # In JPEG-LS it ends about every second time on a color image, and is asked again.
                if not left or not server.ended():
                    raise NotWritten(f"Orthanc: {error}") from error

    return write


if __name__ == "__main__":
    sys.exit(main())
