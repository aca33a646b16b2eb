"""What a statement denies, counts and names: invented sentences in the manner of captions."""

import pytest

from captions import labels
from ladnn.reports import Covid, label_report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT showed consolidation and an enlarged node was not found.", "Csld"),
        ("CT shows GGO and consolidation was not seen.", "GGO"),
        ("CT shows GGO and consolidation not seen.", "GGO"),
        ("Patchy GGO, pleural effusion not observed.", "GGO"),
        ("GGO, consolidation not seen.", "GGO"),
        ("GGO, consolidation and crazy paving not seen.", ""),
        ("GGO and consolidation were not found.", ""),
        ("CT showed that GGO and consolidation were not present.", ""),
        ("GGO, not seen.", ""),
    ],
)
def test_behind_what_is_shown_a_denial_is_of_its_own_subject(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "CT shows GGO and nucleic acid was not detected.",
        "GGO; viral RNA was not found.",
        "GGO and IgM was negative.",
        "GGO, antibodies were not detected.",
        "GGO in a woman with COVID-19, newborn tested negative.",
    ],
)
def test_what_a_test_does_not_find_is_no_lesion(text):
    assert labels(text) == "GGO"


@pytest.mark.parametrize(
    "text",
    [
        "GGO with and without consolidation.",
        "GGO with (arrows) and without (arrowheads) consolidation.",
        "GGO with/without consolidation.",
        "GGO without clear boundaries and consolidation in one lung.",
        "Patchy shadows with no sharp edge and consolidation.",
    ],
)
def test_what_some_have_and_what_lies_beyond_an_outline_is_there(text):
    assert labels(text) == "GGO Csld"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Absence of symptoms with GGO.", "GGO"),
        ("Lack of any fever, GGO in both lungs.", "GGO"),
        ("Absence of fever or GGO.", ""),
        ("No clear boundary or consolidation.", ""),
        ("No consolidation at the edges.", ""),
    ],
)
def test_who_lacks_symptoms_may_have_a_lesion(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GGO score 4, consolidation score 0.", "GGO"),
        ("GGO 4 points, consolidation 0 points.", "GGO"),
        ("GGO 20%, consolidation 0%.", "GGO"),
        ("Consolidation 0% and GGO 30%.", "GGO"),
        ("Consolidation volume 0 ml; GGO volume 23.4 ml.", "GGO"),
        ("Consolidation 0.8%, consolidation 1.0%, consolidation score 0.5.", "Csld"),
        ("Consolidation 10%.", "Csld"),
        ("Consolidation > 0%, GGO score 0, 1 or 2.", "GGO Csld"),
    ],
)
def test_a_score_or_a_volume_of_naught_denies_its_lesion(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion.ground-glass opacity in the right lung.", "GGO"),
        ("No ground-glass opacity in image.png or nodule.jpg, consolidation of 2.5 cm.", "Csld"),
    ],
)
def test_a_stop_between_two_words_ends_a_sentence_though_a_blank_is_lost(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Multiple patchy and strip shadows.", "GGO"),
        ("Patchy and nodular opacities.", "GGO"),
        ("Patchy, linear and nodular opacities.", "GGO"),
        ("Patchy and large sheets of shadow.", "GGO"),
        ("Multiple patchy and consolidative opacities.", "GGO Csld"),
        ("Patchy nodular opacity.", ""),
        ("Patchy and strip high-density shadows.", ""),
        ("Thin and linear shadows.", ""),
        ("Patchy and nodular consolidation with opacities.", "Csld"),
    ],
)
def test_two_adjectives_that_are_joined_each_take_the_noun(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Interlobular septal thickness.", "InSepThi"),
        ("Increased thickness of the interlobular septa.", "InSepThi"),
        ("Widening of interlobular septa.", "InSepThi"),
        ("The interlobular septa were widened.", "InSepThi"),
        ("The septum on slices of 1 mm thickness.", ""),
        ("Inflated bronchus sign; aerated bronchi sign.", "AirBr"),
        ("Bronchial air phase.", "AirBr"),
        ("Bronchiole inflation.", "AirBr"),
        ("A crazing-paving pattern.", "CrPa"),
        ("The lesions began to consolidate.", "Csld"),
        ("GG0 in both lungs.", "GGO"),
    ],
)
def test_words_of_translators_name_the_lesions(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("A man with new coronary pneumonia and GGO.", Covid.POSITIVE),
        ("COVID\ufffd\ufffd19 with GGO.", Covid.POSITIVE),
        ("GGO in patients without severe COVID-19.", Covid.UNSTATED),
        ("COVID-19, GGO; newborn tested negative.", Covid.POSITIVE),
        ("COVID-19, newborn tested negative.", Covid.POSITIVE),
        ("COVID-19 tested negative.", Covid.NEGATIVE),
    ],
)
def test_covid_by_its_other_names_and_by_who_is_without(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Consolidation was found in lobar pneumonia whereas GGO was found in COVID-19.", "both"),
        ("Consolidation in lobar pneumonia, while COVID-19 patients mainly showed GGO.", "both"),
        ("Consolidation, whereas GGO is found in COVID-19.", "Csld"),
        ("Consolidation, whereas GGO was usually seen in COVID-19.", "Csld"),
        ("Consolidation, whereas GGO was seen in most patients with COVID-19.", "Csld"),
        ("Consolidation, whereas GGO was seen in other patients.", "Csld"),
        ("Consolidation, whereas COVID-19 typically shows GGO.", "Csld"),
    ],
)
def test_what_was_found_tells_of_the_figure_and_what_is_usual_does_not(text, expected):
    assert labels(text) == expected.replace("both", "GGO Csld")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No crazy-paving sign was seen.", ""),
        ("GGO without any crazy-paving signs.", "GGO"),
        ("GGO without air-bronchogram sign.", "GGO"),
        ("GGO without septal-thickening sign.", "GGO"),
        ("Consolidation without ground-glass signs.", "Csld"),
        ("No CT-visible signs of GGO.", ""),
    ],
)
def test_a_hyphen_hides_no_finding_whose_sign_is_denied(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ground-glass opacities (n=0).", ""),
        ("Consolidation (n = 0 of 4). GGO (n = 2 of 4).", "GGO"),
        ("Consolidation (n=0) and GGO (n=12).", "GGO"),
        ("0 consolidations. GGO.", "GGO"),
        ("Day 0: GGO. Day 0 consolidations.", "GGO Csld"),
        ("GGO free lungs with consolidation.", "Csld"),
        ("None of ground-glass opacity, consolidation or crazy paving was seen.", ""),
        ("None of the patients with GGO had consolidation.", "GGO"),
    ],
)
def test_naught_of_a_lesion_is_none(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The patient tested negative (SARS-CoV-2).", "negative"),
        ("PCR undetectable for SARS-CoV-2", "negative"),
        ("The patient tested negative (influenza A and B).", "unstated"),
        ("COVID-19 was not the only cause of death.", "positive"),
        ("Covid-19 neg.", "negative"),
        ("COVID-19 was not diagnosed.", "negative"),
        ("COVID-19 was not the cause.", "negative"),
        ("Pneumonia of other cause than COVID-19.", "negative"),
        ("COVID-19 pneumonia cannot be diagnosed; swabs negative x3.", "negative"),
        ("COVID-19 seems improbable.", "unstated"),
        ("COVID-19 is implausible.", "unstated"),
        ("COVID-19 mimics: organizing pneumonia.", "unstated"),
        ("COVID-19 patient's wife, normal CT.", "unstated"),
        ("Differential diagnosis: COVID-19, influenza.", "unstated"),
        ("Differential diagnosis included influenza and COVID-19.", "unstated"),
        ("Ddx: COVID-19 vs. influenza", "unstated"),
        ("COVID-19 patient's CT shows GGO.", "positive"),
        ("The patient tested positive (SARS-CoV-2).", "positive"),
        ("COVID-19 was not diagnosed at first; later RT-PCR was positive.", "positive"),
        ("The differential diagnosis was broad, and RT-PCR confirmed COVID-19.", "positive"),
    ],
)
def test_what_is_weighed_denied_or_of_a_relative_is_no_covid(text, expected):
    assert label_report(text).covid == expected
