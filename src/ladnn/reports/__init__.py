"""Radiology text to lesion labels, with the words that prove each; pure functions."""

from ladnn.reports.covid import Covid
from ladnn.reports.cues import Course
from ladnn.reports.labels import Finding, Mention, Report, Span, label_report

__all__ = ["Course", "Covid", "Finding", "Mention", "Report", "Span", "label_report"]
