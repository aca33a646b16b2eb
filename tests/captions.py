"""What a caption says of its lesions, in the short form that tests compare."""

from ladnn.findings import LESIONS
from ladnn.labelling import label_images
from ladnn.reports import label_report
from ladnn.reports.labels import Report


def named(report: Report) -> str:
    """The lesions that a report labels as there, such as `GGO Csld`."""
    return " ".join(str(lesion) for lesion in LESIONS if report.labels[lesion])


def labels(text: str) -> str:
    """The lesions of a caption that stands alone."""
    return named(label_report(text))


def of_each(caption: str, count: int) -> str:
    """The labels of each of `count` images that share `caption`."""
    images = [(f"figure%{number}.png", caption) for number in range(count)]
    return "|".join(named(one.report) for one in label_images(images))
