"""ONNX Runtime, so that the same question has the same answer."""

from __future__ import annotations

from typing import Any

from titer.errors import ModelError
from titer.models.adapters.probe import first_line


def session(content: bytes, name: str) -> Any:
    """A session of ONNX Runtime on one thread, with deterministic kernels; `name` is for messages."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ModelError(
            "the package onnxruntime for ONNX files", "none", "install it: pip install 'titer[onnx]'"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            "a graph that ONNX Runtime can run", f"{name}: {first_line(error)}", "export with an older opset"
        ) from error
