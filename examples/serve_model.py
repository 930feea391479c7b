"""A model behind HTTP, for trying out audits of endpoints; it listens on this machine only.

    python examples/serve_model.py --port 8500

serves a model of biopsies (scikit-learn's breast cancer data) in two forms:

    open inference protocol (KServe, Triton)    http://127.0.0.1:8500/v2/models/biopsies
    plain JSON (as TensorFlow Serving has it)   http://127.0.0.1:8500/v1/models/biopsies:predict
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class ModelServer(ThreadingHTTPServer):
    """Serves one function of arrays.

    Arguments
        predict: scores or probabilities [n, K] for cases [n, *shape].
        shape: shape of one case. name: name of the model. port: 0 takes a free one.

    Attributes
        cases: cases that were asked about so far.
    """

    daemon_threads = True

    def __init__(self, predict: Callable[[Array], Array], shape: tuple[int, ...], *, name: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.predict, self.shape, self.name = predict, shape, name
        self.cases = 0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def metadata(self) -> dict[str, Any]:
        """What the open inference protocol tells of the model."""
        answers = self.predict(np.zeros((1, *self.shape), dtype=np.float32))
        return {
            "name": self.name,
            "platform": "numpy",
            "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, *self.shape]}],
            "outputs": [{"name": "output", "datatype": "FP64", "shape": [-1, *answers.shape[1:]]}],
        }

    def infer(self, question: dict[str, Any]) -> dict[str, Any]:
        """One question in the open inference protocol."""
        tensor = question["inputs"][0]
        answers = self.answers(np.asarray(tensor["data"], dtype=np.float32).reshape(tensor["shape"]))
        output = {"name": "output", "datatype": "FP64", "shape": list(answers.shape), "data": answers.ravel().tolist()}
        return {"model_name": self.name, "outputs": [output]}

    def answers(self, inputs: Array) -> Array:
        """Answers to cases, counted."""
        self.cases += len(inputs)
        return np.asarray(self.predict(inputs), dtype=np.float64)


class Handler(BaseHTTPRequestHandler):
    """Reads a question, asks the model, writes the answer."""

    protocol_version = "HTTP/1.1"
    # Head and body leave together, without waiting for each other.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: ModelServer

    def do_GET(self) -> None:
        if self.path == f"/v2/models/{self.server.name}":
            self.reply(200, self.server.metadata())
        else:
            self.reply(404, {"error": "no such model"})

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == f"/v2/models/{self.server.name}/infer":
            self.reply(200, self.server.infer(question))
        elif self.path == f"/v1/models/{self.server.name}:predict":
            answers = self.server.answers(np.asarray(question["instances"], dtype=np.float32))
            self.reply(200, {"predictions": answers.tolist()})
        else:
            self.reply(404, {"error": "no such model"})

    def reply(self, status: int, answer: dict[str, Any]) -> None:
        """Send an answer as JSON."""
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Questions are patients' data: nothing is logged."""


def biopsies() -> ModelServer:
    """A server of a model that tells malignant from benign biopsies; not started."""
    return ModelServer(_biopsy_model(), (30,), name="biopsies")


def _biopsy_model() -> Callable[[Array], Array]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    cases, truth = load_breast_cancer(return_X_y=True)
    # The other half is for auditing: docs/own-model.md writes it to rest.csv.
    cases, _, truth, _ = train_test_split(cases, truth, test_size=0.5, stratify=truth, random_state=0)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(cases, truth)
    predict: Callable[[Array], Array] = fitted.predict_proba
    return predict


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8500)
    port = parser.parse_args().port
    with ModelServer(_biopsy_model(), (30,), name="biopsies", port=port) as server:
        print(f"serving {server.address}/v2/models/biopsies")  # noqa: T201
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")  # noqa: T201


if __name__ == "__main__":
    main()
