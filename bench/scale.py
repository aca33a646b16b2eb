"""How much each bench measures: in full for figures, or quickly to see that it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Counts and sizes of one run.

    Attributes:
        cold_runs: processes that predict one image.
        few, many: images of the two folders.
        rounds: of every interleaved comparison, of which the median counts.
        cam, engines: backbones of the benches of those names.
        input_size: of bundles with random weights; None is the backbone's own.
        matrix: side of the square matrices that the processor's rate is measured on.
        load_requests, load_rounds: of every server at every number of connections.
        epoch_images, epoch_batch, epoch_rounds: of the training bench.
    """

    cold_runs: int = 7
    few: int = 100
    many: int = 1000
    rounds: int = 7
    cam: tuple[str, ...] = ("efficientnet_lite0", "densenet169")
    engines: tuple[str, ...] = ("efficientnet_lite0", "resnet18", "densenet169")
    input_size: int | None = None
    matrix: int = 2048
    epoch_images: int = 96
    epoch_batch: int = 32
    epoch_rounds: int = 3
    load_requests: int = 200
    load_rounds: int = 3


FULL = Scale()
QUICK = Scale(
    cold_runs=1,
    few=2,
    many=6,
    rounds=1,
    cam=("efficientnet_lite0",),
    engines=("efficientnet_lite0",),
    input_size=64,
    matrix=256,
    epoch_images=8,
    epoch_batch=4,
    epoch_rounds=1,
    load_requests=8,
    load_rounds=1,
)
