"""A minimal Gradio app around the shipped bundle: `python -m bench.rival_gradio PORT`."""

import sys

import gradio

from bench.rivals import BUNDLE, answer
from ladnn.engines import processor_threads
from ladnn.runtime import Predictor, load_bundle


def serve(port: int) -> None:
    """Serve in one process, whose threads share the cores."""
    cores = processor_threads()
    predictor = Predictor(load_bundle(BUNDLE), threads=cores, streams=cores)
    with gradio.Blocks(analytics_enabled=False) as app:
        file, said = gradio.File(type="binary"), gradio.JSON()
        file.upload(
            lambda data: answer(predictor, data), file, said, api_name="predict", queue=False
        )
    app.launch(server_name="127.0.0.1", server_port=port, quiet=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
