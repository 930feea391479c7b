"""The face in Python: the package can be called and imported from, at any time and in any order."""

from __future__ import annotations

import subprocess
import sys

import pytest

import titer

AFTER = (
    "import titer",
    "import titer; titer.audit",
    "import titer; titer.Report",
    "import titer.audit",
    "import titer.audit.run",
    "import titer.audit.api, titer.audit.report.schema",
    "from titer.audit.api import audit",
    "from titer.audit import plan",
)
CHECK = """
import sys, inspect, titer
from titer import audit, Report
import titer.audit.run
assert titer.audit is audit
for call in (titer.audit, audit, titer.audit):
    assert callable(call)
    assert list(inspect.signature(call).parameters)[:3] == ["model", "data", "plan"]
    try:
        call("t-cnn", "no_such_data", {"threats": [{"limits": ["4/255"]}]})
    except titer.TiterError as error:
        assert "no_such_data" in str(error)
    else:
        raise AssertionError("a data set that does not exist was audited")
assert titer.audit.run.choose("inline")
from titer.audit.api import audit as plain
assert inspect.signature(plain) == inspect.signature(audit)
print("fine")
"""


@pytest.mark.parametrize("before", AFTER)
def test_the_audit_can_be_called_again_and_again_after_any_import(before: str) -> None:
    done = subprocess.run([sys.executable, "-c", before + CHECK], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "fine", done.stderr


def test_naming_the_audit_imports_nothing_heavy() -> None:
    code = "import sys, titer; titer.audit; print([m for m in ('torch', 'scipy', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_the_package_promises_is_there() -> None:
    for name in titer.__all__:
        assert getattr(titer, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        titer.no_such_name  # noqa: B018
