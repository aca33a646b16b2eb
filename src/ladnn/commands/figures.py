"""`ladnn figures`: the paper's figures, and what reviewers ask beside them, from result files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ladnn.commands.extras import drawing_side
from ladnn.commands.inputs import given

# Everything heavy is imported where it is used: `ladnn --help` and a wrong call need none of it.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

app = typer.Typer(
    help="Draw the paper's figures, and what reviewers ask beside them, from result files.",
    no_args_is_help=True,
)

Output = Annotated[
    Path, typer.Option("--output", "-o", parser=given, help="A folder for the PNG and the PDF.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a figure that is there.")]
Source = Annotated[str | None, typer.Option(help="Of this source alone; all without it.")]
Results = Annotated[
    list[Path],
    typer.Argument(metavar="RESULTS...", parser=given, help="Folders that `ladnn evaluate` wrote."),
]
Result = Annotated[
    Path,
    typer.Argument(metavar="RESULTS", parser=given, help="A folder that `ladnn evaluate` wrote."),
]


@app.command()
def reports(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", parser=given, help="Of images that have captions.")
    ],
    output: Output,
    images: Annotated[
        list[str] | None,
        typer.Option("--image", help="Show its report, by the end of its path; up to four times."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Figure 1: images beside their report, the words for COVID-19 and each lesion coloured.

    Without names, three reports are taken that together show the most lesions.

    Example: ladnn figures reports manifest.csv -o figures
    """
    from ladnn.dataset import read_manifest

    def draw() -> "Figure":
        from ladnn.figures import captions

        found = captions.cases(read_manifest(manifest))
        return captions.draw(captions.choose(found, images or ()))

    _produce("figure-1-reports", output, draw, overwrite=overwrite)


@app.command()
def architecture(
    output: Output,
    bundle: Annotated[str, typer.Option(help="A bundle's folder or shipped name.")] = "default",
    overwrite: Overwrite = False,
) -> None:
    """Figure 2: the architecture of a bundle, its stages and sizes read from its graph.

    Example: ladnn figures architecture --bundle default -o figures
    """
    from ladnn.bundle import load_bundle

    def draw() -> "Figure":
        from ladnn.figures import architecture
        from ladnn.figures.layers import read_networks

        loaded = load_bundle(bundle)
        return architecture.draw(loaded, read_networks(loaded))

    _produce("figure-2-architecture", output, draw, overwrite=overwrite)


@app.command()
def data(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", parser=given, help="Made by `ladnn data import`.")
    ],
    output: Output,
    source: Source = None,
    overwrite: Overwrite = False,
) -> None:
    """Figure 3: lesions per image, lesions that appear together, diagnoses of the negatives.

    Example: ladnn figures data manifest.csv --source covid-ct -o figures
    """
    from ladnn.dataset import read_manifest
    from ladnn.summary import summarise

    def draw() -> "Figure":
        from ladnn.figures import composition

        read = read_manifest(manifest)
        chosen = composition.choose(summarise(read), source)
        return composition.draw(chosen, read.labels)

    _produce("figure-3-data", output, draw, overwrite=overwrite)


@app.command()
def curves(
    results: Results, output: Output, source: Source = None, overwrite: Overwrite = False
) -> None:
    """Figure 4: ROC and precision-recall of up to seven results on the same images, with bands.

    Bands are 95% intervals from a bootstrap that draws patients, or at the level of the results.
    Operating points are marked.

    Example: ladnn figures curves results/baseline results/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import curves
        from ladnn.figures.runs import read_runs

        return curves.draw(read_runs(results, source))

    _produce("figure-4-curves", output, draw, overwrite=overwrite)


@app.command()
def maps(
    results: Annotated[
        tuple[str, str],
        typer.Argument(
            metavar="FIRST SECOND", help="Two folders that `ladnn evaluate --maps` wrote."
        ),
    ],
    output: Output,
    images: Annotated[
        list[str] | None,
        typer.Option("--image", help="Show this one, by the end of its path; up to ten times."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(parser=given, help="CSV: path, x0, y0, x1, y1 in pixels of the image."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Figure 5: up to ten images with their boxes, and where two models looked in each.

    Without names or boxes, ten positive images of ten patients are taken at even steps from the
    most to the least certain of the second model, so that nobody picked them.

    Example: ladnn figures maps results/baseline results/ladnn --image 12.png -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import attention
        from ladnn.figures.runs import read_runs

        first, second = attention.read_looking(read_runs([given(one) for one in results]))
        boxed = {} if boxes is None else attention.read_boxes(boxes, second.run)
        rows = attention.choose(second.run, images or (), boxed)
        return attention.draw(first, second, rows, boxed, picked=bool(images))

    _produce("figure-5-maps", output, draw, overwrite=overwrite)


@app.command()
def pairs(
    result: Result, output: Output, source: Source = None, overwrite: Overwrite = False
) -> None:
    """Figure 6: the five lesion outputs in pairs, by class, and how well each tells the classes.

    Example: ladnn figures pairs results/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import pairs
        from ladnn.figures.runs import read_runs

        return pairs.draw(read_runs([result], source)[0])

    _produce("figure-6-pairs", output, draw, overwrite=overwrite)


@app.command()
def calibration(
    results: Results, output: Output, source: Source = None, overwrite: Overwrite = False
) -> None:
    """Reliability of up to three results: what happened against what was predicted.

    Example: ladnn figures calibration results/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import calibration
        from ladnn.figures.runs import read_runs

        return calibration.draw(read_runs(results, source))

    _produce("calibration", output, draw, overwrite=overwrite)


@app.command("decision-curve")
def decision_curve(
    results: Results, output: Output, source: Source = None, overwrite: Overwrite = False
) -> None:
    """Net benefit of acting on a result over the threshold probability, against all and none.

    Example: ladnn figures decision-curve results/baseline results/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import decision
        from ladnn.figures.runs import read_runs

        return decision.draw(read_runs(results, source))

    _produce("decision-curve", output, draw, overwrite=overwrite)


@app.command()
def confusion(
    result: Result, output: Output, source: Source = None, overwrite: Overwrite = False
) -> None:
    """Confusion matrix at one half and at each operating point, with rates and intervals.

    Example: ladnn figures confusion results/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import confusion
        from ladnn.figures.runs import read_runs

        return confusion.draw(read_runs([result], source)[0])

    _produce("confusion", output, draw, overwrite=overwrite)


@app.command()
def sources(results: Results, output: Output, overwrite: Overwrite = False) -> None:
    """Leave-one-source-out: the AUC of each result on each source, hatched where it was left out.

    Give one result for each model that learned without a source. A source is hatched where the
    bundle's card says that the model learned from others.

    Example: ladnn figures sources results/without-a results/without-b -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import sources
        from ladnn.figures.runs import read_runs

        return sources.draw(read_runs(results))

    _produce("sources", output, draw, overwrite=overwrite)


@app.command()
def training(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS...", parser=given, help="Folders that `ladnn train` wrote."),
    ],
    output: Output,
    overwrite: Overwrite = False,
) -> None:
    """Training curves: loss and validation AUC by epoch, and the epoch that was kept.

    Example: ladnn figures training runs/baseline runs/ladnn -o figures
    """

    def draw() -> "Figure":
        from ladnn.figures import progress

        return progress.draw(progress.read_logs(runs))

    _produce("training", output, draw, overwrite=overwrite)


def _produce(stem: str, output: Path, draw: "Callable[[], Figure]", *, overwrite: bool) -> None:
    """Draw one figure in the style of all, and write it where nothing is replaced unasked."""
    from ladnn.figures import paper

    with drawing_side("drawing a figure"):
        paper.claim(output, stem, overwrite=overwrite)
        with paper.publication():
            figure = draw()
            paths = paper.save(figure, output, stem)
            boxes = paper.undrawn(figure)
    for path in paths:
        typer.echo(f"wrote {path}")
    if boxes:
        typer.echo(
            f"no installed font has {boxes}: boxes stand there; "
            "install one, such as Noto Sans CJK, and draw again",
            err=True,
        )
