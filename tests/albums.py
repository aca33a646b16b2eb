"""Tiny collections in the three layouts, drawn by seeded code: pictures that no two seeds share."""

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

HEADS = ("imgname", "CVD19", "GGO", "Csld", "CrPa", "AirBr", "InSepThi")
LONG_HEADS = (
    "",
    "",
    "C0VID19",
    "GGO",
    "consolidation(Csld)",
    "Crazy paving appearance(CrPa)",
    "air bronchograms(AirBr)",
    "interlobular septal thickening(InSepThi)",
    "",
)
NEW_HEADS = ("imgname", "CVD19", *LONG_HEADS[3:8], "", "Collection date", "Sources")


def picture(seed: int, *, variant: int = 0, size: int = 64) -> np.ndarray:
    """Blobs, uint8[size, size]; variants of a seed are near-duplicates of each other."""
    blobs = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 3)
    noise = np.random.default_rng(variant).normal(size=(size, size)) * (variant > 0)
    grey = 128 + 60 * blobs / blobs.std() + 4 * noise
    return np.clip(grey, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def save(path: Path, seed: int, *, variant: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(picture(seed, variant=variant)))
    return path


def write_csv(path: Path, rows: Iterable[Sequence[object]], encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def covid_ct(folder: Path) -> Path:
    """Three patients on each side of the flag, one in each part; names with % and blanks."""
    positives = {"train": "a b%1.png", "val": "c.png.png", "test": "d%0.png"}
    negatives = {"train": "1%0.png", "val": "2.png", "test": "3.png"}
    for seed, name in enumerate(positives.values()):
        save(folder / "CT_COVID" / name, seed)
    for seed, name in enumerate(negatives.values(), start=10):
        save(folder / "CT_NonCOVID" / name, seed)
    for part, name in positives.items():
        rows = [(name, "CVD19", "GGO", "", "", "", ""), (negatives[part], *[""] * 6)]
        write_csv(folder / "split" / f"{part}_meta.csv", [HEADS, *rows])
    labels = ("CVD19", "GGO", "", "", "", "")
    meta = [
        (name.removesuffix(".png"), f"Patient {i}", *labels, f"['Figure {i} of patient\u00a0{i}.']")
        for i, name in enumerate(positives.values())
    ]
    write_csv(folder / "meta" / "COVID-CT-MetaInfo_new.csv", [LONG_HEADS, *meta])
    heads = ("", "image name", "patient id", "", "patient_id")
    crawled = [(i, name, f"crawled_{i}", 15, i) for i, name in enumerate(negatives.values())]
    write_csv(folder / "meta" / "NonCOVID-CT-MetaInfo.csv", [heads, *crawled])
    return folder


def covid_ct_new(folder: Path) -> Path:
    """Two archives, one image of the tables in each, and one image that nobody has."""
    empty = ("", "5.18", "")
    positives = [
        ("10.1148ryct.1-p23-1.png", "CVD19", "GGO", "", "", "Aibr", "InSep", *empty),
        ("10.1148ryct.1-p23-2.png", "CVD19", "", "", "", "", "", *empty),
    ]
    negatives = [("Lungsquamouscellcarcinoma_CPTAC-LSCC_00497_24.png", *[""] * 6, *empty)]
    write_csv(folder / "New_COVIDCT_meta.csv", [NEW_HEADS, *positives])
    write_csv(folder / "New_NonCOVIDCT_meta.csv", [NEW_HEADS, *negatives])
    pack(folder / "1_covidct.zip", {f"1_covidct/{positives[0][0]}": png(picture(20))})
    members = {negatives[0][0]: 21, "Non-smallcelllungcancer_RIDER-Lung-CT_01188.png": 22}
    pack(folder / "1_nocovidct.zip", {n: png(picture(seed)) for n, seed in members.items()})
    return folder


def pack(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def plain(folder: Path, patients: int = 6, slices: int = 2) -> Path:
    """COVID and NonCOVID, numbered through; the slices of a patient are near-duplicates."""
    for flag, name in ((0, "COVID"), (1, "NonCOVID")):
        for i in range(patients * slices):
            seed = 100 + flag * patients + i // slices
            save(folder / name / f"scan ({i + 1}).png", seed, variant=i % slices)
    return folder
