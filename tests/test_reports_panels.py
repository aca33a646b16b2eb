"""Which panel of a figure a caption gives its findings to: invented captions, image by image."""

import pytest

from captions import of_each
from ladnn.findings import LESIONS
from ladnn.labelling import label_images
from ladnn.reports import label_report


@pytest.mark.parametrize(
    "caption",
    [
        "GGO is seen in panel A, consolidation in panel B.",
        "GGO in image A; consolidation in image B.",
        "There is GGO in panel A and consolidation in panel B.",
        "GGO (white arrows) in A, consolidation (black arrows) in B.",
        "Note the GGO in A and the consolidation in B (arrows).",
        "In A, GGO is seen; in B, consolidation.",
        "In panel A there is GGO, and in panel B there is consolidation.",
        "GGO in the first image and consolidation in the second image.",
        "(A) GGO. (B) Consolidation, larger than the lesion seen in A.",
        "A man of 45. GGO is seen in panel A. Consolidation is seen in panel B.",
        "GGO is shown in a. Consolidation is shown in b.",
        "GGO is shown in a and consolidation in b.",
        "GGO (arrows) is depicted in a, consolidation (arrowheads) in b.",
        "Consolidation is shown in b. GGO is shown in a.",
        "In a, GGO. In b, consolidation.",
        "GGO, as shown in panel A. Consolidation, as shown in panel B.",
    ],
)
def test_a_panel_in_a_phrase_of_place_is_of_the_words_before_it(caption):
    assert of_each(caption, 2) == "GGO|Csld"


@pytest.mark.parametrize(
    "caption",
    [
        "Day 3 (left) shows GGO; day 9 (right) shows consolidation.",
        "Baseline CT (left) with GGO, follow-up CT (right) with consolidation.",
        "CT shows GGO (first row) and consolidation (second row).",
        "The image on the left shows GGO, the image on the right consolidation.",
        "Bilateral GGO (Panel A, arrows). Consolidation (Panel B, arrowheads).",
        "Image 1: GGO. Image 2: consolidation.",
        "A man of 45. Panel 1 shows GGO. Panel 2 shows consolidation.",
        "CT: \u2460 GGO; \u2461 consolidation.",
        "A (day 3): GGO. B (day 7): consolidation.",
        "CT of the lungs: A (day 3) shows GGO; B (day 7) shows consolidation.",
        "A = GGO, B = consolidation",
        "A\u2014GGO; B\u2014consolidation.",
        "A CT on day 1 shows GGO. B CT on day 4 shows consolidation.",
        "1A: GGO in the left lung. 1B: consolidation in the right lung.",
        "Figure 1A GGO; Figure 1B consolidation",
        "a: GGO, b: consolidation",
        "A.GGO in both lungs B.Consolidation in one",
        "Case A, GGO; case B, consolidation.",
        "Case 1, a man: GGO; Case 2, a woman: consolidation.",
        "Fig. 1 A Chest CT shows GGO. B Chest CT shows consolidation",
        "Fig. 3 a Chest CT of a man shows GGO. b Chest CT of a woman shows consolidation.",
        "Upper left: GGO. Lower right: consolidation.",
        "Patient A had GGO; patient B had consolidation.",
        "GGO (top) and consolidation (bottom).",
        "A GGO in both lungs; B consolidation in one.",
        "Early stage (GGO; A) and peak stage (consolidation, large; B).",
        "Various patterns (a: GGO; b: consolidation).",
        "Left, a man of 30: GGO. Right, a woman of 50: consolidation.",
        "i) GGO in a man; ii) consolidation in a woman.",
        "January 30 (a), February 5, 2020 (b). On Jan. 30, GGO. On February 5, consolidation.",
        "Day 3 (left) and day 9 (right). Day 9 shows consolidation. Day 3 shows GGO.",
        "Lower panel: consolidation. Upper panel: GGO.",
    ],
)
def test_panels_are_told_by_sides_rows_numbers_and_bare_capitals(caption):
    assert of_each(caption, 2) == "GGO|Csld"


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "Initial CT (A) was normal. CT on day 3 (B) showed GGO, which progressed to "
            "consolidation on day 7 (C).",
            "|GGO|Csld",
        ),
        (
            "Initial CT (A) showed GGO, consolidation on day 5 (B), and crazy paving on day 9 (C).",
            "GGO|Csld|CrPa",
        ),
        ("Initial CT (A) showed GGO and follow-up CT consolidation (B).", "GGO|Csld"),
        ("CT (A) shows GGO with septal thickening, better seen on the other (B).", "GGO InSepThi|"),
        ("GGO (A) became consolidation (B) and was completely absorbed (C).", "GGO|Csld|"),
        ("The GGO (A) was partially absorbed (B).", "GGO|GGO"),
        ("Consolidation on day 9 (a), whereas day 2 (b) had GGO alone.", "Csld|GGO"),
        ("(A) GGO. (B-C) CT at a week: consolidation (arrow in C).", "GGO|Csld|Csld"),
        (
            "CT (a, day 1; b, day 5; c, day 9). No GGO in a. GGO in b, consolidation in c.",
            "|GGO|Csld",
        ),
        ("Consolidation is seen in panels a and b; c shows GGO only.", "Csld|Csld|GGO"),
        ("GGO (left), consolidation (middle) and a healthy lung (right).", "GGO|Csld|"),
        (
            "CT on days 4 (A), 8 (B) and 13 (C): GGO, GGO with consolidation, and consolidation, "
            "respectively.",
            "GGO|GGO Csld|Csld",
        ),
        (
            "(A) Patient 1 (father, aged 65) and (B) patient 2 (mother) had GGO. (C) Patient 3 had "
            "no lesion.",
            "GGO|GGO|",
        ),
        ("(A) GGO on day 3 and (B) consolidation on day 9.", "GGO|Csld"),
        ("(A) showed normal lungs and (B) day 7 GGO.", "|GGO"),
        ("Top row: no lesion. Bottom row: GGO at two levels.", "||GGO|GGO"),
        ("Upper panels: GGO. Lower panels: consolidation.", "GGO|GGO|Csld|Csld"),
    ],
)
def test_panels_that_end_a_statement_take_it_though_others_lead(caption, expected):
    assert of_each(caption, expected.count("|") + 1) == expected


@pytest.mark.parametrize(
    "caption",
    [
        "A/B: GGO; C: consolidation",
        "A+B: GGO; C: consolidation",
        "GGO (A/B), consolidation (C)",
        "A to B: GGO. C: consolidation",
        "GGO (A through B) and consolidation (C)",
        "Fig. 2a-b show GGO, Fig. 2c shows consolidation.",
        "Fig. 2a, b: GGO. Fig. 2c: consolidation.",
        "GGO in A and B, consolidation in C.",
        "GGO is seen in a and b. Consolidation is seen in c.",
        "Images 1-2: GGO. Image 3: consolidation.",
        "A-B Scans on admission show GGO. C Scan one week later shows consolidation.",
        "A,B pure GGO; C consolidation.",
    ],
)
def test_lists_and_runs_of_panels_have_many_joints(caption):
    assert of_each(caption, 3) == "GGO|GGO|Csld"


def test_letters_within_rows_are_the_panels():
    caption = "Top row (A, B): GGO. Bottom row (C, D): consolidation."
    found = label_images([(name, caption) for name in ("1.png", "2.png", "3.png", "4.png")])
    assert [one.panel for one in found] == ["A", "B", "C", "D"]


def test_a_count_in_brackets_names_no_panels():
    assert label_report("GGO (3/20) and consolidation (1/20).").panels == ()


def test_an_abbreviation_after_a_panel_begins_no_statement():
    report = label_report("Baseline (A) and follow-up (B) CT. GGO in both lungs.")
    assert report[LESIONS[0]].panels == ()


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("Panels A and C show GGO, panels B and D show consolidation.", "GGO|Csld|GGO|Csld"),
        ("A, B, and C, Axial CT shows GGO. D, Coronal CT shows consolidation.", "GGO|GGO|GGO|Csld"),
        ("Panel B shows consolidation, panel A shows GGO.", "GGO|Csld"),
    ],
)
def test_images_are_panels_in_the_order_of_their_letters(caption, expected):
    assert of_each(caption, expected.count("|") + 1) == expected


@pytest.mark.parametrize(
    "text",
    [
        "A CT image a day after admission shows GGO.",
        "Pneumonia (left) with GGO.",
        "GGO in a patient, followed up in a hospital.",
        "GGO (left) and consolidation (right lung).",
        "A 45-year-old man with GGO. CT shows 12 lesions.",
        "In A FIB PATIENTS GGO.",
        "Influenza (seasonal, A) with GGO.",
        "Left, there is GGO.",
        "CT shows GGO; B lines in both lungs.",
        "On day 3, GGO.",
    ],
)
def test_an_article_a_side_and_a_number_are_no_panels(text):
    assert label_report(text).panels == ()
