"""Signals: integers per channel, whatever the format, number of bits, interleaving and length of records."""

from __future__ import annotations

import hashlib
import io
import random
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_made import written
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from signals_made import BITS, Samples, edf, multiplex, record, waveform

from titer.errors import FingerprintError, PlanError
from titer.provenance.fingerprint import Fingerprint, Limits, fingerprint_of, signal
from titer.provenance.fingerprint._samples import decode

WALK = np.cumsum(np.random.default_rng(8).integers(-20, 21, size=(601, 3)), axis=0) % 200 - 100


def packed(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(8, "big") + each for each in fields)


def sha(name: str, *pieces: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0\1" + b"".join(pieces)).digest()


def sg_of(*channels: Any) -> bytes:
    return sha(
        "sg",
        *(len(each).to_bytes(8, "big") + sha("sg.channel", np.asarray(each, "<i4").tobytes()) for each in channels),
    )


def rd_of(*channels: tuple[str, str, str, str, str, str]) -> bytes:
    return sha(
        "rd",
        packed(
            *(
                packed(each[0].encode(), each[1].encode(), b"", *(part.encode() for part in each[2:]))
                for each in channels
            )
        ),
    )


def both(source: Any) -> tuple[bytes, bytes]:
    made = signal.fingerprint(source)
    return made["sg"], made["rd"]


def code_of(source: Any, limits: Limits | None = None) -> str:
    with pytest.raises(FingerprintError) as caught:
        signal.fingerprint(source, limits)
    return caught.value.code


def test_known_answers_by_the_definition_alone() -> None:
    head = b"# a comment\r\nrun1 2 250 3 10:00:00 01/05/2024\r\n"
    head += b"run1.dat 16 100(50)/mV 12 0 0 0 0 lead II\r\nrun1.dat 16 0 12 7\r\n"
    data = struct.pack("<6h", 1, -1, 2, -2, 300, -32768)
    made = signal.fingerprint({"run1.hea": head, "run1.dat": data})
    assert made["sg"] == sg_of([1, 2, 300], [-1, -2, -32768])
    # An unknown gain is 200 by WFDB's rule, and the baseline is the middle of the converter's range.
    lead, other = ("lead II", "mV", "250/1", "1/100", "-1/2", "0/1"), ("", "mV", "250/1", "1/200", "-7/200", "0/1")
    assert made["rd"] == rd_of(lead, other)
    assert made["id.record"] == sha("id.record", b"run1")
    assert made["id.start"] == sha("id.start", b"10:00:00 01/05/2024")
    assert made.names == ("id.record", "id.start", "rd", "sg")
    assert made.notes == {"channels": 2, "samples": 6}
    plain = edf(
        np.array([[1, -1], [2, -2]]),
        each=2,
        duration="0.5",
        low=[-100, 0],
        high=[100, 1],
        least=[-200, 0],
        most=[200, 4],
    )
    found = signal.fingerprint(plain)
    assert found["sg"] == sg_of([1, 2], [-1, -2])
    assert found["rd"] == rd_of(
        ("lead 0", "uV", "4/1", "1/2", "0/1", "0/1"), ("lead 1", "uV", "4/1", "1/4", "0/1", "0/1")
    )
    assert found["id.patient"] == sha("id.patient", b"P1 X X X")
    assert found["id.recording"] == sha("id.recording", b"Startdate 01-MAY-2024")
    assert found["id.start"] == sha("id.start", b"01.05.2410.00.00")


@pytest.mark.parametrize("form", BITS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 601])
def test_every_format_of_wfdb_holds_the_same_signal(form: int, count: int) -> None:
    values = WALK[:count] if form != 8 else WALK[:count] // 2
    for channels in (1, 2, 3):
        made = both(record(values[:, :channels], form))
        assert made[0] == sg_of(*values[:, :channels].T)
        assert made == both(record(values[:, :channels], 32, name="other"))


@pytest.mark.parametrize("form", ["16", "24", "32", "80", "212"])
def test_records_that_wfdb_writes_are_read_as_wfdb_reads_them(form: str, tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    values = WALK[:, :2].astype(np.int64)
    wfdb.wrsamp(
        "rec", 360, ["mV", "uV"], ["II", "V5"], d_signal=values, fmt=[form] * 2, adc_gain=[200, 1000.5],
        baseline=[0, 20], write_dir=str(tmp_path),
    )  # fmt: skip
    read = wfdb.rdrecord(str(tmp_path / "rec"), physical=False, return_res=32)
    assert both(tmp_path / "rec.hea")[0] == sg_of(*read.d_signal.T)
    assert np.array_equal(read.d_signal, values)
    lead, other = ("II", "mV", "360/1", "1/200", "0/1", "0/1"), ("V5", "uV", "360/1", "2/2001", "-40/2001", "0/1")
    assert both(tmp_path / "rec.hea")[1] == rd_of(lead, other)


@pytest.mark.parametrize("form", BITS)
def test_wfdb_reads_what_the_digest_is_over(form: int, tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    for count in (597, 598, 599):
        values = WALK[:count] // (2 if form == 8 else 1)
        for name, data in record(values, form).items():
            (tmp_path / name).write_bytes(data)
        read = wfdb.rdrecord(str(tmp_path / "a"), physical=False, return_res=32)
        assert both(tmp_path / "a.hea")[0] == sg_of(*read.d_signal.T) == sg_of(*values.T)


def test_what_wfdb_gives_as_physical_values_is_the_line_in_rd(tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    files = record(WALK[:50, :1], gain="-123.5e-1(17)/mmHg")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    read = wfdb.rdrecord(str(tmp_path / "a"))
    scale = 1 / Fraction("-12.35")
    line = [float(scale * int(value) - 17 * scale) for value in WALK[:50, 0]]
    assert np.allclose(read.p_signal[:, 0], line, rtol=1e-12)
    assert both(files)[1] == rd_of(("lead 0", "mmHg", "500/1", "-20/247", "340/247", "0/1"))


def test_a_thousand_conversions_raise_no_alarm() -> None:
    draw = random.Random(9)
    cuts = [each for each in range(1, 601) if 600 % each == 0]
    for number in range(200):
        shift = draw.randrange(50)
        values = (np.roll(WALK[:600], shift, axis=0) // 2)[:, : draw.randint(1, 3)]
        plain = both(record(values, 16))
        for _ in range(3):
            form = draw.choice([each for each in BITS if each != 8])
            assert both(record(values, form, name=f"n{number}")) == plain
        each = draw.choice(cuts)
        ranges = {
            name: [value] * values.shape[1]
            for name, value in (("low", -100), ("high", 100), ("least", -200), ("most", 200))
        }
        first = edf(values, 600, duration="1.2", **ranges)
        second = edf(
            values,
            each,
            bits=24,
            duration=str(Fraction(each, 500).limit_denominator()) if each % 500 == 0 else f"{each / 500:g}",
            **ranges,
        )
        assert both(second)[0] == both(first)[0] == plain[0]
        if Fraction(f"{each / 500:g}") == Fraction(each, 500):
            assert both(second)[1] == both(first)[1]


def test_one_signal_in_three_formats() -> None:
    values = WALK[:600]
    ranges = {"low": [-1250] * 3, "high": [1250] * 3, "least": [-1000] * 3, "most": [1000] * 3}
    first, second = edf(values, **ranges), record(values, gain="0.8/uV")
    assert both(first) == both(second)
    assert both(written(waveform(values)))[0] == both(first)[0]


@given(st.integers(0, 600), st.integers(0, 2), st.sampled_from([16, 24, 212, 310, 311, 80, 61, 160, 32]))
def test_one_other_sample_is_another_signal(at: int, channel: int, form: int) -> None:
    other = WALK.copy()
    other[at, channel] += 1
    found, plain = signal.fingerprint(record(other, form)), signal.fingerprint(record(WALK, form))
    assert found["sg"] != plain["sg"]
    assert found["rd"] == plain["rd"]
    pairs = zip(found.opening["channels"], plain.opening["channels"], strict=True)
    assert [number for number, (a, b) in enumerate(pairs) if a != b] == [channel]


def test_order_number_and_length_of_channels_count() -> None:
    plain = both(record(WALK))[0]
    others = [WALK[:, ::-1], WALK[:, [1, 0, 2]], WALK[:, :2], WALK[:600], WALK[::-1], np.roll(WALK, 1, axis=0), -WALK]
    assert len({plain, *(both(record(each))[0] for each in others)}) == len(others) + 1
    # As many samples in all, cut otherwise into channels.
    flat = WALK[:600, :1]
    assert both(record(flat))[0] != both(record(flat.reshape(300, 2)))[0]


@pytest.mark.parametrize(
    "change",
    [
        (b"500 601", b"501 601"),
        (b"200(-5)/mV 12 0 0 0 0 lead 1", b"201(-5)/mV 12 0 0 0 0 lead 1"),
        (b"200(-5)/mV 12 0 0 0 0 lead 1", b"200.00000000000001(-5)/mV 12 0 0 0 0 lead 1"),
        (b"200(-5)/mV 12 0 0 0 0 lead 1", b"200(-4)/mV 12 0 0 0 0 lead 1"),
        (b"200(-5)/mV 12 0 0 0 0 lead 1", b"200(-5)/uV 12 0 0 0 0 lead 1"),
        (b"lead 1", b"lead 9"),
    ],
)
def test_each_attribute_of_rd_alone_changes_it(change: tuple[bytes, bytes]) -> None:
    files = record(WALK)
    other = {**files, "a.hea": files["a.hea"].replace(*change)}
    assert other != files
    assert both(other)[0] == both(files)[0]
    assert both(other)[1] != both(files)[1]


def test_what_is_outside_rd_changes_nothing() -> None:
    files = record(WALK)
    head = files["a.hea"].replace(b" 12 0 0 0 0 lead 0", b" 16 512 99 -7 0 lead 0").replace(b"200(-5)", b"2.00e2(-5)")
    head = b"#comment\n" + head.replace(b" 500 601", b"   500.0/360(2) 601") + b"# age: 61\n\n"
    assert both({**files, "a.hea": head}) == both(files)


def test_files_and_frames_may_be_laid_out_otherwise() -> None:
    values = WALK[:600]
    head = b"m 3 500 600\n" + b"".join(b"m%d.dat 16 200(-5)/mV 12 0 0 0 0 lead %d\n" % (at, at) for at in range(3))
    apart = {f"m{at}.dat": values[:, at].astype("<i2").tobytes() for at in range(3)}
    assert both({"m.hea": head, **apart}) == both(record(values))
    # Two samples per frame at half the frame rate, behind ten bytes of something else.
    frames = np.stack([values[0::2], values[1::2]], axis=2).reshape(300, -1).astype("<i2").tobytes()
    head = b"f 3 250 300\n" + b"".join(b"f.dat 16x2+10 200(-5)/mV 12 0 0 0 0 lead %d\n" % at for at in range(3))
    assert both({"f.hea": head, "f.dat": bytes(10) + frames}) == both(record(values))


@pytest.mark.parametrize("form", [16, 212, 311])
def test_a_header_without_a_length_reads_to_the_end(form: int) -> None:
    files = record(WALK[:600], form)
    for length in (b" 500\n", b" 500 0\n"):
        assert both({**files, "a.hea": files["a.hea"].replace(b" 500 600\n", length)}) == both(files)
    assert both({**files, "a.hea": files["a.hea"].replace(b" 500 600\n", b"\n")})[0] == both(files)[0]


def test_differences_add_up_from_the_value_in_the_header() -> None:
    head = b"d 1 500 3\nd.dat 8 200/mV 12 0 100 0 0 II\n"
    assert both({"d.hea": head, "d.dat": bytes([1, 255, 5])})[0] == sg_of([101, 100, 105])
    many = np.full(3 * (1 << 20) // 2, 1, np.int8)
    head = b"d 1 500 %d\nd.dat 8 200/mV 12 0 0 0 0 II\n" % many.size
    assert both({"d.hea": head, "d.dat": many.tobytes()})[0] == sg_of(np.arange(1, many.size + 1))


def test_long_records_are_read_in_pieces() -> None:
    values = np.random.default_rng(10).integers(-2048, 2048, size=(400001, 3))
    assert values[:, 0].nbytes > 1 << 21
    head = b"a 3 500 400001\n" + b"a.dat 212 200/mV 12 0 0 0 0 x\n" * 3
    flat = np.append(values.reshape(-1), 0) & 0xFFF
    low, high = flat[0::2], flat[1::2]
    data = np.stack([low & 255, low >> 8 | high >> 8 << 4, high & 255], axis=1).astype(np.uint8).tobytes()
    assert both({"a.hea": head, "a.dat": data})[0] == both({"a.hea": head, "a.dat": data[:-1]})[0] == sg_of(*values.T)
    assert np.array_equal(decode(data[:30], 212)[:20], values.reshape(-1)[:20])


def test_edf_in_records_longer_than_a_piece() -> None:
    values = np.random.default_rng(11).integers(-1000, 1000, size=(1200000, 2))
    found = both(edf(values, 600000, duration="1200"))
    assert found[0] == sg_of(*values.T)
    assert found == both(edf(values, 1000, duration="2"))
    marked = edf(values, 600000, duration="1200", label=["lead 0", "EDF Annotations"], reserved="EDF+C")
    assert both(marked)[0] == sg_of(values[:, 0])


def test_edf_and_bdf_that_edfio_writes() -> None:
    edfio = pytest.importorskip("edfio")
    values = WALK[:600, :2]
    for name, cls, bits in (("Edf", "EdfSignal", 16), ("Bdf", "BdfSignal", 24)):
        most = (1 << (bits - 1)) - 1
        signals = [
            getattr(edfio, cls).from_digital(
                values[:, at].astype(np.int16 if bits == 16 else np.int32), 200, label=f"L{at}",
                physical_dimension="uV", physical_range=(-100, 100),
                digital_range=(-most - 1, most),
            )
            for at in range(2)
        ]  # fmt: skip
        out = io.BytesIO()
        getattr(edfio, name)(signals).write(out)
        read = getattr(edfio, f"read_{name.lower()}")(io.BytesIO(out.getvalue()))
        made = signal.fingerprint(out.getvalue())
        assert made["sg"] == sg_of(*(each.digital for each in read.signals)) == sg_of(*values.T)
        scale = Fraction(200, 2 * most + 1)
        offset = -100 + (most + 1) * scale
        text = [f"{each.numerator}/{each.denominator}" for each in (scale, offset)]
        assert made["rd"] == rd_of(*((f"L{at}", "uV", "200/1", *text, "0/1") for at in range(2)))


def test_files_that_come_with_pyedflib() -> None:
    pyedflib = pytest.importorskip("pyedflib")
    folder = Path(pyedflib.__file__).parent
    paths = sorted({*folder.rglob("*.edf"), *folder.rglob("*.bdf")})
    assert len(paths) > 5
    for path in paths:
        with pyedflib.EdfReader(str(path)) as file:
            channels = [file.readSignal(number, digital=True) for number in range(file.signals_in_file)]
            labels = file.getSignalLabels()
        made = fingerprint_of(path)
        assert made["sg"] == sg_of(*channels), path.name
        assert made.notes["channels"] == len(labels)
        assert made.notes["annotations"] == int(path.name != "test_legacy.edf")


def test_a_real_record_in_every_wide_format(real_data: Path, tmp_path: Path) -> None:
    wfdb = pytest.importorskip("wfdb")
    path = real_data / "format_samples" / "s0010_re_10s.hea"
    if not path.is_file():
        pytest.skip("no folder format_samples")
    read = wfdb.rdrecord(str(path.with_suffix("")), physical=False)
    made = fingerprint_of(path)
    assert made["sg"] == sg_of(*read.d_signal.T)

    def rewrite(name: str, values: Samples, form: str) -> None:
        wfdb.wrsamp(
            name, read.fs, read.units, read.sig_name, d_signal=values, fmt=[form] * 12, adc_gain=read.adc_gain,
            baseline=read.baseline, write_dir=str(tmp_path),
        )  # fmt: skip

    for form in ("16", "24", "32"):
        rewrite(f"r{form}", read.d_signal, form)
        again = fingerprint_of(tmp_path / f"r{form}.hea")
        assert (again["sg"], again["rd"]) == (made["sg"], made["rd"])
    swapped = read.d_signal[:, [1, 0, *range(2, 12)]]
    rewrite("swapped", swapped, "16")
    other = fingerprint_of(tmp_path / "swapped.hea")
    assert other["sg"] != made["sg"]
    assert other["rd"] == made["rd"]


def test_real_beats_and_strips_survive_a_conversion(real_data: Path) -> None:
    ecg, eeg = real_data / "ecg_mitbih" / "strips10s_125hz.npz", real_data / "eeg_bonn" / "bonn_eeg.npz"
    if not (ecg.is_file() and eeg.is_file()):
        pytest.skip("no folder ecg_mitbih or eeg_bonn")
    for path in (ecg, eeg):
        with np.load(path) as found:
            strips: Samples = max(
                (found[name] for name in found.files if found[name].ndim > 1), key=lambda each: each.size
            )
        flat = strips.reshape(-1, strips.shape[-1])[:40]
        whole = np.round(flat / max(1e-9, np.abs(flat).max()) * 2000).astype(np.int64)
        for strip in whole:
            values = strip[: strip.size // 10 * 10, None]
            plain = both(record(values))
            assert both(record(values, 212)) == plain
            assert both(edf(values, values.shape[0] // 10))[0] == plain[0]


def test_waveforms_are_read_as_pydicom_reads_them() -> None:
    path = get_testdata_file("waveform_ecg.dcm")
    loaded = pydicom.dcmread(path)
    made = fingerprint_of(path)
    groups = []
    for group in loaded.WaveformSequence:
        shape = (group.NumberOfWaveformSamples, group.NumberOfWaveformChannels)
        groups += list(np.frombuffer(group.WaveformData, "<i2").reshape(shape).T)
    assert made["sg"] == sg_of(*groups)
    assert made.notes == {"channels": 24, "groups": 2, "samples": 134400}
    assert {"id.patient", "id.study", "id.series", "id.instance"} <= set(made.names)


@pytest.mark.parametrize("form", ["SB", "UB", "SS", "US", "SL", "UL"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"])
def test_transfer_syntaxes_and_widths_of_waveforms(form: str, syntax: str) -> None:
    values = (WALK[:, :3] // 2) + (60 if form[0] == "U" else 0)
    made = waveform(values, form)
    made.file_meta.TransferSyntaxUID = syntax
    found = both(written(made))
    assert found[0] == sg_of(*values.T)
    assert found[1] == both(written(waveform(values, form)))[1]


def test_waveforms_in_big_endian_order() -> None:
    made = waveform(WALK)
    item = made.WaveformSequence[0]
    item.WaveformData = np.frombuffer(item.WaveformData, "<i2").astype(">i2").tobytes()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    assert both(written(made)) == both(written(waveform(WALK)))
    item["WaveformData"].VR = "OB"
    assert code_of(written(made)) == "unsupported.byte_order"


@pytest.mark.parametrize(
    "name",
    [
        "SamplingFrequency", "MultiplexGroupTimeOffset", "ChannelLabel", "ChannelSensitivity",
        "ChannelSensitivityCorrectionFactor", "ChannelBaseline", "ChannelSampleSkew", "ChannelTimeSkew",
        "ChannelOffset",
    ],
)  # fmt: skip
def test_each_attribute_of_a_waveform_that_rd_holds(name: str) -> None:
    made = waveform(WALK)
    group = made.WaveformSequence[0]
    place = group if name in ("SamplingFrequency", "MultiplexGroupTimeOffset") else group.ChannelDefinitionSequence[1]
    setattr(place, name, "7")
    found, plain = both(written(made)), both(written(waveform(WALK)))
    assert found[0] == plain[0]
    assert found[1] != plain[1]


def test_codes_of_a_waveform_count_and_their_meanings_do_not() -> None:
    plain = both(written(waveform(WALK)))
    for name, same in (("CodeValue", False), ("CodingSchemeDesignator", False), ("CodeMeaning", True)):
        for sequence in ("ChannelSourceSequence", "ChannelSensitivityUnitsSequence"):
            made = waveform(WALK)
            setattr(made.WaveformSequence[0].ChannelDefinitionSequence[0][sequence].value[0], name, "Z")
            assert (both(written(made))[1] == plain[1]) is same
    made = waveform(WALK)
    made.PatientName, made.WaveformSequence[0].MultiplexGroupLabel = "DOE^JANE", "RHYTHM"
    made.WaveformSequence[0].ChannelDefinitionSequence[0].FilterLowFrequency = "0.5"
    made.WaveformAnnotationSequence = []
    assert both(written(made)) == plain
    assert signal.fingerprint(written(made))["id.patient"] == signal.fingerprint(written(waveform(WALK)))["id.patient"]


def test_a_group_that_does_not_fit_its_samples_is_refused() -> None:
    cases = [
        (waveform(WALK, NumberOfWaveformSamples=600), "malformed.waveform"),
        (waveform(WALK, NumberOfWaveformChannels=2), "malformed.waveform"),
        (waveform(WALK, NumberOfWaveformSamples=2**32 - 1, NumberOfWaveformChannels=2**16 - 1), "malformed.waveform"),
        (waveform(WALK, WaveformBitsAllocated=8), "malformed.waveform"),
        (waveform(WALK, WaveformSampleInterpretation="MB"), "unsupported.samples"),
        (waveform(WALK, SamplingFrequency="0"), "malformed.rate"),
        (waveform(WALK + 2**31, "UL"), "unsupported.range"),
    ]
    for made, code in cases:
        assert code_of(written(made)) == code
    assert code_of(written(waveform(WALK)).replace(b"500 ", b"fast")) == "malformed.number"
    for missing in ("NumberOfWaveformSamples", "WaveformBitsAllocated", "WaveformData", "WaveformSampleInterpretation"):
        made = waveform(WALK)
        del made.WaveformSequence[0][missing]
        assert code_of(written(made)).startswith(("malformed", "unsupported"))
    made = waveform(WALK)
    made.WaveformSequence[0].ChannelDefinitionSequence.append(made.WaveformSequence[0].ChannelDefinitionSequence[0])
    assert code_of(written(made)) == "malformed.waveform"
    made = waveform(WALK)
    made.WaveformSequence = [pydicom.Dataset(), multiplex(WALK)]
    assert code_of(written(made)) == "malformed.waveform"
    del made.WaveformSequence
    assert code_of(written(made)) == "malformed.no_signal"
    assert code_of(written(waveform(WALK))[:-100]) == "malformed.truncated"


HEAD = record(WALK)["a.hea"]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"", "malformed.header"),
        (b"# only a comment\n", "malformed.header"),
        (b"a/2 3 500 601\n", "unsupported.segments"),
        (b"a 3 0 601\n" + HEAD.split(b"\n", 1)[1], "malformed.rate"),
        (b"a 2 500 601\n" + HEAD.split(b"\n", 1)[1], "malformed.header"),
        (b"a 4 500 601\n" + HEAD.split(b"\n", 1)[1], "malformed.header"),
        (b"a 3 500 6x1\n" + HEAD.split(b"\n", 1)[1], "malformed.header"),
        (b"a 3 5..0 601\n" + HEAD.split(b"\n", 1)[1], "malformed.number"),
        (b"a 3 500 602\n" + HEAD.split(b"\n", 1)[1], "malformed.truncated"),
        (b"a 3 500 600\n" + HEAD.split(b"\n", 1)[1], "malformed.trailing"),
        (b"a 3 500 9999999999999999999\n" + HEAD.split(b"\n", 1)[1], "malformed.header"),
        (b"a 3 500 999999999999999999\n" + HEAD.split(b"\n", 1)[1], "malformed.truncated"),
        (b"a 99999999 500 601\n" + HEAD.split(b"\n", 1)[1], "limit.frames"),
        (b"a 0 500 601\n", "malformed.no_signal"),
        (HEAD.replace(b"a.dat 16", b"../a.dat 16"), "unsafe.path"),
        (HEAD.replace(b"a.dat 16", b"/etc/hosts 16"), "unsafe.path"),
        (HEAD.replace(b"a.dat 16", b".. 16"), "unsafe.path"),
        (HEAD.replace(b"a.dat 16", b"- 16"), "unsafe.path"),
        (HEAD.replace(b"a.dat 16", b"b.dat 16"), "malformed.missing"),
        (HEAD.replace(b"a.dat 16", b"a.dat 516"), "unsupported.format"),
        (HEAD.replace(b"a.dat 16", b"a.dat 0"), "unsupported.format"),
        (HEAD.replace(b"a.dat 16", b"a.dat 16:3"), "unsupported.skew"),
        (HEAD.replace(b"a.dat 16", b"a.dat 16x0"), "malformed.rate"),
        (HEAD.replace(b"a.dat 16", b"a.dat 80", 1), "malformed.header"),
        (HEAD.replace(b"a.dat 16", b"b.dat 16", 2).replace(b"b.dat", b"a.dat", 1), "malformed.header"),
        (HEAD.replace(b"a.dat 16", b"a.dat"), "malformed.header"),
        (HEAD.replace(b"200(-5)/mV", b"(5)"), "malformed.header"),
        (HEAD.replace(b"200(-5)/mV", b"2e999"), "limit.number"),
        (HEAD.replace(b" 12 0 0", b" 12 zero 0"), "malformed.header"),
    ],
)
def test_headers_that_break_the_format_are_refused(head: bytes, code: str) -> None:
    assert code_of({**record(WALK), "a.hea": head}) == code


def test_samples_that_do_not_fill_frames_are_refused() -> None:
    files = record(WALK)
    bare = {**files, "a.hea": files["a.hea"].replace(b" 601\n", b"\n")}
    assert code_of({**bare, "a.dat": files["a.dat"][:-2]}) == "malformed.truncated"
    assert code_of({**bare, "a.dat": files["a.dat"][:-1]}) == "malformed.truncated"
    assert code_of({**bare, "a.dat": b""}) == "malformed.no_signal"
    steep = np.full(1 << 18, 127, np.int8).tobytes()
    head = b"d 1 500 262144\nd.dat 8 200/mV 12 0 2147480000 0 0 II\n"
    assert code_of({"d.hea": head, "d.dat": steep}) == "unsupported.range"


EDF = edf(WALK[:600])


def edited(at: int, text: bytes) -> bytes:
    return EDF[:at] + text + EDF[at + len(text) :]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (EDF[:200], "unsupported.format"),
        (EDF[:300], "malformed.truncated"),
        (EDF[:-1], "malformed.truncated"),
        (EDF + b"\0", "malformed.trailing"),
        (edited(236, b"-1      "), "malformed.header"),
        (edited(236, b"5       "), "malformed.trailing"),
        (edited(236, b"99999999"), "limit.segments"),
        (edited(236, b"999999  "), "malformed.truncated"),
        (edited(184, b"999     "), "malformed.header"),
        (edited(244, b"0       "), "malformed.rate"),
        (edited(244, b"-1      "), "malformed.rate"),
        (edited(244, b"0,2     "), "malformed.number"),
        (edited(192, b"EDF+D"), "unsupported.interrupted"),
        (edf(WALK[:600], low=[0] * 3, high=[0] * 3), "malformed.scale"),
        (edf(WALK[:600], least=[0] * 3, most=[0] * 3), "malformed.scale"),
        (edf(WALK[:600], samples=[0] * 3), "malformed.rate"),
        (edf(WALK[:600], samples=["x"] * 3), "malformed.header"),
        (edf(WALK[:600], low=["1e9999"] * 3), "limit.number"),
        (edf(WALK[:600], samples=[99999999] * 3), "malformed.truncated"),
        (edf(WALK[:0], samples=[0] * 3, label=["EDF Annotations"] * 3, reserved="EDF+C"), "malformed.no_signal"),
        (edf(WALK[:600], label=["EDF Annotations"] * 3, reserved="EDF+C"), "malformed.no_signal"),
    ],
)
def test_edf_files_that_break_the_format_are_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_annotations_are_no_samples() -> None:
    marked = edf(WALK[:600], label=["lead 0", "lead 1", "EDF Annotations"], reserved="EDF+C")
    plain = edf(WALK[:600, :2])
    assert both(marked) == both(plain)
    assert signal.fingerprint(edf(WALK[:600], label=["EDF Annotations"] * 3)).notes["channels"] == 3
    assert signal.fingerprint(marked).notes == {"annotations": 1, "channels": 2, "samples": 1200}
    assert both(edf(np.zeros((0, 1), int), each=1, samples=[1]))[0] == sg_of([])


def test_limits() -> None:
    assert code_of(EDF, Limits(frames=2)) == "limit.frames"
    assert code_of(EDF, Limits(pixels=599)) == "limit.pixels"
    assert code_of(EDF, Limits(object_bytes=4000)) == "limit.object"
    assert code_of(record(WALK), Limits(pixels=600)) == "limit.pixels"
    assert code_of(record(WALK), Limits(value_bytes=50)) == "limit.value"
    assert code_of(written(waveform(WALK)), Limits(frames=2)) == "limit.frames"
    assert code_of(edf(WALK[:600], samples=[99999999] * 3), Limits(object_bytes=1 << 30)) == "limit.object"


def test_sources(tmp_path: Path) -> None:
    files = record(WALK)
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert both(tmp_path / "a.hea") == both(str(tmp_path / "a.hea")) == both(files)
    assert isinstance(fingerprint_of(tmp_path / "a.hea"), Fingerprint)
    assert both(io.BytesIO(EDF)) == both(EDF)
    assert code_of(files["a.hea"]) == "unsupported.no_samples"
    assert code_of(b"something else") == "unsupported.format"
    (tmp_path / "a.dat").unlink()
    assert code_of(tmp_path / "a.hea") == "malformed.missing"
    with pytest.raises(PlanError, match="one header"):
        signal.fingerprint({"a.dat": b""})


def test_random_damage_ends_in_a_refusal_or_another_digest() -> None:
    draw = random.Random(12)
    for data in (EDF, written(waveform(WALK))):
        plain = signal.fingerprint(data)
        for _ in range(1000):
            at = draw.randrange(len(data))
            other = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
            try:
                found = signal.fingerprint(other)
            except FingerprintError as error:
                assert "." in error.code  # noqa: PT017
            else:
                # What neither digest holds: times, filters, names of programs and the like, all in the header.
                assert found["sg"] != plain["sg"] or at < len(data) - 3600
