"""X12 837 files of invented people for tests, in any separators."""

from __future__ import annotations

from collections.abc import Sequence

Segments = list[str]

# Transaction: functional version, what a service line is, place-of-service qualifier of CLM05.
KINDS = {
    "professional": ("005010X222A1", "SV1*HC:{code}*{amount}*UN*1***1", "11:B:1"),
    "institutional": ("005010X223A2", "SV2*0300*HC:{code}*{amount}*UN*1", "11:A:1"),
    "dental": ("005010X224A2", "SV3*AD:D2140*{amount}****1", "11:B:1"),
}


def lines(kind: str, codes: Sequence[tuple[str, str]]) -> Segments:
    service = KINDS[kind][1]
    found = []
    for number, (code, amount) in enumerate(codes, 1):
        found += [f"LX*{number}", service.format(code=code, amount=amount), "DTP*472*D8*20240501"]
    return found


def claim(
    identifier: str = "26463774",
    diagnosis: str = "J020",
    codes: Sequence[tuple[str, str]] = (("99213", "40"), ("87070", "15.5")),
    kind: str = "professional",
) -> Segments:
    total = f"{sum(float(amount) for _, amount in codes):g}"
    extra = {
        "professional": [f"CLM*{identifier}*{total}***{KINDS[kind][2]}*Y*A*Y*I"],
        "institutional": [
            f"CLM*{identifier}*{total}***{KINDS[kind][2]}**A*Y*I",
            "DTP*434*RD8*20240501-20240501",
            "CL1*1*1*01",
        ],
        "dental": [f"CLM*{identifier}*{total}***{KINDS[kind][2]}*Y*A*Y*I"],
    }[kind]
    attending = ["NM1*71*1*JONES*JOHN****XX*1234567893"] if kind == "institutional" else []
    qualifier = "ABK"
    return [*extra, f"HI*{qualifier}:{diagnosis}", *attending, *lines(kind, codes)]


def subscriber(number: int, parent: int, name: str = "SMITH", child: int = 0) -> Segments:
    relation = "" if child else "18"
    person = ["N3*236 N MAIN ST", "N4*MIAMI*FL*33413", "DMG*D8*19430501*F"] if not child else []
    return [
        f"HL*{number}*{parent}*22*{child}",
        f"SBR*P*{relation}*2222-SJ******CI",
        f"NM1*IL*1*{name}*JANE****MI*JS00111223333",
        *person,
        "NM1*PR*2*KEY INSURANCE COMPANY*****PI*999996666",
    ]


def patient(number: int, parent: int, name: str = "TED") -> Segments:
    return [
        f"HL*{number}*{parent}*23*0", "PAT*19", f"NM1*QC*1*SMITH*{name}", "N3*236 N MAIN ST", "N4*MIAMI*FL*33413",
        "DMG*D8*19730501*M",
    ]  # fmt: skip


def provider(number: int = 1, identifier: str = "9876543210") -> Segments:
    return [
        f"HL*{number}**20*1", f"NM1*85*2*BEN KILDARE SERVICE*****XX*{identifier}", "N3*234 SEAWAY ST",
        "N4*MIAMI*FL*331110001", "REF*EI*587654321",
    ]  # fmt: skip


def transaction(body: Segments, kind: str = "professional", control: str = "0021", time: str = "1023") -> Segments:
    version = KINDS[kind][0]
    inside = [
        f"BHT*0019*00*{control}44445*20240501*{time}*CH", "NM1*41*2*PREMIER BILLING SERVICE*****46*TGJ23",
        "PER*IC*JERRY*TE*3055552222*EX*231", "NM1*40*2*KEY INSURANCE COMPANY*****46*66783JJT", *body,
    ]  # fmt: skip
    return [f"ST*837*{control}*{version}", *inside, f"SE*{len(inside) + 2}*{control}"]


def interchange(
    transactions: Sequence[Segments],
    kind: str = "professional",
    control: str = "000000905",
    separators: str = "*:~^",
    end: str = "\n",
) -> bytes:
    """The file. `separators`: element, component, segment, repetition; `end` follows each segment."""
    element, component, segment, repetition = separators
    version = KINDS[kind][0]
    head = f"ISA*00*          *00*          *ZZ*SUBMITTERS.ID  *ZZ*RECEIVERS.ID   *240501*1253*^*00501*{control}*1*T*:"
    group = f"GS*HC*SENDER*RECEIVER*20240501*1253*1*X*{version}"
    body = [
        head,
        group,
        *(each for made in transactions for each in made),
        f"GE*{len(transactions)}*1",
        f"IEA*1*{control}",
    ]
    turned = str.maketrans("*:^", element + component + repetition)
    return "".join(each.translate(turned) + segment + end for each in body).encode("ascii")


def file_of(body: Segments, kind: str = "professional", **options: str) -> bytes:
    """An interchange with one transaction."""
    return interchange([transaction(body, kind)], kind, **options)


def one(kind: str = "professional") -> bytes:
    """A file with one claim of a subscriber."""
    return file_of([*provider(), *subscriber(2, 1), *claim(kind=kind)], kind)


def family() -> bytes:
    """A file with a claim of a subscriber and two of a dependent, under two providers."""
    body = [
        *provider(1), *subscriber(2, 1, "JONES"), *claim("A1"),
        *subscriber(3, 1, child=1), *patient(4, 3), *claim("A2"), *claim("A3", "K219"),
        *provider(5, "1112223336"), *subscriber(6, 5), *claim("A4"),
    ]  # fmt: skip
    return file_of(body)
