"""Test images drawn by seeded code: phantoms, DICOM files, and broken files."""

from ladnn.phantom import hounsfield, thorax

__all__ = ["hounsfield", "thorax"]
