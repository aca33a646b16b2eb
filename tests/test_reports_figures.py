"""How the figures of papers name their panels: invented captions, image by image."""

import pytest

from captions import of_each
from ladnn.reports import label_report


@pytest.mark.parametrize(
    "caption",
    [
        "Figure 4. A and B, CT on May 3 shows GGO. C and D, CT on May 9 shows consolidation.",
        "Figure 4. A and B show GGO. C and D show consolidation.",
        "Figure 4 A and B show GGO. C and D show consolidation.",
        "Figure 4 A-B: GGO. C-D: consolidation",
        "Figure 4 A-B, GGO in both lungs. C-D, consolidation",
    ],
)
def test_the_number_of_a_figure_hides_no_pair_of_panels_behind_it(caption):
    assert of_each(caption, 4) == "GGO|GGO|Csld|Csld"


@pytest.mark.parametrize(
    "caption",
    [
        "Figure 4 A. GGO. B. consolidation. C. fibrosis",
        "A, diffuse GGO in the lungs, B, dense consolidation in one lobe, C, fibrous stripes",
        "chest ct a. multi-focal GGO b. consolidation c. fibrous stripes in a man",
        "A. GGO in the right lung, B. consolidation, C. fibrosis",
        "CT scans a:GGO in the right lung b:consolidation c:fibrosis",
        "a.GGO in one lobe b.consolidation c.fibrosis",
        "a) GGO in one lung,b)consolidation, c) fibrosis",
    ],
)
def test_letters_in_order_with_one_mark_go_on_behind_a_comma_or_a_blank(caption):
    assert of_each(caption, 3) == "GGO|Csld|"


def test_pairs_of_letters_go_on_likewise():
    caption = "A, B: CT shows GGO; C, D: CT shows consolidation, E, F: CT shows fibrosis."
    assert of_each(caption, 6) == "GGO|GGO|Csld|Csld||"


@pytest.mark.parametrize(
    "text",
    [
        "GGO in hepatitis A. no consolidation b. nor mass",
        "GGO in a man, a. consolidation, c. fibrosis.",
        "GGO at vessel a, b, and consolidation.",
    ],
)
def test_letters_out_of_order_or_of_a_disease_make_no_row(text):
    assert label_report(text).panels == ()


@pytest.mark.parametrize(
    "text",
    [
        "A man with influenza A: consolidation.",
        "A man with hepatitis B: GGO.",
        "Antibodies of type A: GGO.",
    ],
)
def test_the_letter_of_a_disease_is_no_panel(text):
    assert label_report(text).panels == ()


@pytest.mark.parametrize(
    "caption",
    [
        "CT of a cook. Day 1: GGO. Day 5: consolidation. Day 20: absorption.",
        "On Feb 3: GGO. On Feb 9: consolidation. On Mar 1: absorption.",
        "Case 1 showed GGO. Case 2 showed consolidation. Case 3 showed fibrosis.",
        "Patient 4 had GGO. Patient 6 had consolidation. Patient 7 had no lesion.",
    ],
)
def test_days_and_patients_that_begin_statements_are_panels_in_order(caption):
    assert of_each(caption, 3) == "GGO|Csld|"
    assert of_each(caption, 2) == "GGO Csld|GGO Csld"


@pytest.mark.parametrize(
    "text",
    [
        "Type 1 shows GGO. Type 2 shows consolidation.",
        "Day 1: GGO.",
        "Day 1: GGO. Patient 2 had consolidation.",
        "By day 1: GGO; a day 5: mass.",
    ],
)
def test_one_day_or_a_mixture_names_no_panels(text):
    assert label_report(text).panels == ()


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("CT of three cooks (A: no lesions), (B: GGO), (C: consolidation).", "|GGO|Csld"),
        ("Mild (A: no lesions), moderate (B: GGO) and severe (C: consolidation).", "|GGO|Csld"),
        ("(A: day 1) GGO. (B: day 5) consolidation.", "GGO|Csld"),
        ("GGO (A: day 1), consolidation (B: day 5).", "GGO Csld|GGO Csld"),
        ("GGO with a mass (a: arrow) and consolidation.", "GGO Csld|GGO Csld"),
    ],
)
def test_brackets_that_hold_a_letter_and_a_colon_are_opened_by_panels(caption, expected):
    assert of_each(caption, expected.count("|") + 1) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "From GGO (day 2, A) to consolidation (day 9, B), and then gradual resolution (C).",
            "GGO|Csld|",
        ),
        (
            "CT on days 1 (A), 5 (B) and 9 (C) showing GGO, GGO with consolidation, and "
            "absorption, respectively.",
            "GGO|GGO Csld|",
        ),
        (
            "CT shows GGO on day 1 (A, B), consolidation (C), gradual absorption on day 9 (D).",
            "GGO|GGO|Csld|",
        ),
        ("GGO (A), consolidation (B), and resolution of the GGO (C).", "GGO|Csld|GGO"),
        ("GGO (A) with partial absorption (B).", "GGO|GGO"),
    ],
)
def test_a_stage_that_only_went_takes_its_panel(caption, expected):
    assert of_each(caption, expected.count("|") + 1) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("GGO (A), vascular enlargement (B), dilatation of bronchi (C), cysts (D).", "GGO|||"),
        ("GGO (A), a spider web sign (B), and consolidation (C).", "GGO||Csld"),
        ("GGO (A) and tree-in-bud (B).", "GGO|"),
        ("GGO in the right (A), left (B) and both lungs (C).", "GGO|GGO|GGO"),
        ("GGO on day 3 (A), day 7 (B), and May 9 (C).", "GGO|GGO|GGO"),
        ("GGO on axial (A), coronal (B) and sagittal views (C).", "GGO|GGO|GGO"),
        ("GGO at the level of the carina (A), the right pulmonary vein (B).", "GGO|GGO"),
        ("GGO (A), in the mediastinal window (B).", "GGO|GGO"),
        ("GGO in the RUL (A), LLL (B).", "GGO|GGO"),
        ("GGO in COVID-19 (A), bacterial pneumonia (B), group 3 (C).", "GGO|GGO|GGO"),
        ("GGO (A), magnified (B), unchanged on day 5 (C).", "GGO|GGO|GGO"),
        ("GGO (A), which then increased (B), slightly enlarged on day 5 (C).", "GGO|GGO|GGO"),
        ("GGO in a man of 40 (A), a 50-year-old woman (B).", "GGO|GGO"),
        ("The father (A) and mother (B) had GGO.", "GGO|GGO"),
    ],
)
def test_between_two_panels_a_phrase_is_a_finding_unless_it_tells_when_or_where(caption, expected):
    assert of_each(caption, expected.count("|") + 1) == expected


@pytest.mark.parametrize(
    "caption",
    [
        "CT at the level of the carina (a), of the inferior pulmonary vein (b) and of the lung "
        "base (c) shows GGO.",
        "Images from the upper lung (A), the level of the aortic arch (B), and the level of the "
        "lower lung fields (C) show patchy GGO.",
    ],
)
def test_panels_without_verb_or_finding_between_them_are_told_of_together(caption):
    assert of_each(caption, 3) == "GGO|GGO|GGO"


def test_panels_that_begin_their_phrases_are_told_of_apart():
    caption = "CT of types: (a) mild type, (b) severe type, with GGO, (c) normal type."
    assert of_each(caption, 3) == "|GGO|"
