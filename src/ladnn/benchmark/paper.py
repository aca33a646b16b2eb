"""The figures of the paper's Table 2, and its names for the backbones."""

from ladnn.csvs import packaged

LABELS = {
    "vgg16": "VGG-16",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "densenet121": "DenseNet-121",
    "densenet169": "DenseNet-169",
    "efficientnet_b0": "EfficientNet-b0",
    "efficientnet_b1": "EfficientNet-b1",
    "efficientnet_lite0": "EfficientNet-Lite0",
    "efficientnet_lite1": "EfficientNet-Lite1",
    "efficientnet_lite2": "EfficientNet-Lite2",
}
"""Backbone -> its name in tables; the paper has the first seven."""

DATASETS = ("d0", "d0d1")
"""The paper's datasets: COVID-CT, and COVID-CT with the authors' later collection."""


def table2() -> dict[tuple[str, str, str, str], float]:
    """(metric, backbone's label, dataset, mode) -> fraction of one, each of a single run."""
    return {
        (row["metric"], row["backbone"], dataset, mode): float(row[f"{dataset}_{mode}"]) / 100
        for row in packaged("paper_table2")
        for dataset in DATASETS
        for mode in ("baseline", "ladnn")
    }
