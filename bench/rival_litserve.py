"""A minimal LitServe app around the shipped bundle.

`python -m bench.rival_litserve PORT` has a process for each core; with `simple` behind it the app
is as LitServe's documentation starts one, with a single process.
"""

import sys
from typing import Any

import litserve
from fastapi import Request

from bench.rivals import BUNDLE, answer
from ladnn.engines import processor_threads
from ladnn.runtime import Predictor, load_bundle


class Api(litserve.LitAPI):  # type: ignore[misc]  # there or not
    """One worker process: a file in, the answer out."""

    def __init__(self, threads: int) -> None:
        super().__init__()
        self._threads = threads

    def setup(self, device: str) -> None:
        """Load the bundle."""
        del device
        self.predictor = Predictor(load_bundle(BUNDLE), threads=self._threads, streams=1)

    def decode_request(self, request: Request) -> bytes:
        """The bytes of the file in the form."""
        return bytes(request["file"].file.read())

    def predict(self, data: bytes) -> dict[str, Any]:
        """The whole answer."""
        return answer(self.predictor, data)

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """It is JSON already."""
        return output


def serve(port: int, *, simple: bool) -> None:
    """Serve with a worker process for each core, or with one that uses them all."""
    cores = processor_threads()
    workers, threads = (1, cores) if simple else (cores, 1)
    api = Api(threads)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=workers, timeout=120)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    serve(int(sys.argv[1]), simple="simple" in sys.argv[2:])
