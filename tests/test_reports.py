"""What a report says: invented sentences, one fact each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladnn.findings import LESIONS, Lesion
from ladnn.reports import Course, Covid, Report, label_report

GGO, CSLD, CRPA, AIRBR, INSEPTHI = LESIONS


def courses(text: str) -> dict[str, str]:
    """Each lesion that `text` names, with its course."""
    return {str(f.lesion): str(f.course) for f in label_report(text).findings if f.mentions}


def words(report: Report) -> list[str]:
    return [mention.span.words for finding in report.findings for mention in finding.mentions]


@pytest.mark.parametrize(
    "text",
    [
        "ground-glass opacity",
        "ground glass opacities",
        "groundglass shadows",
        "Ground Glass Density",
        "ground grass opacity",
        "ground-glass nodules",
        "pure GGOs",
        "a GGN",
        "frosted glass shadows",
        "multifocal ground-glass changes",
        "grinding glass shadow",
        "multiple patchy shadows",
        "hazy opacities",
        "ground\u00a0glass opacity",
        "ground\u2010glass opacity",
        "ground\ufffdglass opacity",
        "ground?glass opacity",
        "ground\u00e2\u20ac\u201cglass opacity",
        "\u201cground-glass\u201d lesions",
        "ground-\nglass opacity",
    ],
)
def test_ground_glass_is_found_by_its_names_spellings_and_damages(text):
    assert courses(text) == {"GGO": "present"}


@pytest.mark.parametrize(
    ("text", "lesion"),
    [
        ("lobar consolidation", CSLD),
        ("consolidative opacities", CSLD),
        ("consoldation of the lower lobe", CSLD),
        ("a partly consolidated lobe", CSLD),
        ("crazy-paving pattern", CRPA),
        ("crazy paving sign", CRPA),
        ("a paving stone appearance", CRPA),
        ("air-bronchogram sign", AIRBR),
        ("air bronchograms", AIRBR),
        ("air bronchgrams", AIRBR),
        ("a bronchial inflation sign", AIRBR),
        ("interlobular septal thickening", INSEPTHI),
        ("thickened interlobular septa", INSEPTHI),
        ("thickening of the interlobular septum", INSEPTHI),
        ("the interlobular septa were thickened", INSEPTHI),
        ("inter- and intralobular septal thickening", INSEPTHI),
        ("peribronchovascular and septal thickening", INSEPTHI),
        ("interlobular thickening", INSEPTHI),
        ("interlobular interstitial thickening", INSEPTHI),
        ("an air broncho-gram", AIRBR),
        ("GG opacity", GGO),
    ],
)
def test_the_other_lesions_are_found_by_their_names(text, lesion):
    assert courses(text) == {str(lesion): "present"}


@pytest.mark.parametrize(
    "text",
    [
        "interventricular septal thickening",
        "Thickening of the interventricular septum of the heart.",
        "Thickened inter-ventricular septum.",
        "Thickening of the interatrial septum.",
        "The interlobular septa were not thickened.",
        "bronchial wall thickening",
        "fissural thickening",
        "patchy high-density shadows",
        "solid nodules",
        "consolidation chemotherapy",
        "surrounding patches of infection",
        "a reticular pattern",
        "no obvious lesion was found",
        "The lesions were absorbed.",
        "",
    ],
)
def test_what_names_no_lesion_yields_none(text):
    assert courses(text) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "No ground-glass opacity, consolidation or septal thickening was seen.",
            "GGO Csld InSepThi",
        ),
        ("GGO and consolidation were not observed.", "GGO Csld"),
        ("Neither consolidation nor GGO is present.", "GGO Csld"),
        ("There is no CT evidence of consolidation.", "Csld"),
        ("Consolidation: none", "Csld"),
        ("Septal thickening is absent.", "InSepThi"),
        ("No pleural effusion, lymphadenopathy, or consolidation.", "Csld"),
        ("None of the patients had consolidation.", "Csld"),
        ("No patient had consolidation.", "Csld"),
        ("Consolidation was not a feature.", "Csld"),
        ("The lesions are not accompanied by consolidation.", "Csld"),
    ],
)
def test_what_is_denied_is_no_label(text, expected):
    report = label_report(text)
    assert courses(text) == dict.fromkeys(expected.split(), "negated")
    assert report.labels.count == 0


@pytest.mark.parametrize(
    "text",
    [
        "No pleural effusion, bilateral consolidation in the lower lobes.",
        "There was no pleural effusion but there was consolidation.",
        "Chest CT shows no abnormality on day 1 and consolidation on day 5.",
        "No significant change in consolidation.",
        "The consolidation has not resolved.",
        "Not only nodules but also consolidation.",
        "The patient had no fever and CT showed consolidation.",
        "Without effusion, with consolidation.",
    ],
)
def test_a_denial_reaches_no_further_than_its_own_statement(text):
    assert courses(text) == {"Csld": "present"}


@pytest.mark.parametrize(
    ("text", "course"),
    [
        ("Consolidation was partially absorbed.", Course.RESOLVING),
        ("Reduced consolidation area", Course.RESOLVING),
        ("Absorption of the consolidation", Course.RESOLVING),
        ("The consolidation resolved completely.", Course.RESOLVED),
        ("The previous consolidation has disappeared.", Course.RESOLVED),
        ("Consolidation is no longer visible.", Course.RESOLVED),
        ("Possible consolidation", Course.UNCERTAIN),
        ("Consolidation cannot be excluded.", Course.UNCERTAIN),
        ("Findings suggestive of consolidation", Course.UNCERTAIN),
    ],
)
def test_a_lesion_that_goes_or_is_doubted_keeps_its_label_and_tells_its_course(text, course):
    finding = label_report(text)[CSLD]
    assert (finding.present, finding.course) == (True, course)
    assert finding.mentions[0].cue is not None


def test_one_finding_may_go_while_another_comes():
    text = "The ground-glass opacities were absorbed while consolidation increased."
    assert courses(text) == {"GGO": "resolving", "Csld": "present"}


def test_the_strongest_assertion_of_a_lesion_is_its_course():
    assert courses("Consolidation on day 3. No consolidation on day 20.") == {"Csld": "present"}


def test_spans_count_the_original_text_through_its_damages():
    text = "A\u00a0\u201cground\u2013 glass\u201d  shadow, and consoldation\u200b."
    report = label_report(text)
    assert words(report) == ["ground\u2013 glass\u201d  shadow", "consoldation"]
    for finding in report.findings:
        for mention in finding.mentions:
            assert text[mention.span.start : mention.span.end] == mention.span.words


@given(
    st.lists(
        st.sampled_from(
            [
                "no ",
                "GGO",
                "consolidaton",
                "\u2013",
                "\u00a0",
                "(A)",
                ". ",
                "\ufb01",
                ", ",
                "\u0130",
            ]
        )
        | st.text(max_size=6)
    ).map("".join)
)
def test_any_text_is_read_and_every_span_is_true(text):
    report = label_report(text)
    mentions = [m for finding in report.findings for m in finding.mentions]
    for mention in (*mentions, *report.covid_mentions):
        for span in (mention.span, mention.cue):
            assert span is None or text[span.start : span.end] == span.words != ""


@pytest.mark.parametrize(
    "phrase",
    [
        *("inter-", "inter and ", "-", "septal-", "thick ", "a. ", "(A, ", "(A) GGO ", "a,"),
        *("GGO and consolidation, ", "no ", "patchy-", "test positive ", "GGO (", "A showed "),
        *("(A) shows GGO ", "normal (A) ", "(red arrow, ", "Fig. 1A-", "GGO (A) and ", "a) "),
        *("negative for a, ", "Indication: GGO ", "history of ", "didn't ", "contact with a, "),
        *("consoli- ", "thickening of ", "GGO in the lung and ", "neither lung ", "(ii) and "),
        *(
            "no GGO; ",
            "no GGO on ",
            "septa GGO ",
            "hazy, ",
            "in a, b, ",
            "GGO, no, ",
            "unlike sars ",
            "unlike the GGO in covid ",
            "whereas covid usually shows GGO ",
            "(GGO; A) ",
            "(a: GGO; b: GGO) ",
            "day 3 (A). On day 3, GGO. ",
        ),
        *("(A) GGO while ", "mistaken for GGO, ", "no GGO and patient one "),
        *("a", "GGO yes consolidation no ", "GGO in A, ", "(A) GGO, x (B), ", "a year ago, "),
    ],
)
def test_a_hostile_repetition_takes_no_more_than_linear_work(phrase):
    """Quadratic work on these 40,000 characters would outlast the limit of the test run."""
    label_report(phrase * (40_000 // len(phrase)))


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("A patient with confirmed COVID-19.", Covid.POSITIVE),
        ("2019-nCoV pneumonia", Covid.POSITIVE),
        ("The nucleic acid test was positive.", Covid.POSITIVE),
        ("The PCR turned negative on day 10 in this COVID-19 patient.", Covid.POSITIVE),
        ("RT-PCR for SARS-CoV-2 was negative.", Covid.NEGATIVE),
        ("COVID-19 was ruled out.", Covid.NEGATIVE),
        ("non-COVID pneumonia", Covid.NEGATIVE),
        ("Images of the control.", Covid.NEGATIVE),
        ("No consolidation in patients with COVID-19.", Covid.POSITIVE),
        ("Suspected COVID-19.", Covid.UNSTATED),
        ("Contact with a COVID-19 patient.", Covid.UNSTATED),
        ("Consolidation in the left lobe.", Covid.UNSTATED),
    ],
)
def test_covid_is_positive_negative_or_unstated(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    "text",
    [
        "A. Ground-glass opacity. B. Consolidation.",
        "(A) Ground-glass opacity, (B) Consolidation.",
        "CT showed ground-glass opacity (A), and later consolidation (B).",
        "A showed ground-glass opacity, B showed consolidation.",
        "A, CT with ground-glass opacity. B, CT with consolidation.",
        "Panel A depicts ground-glass opacity, panel B consolidation.",
        "CT on admission (A) shows GGO, CT on day 7 (B) shows consolidation.",
        "Initial CT (A) demonstrates GGO. Follow-up CT (B) demonstrates consolidation.",
        "On day 3 (A), GGO was seen; on day 7 (B), consolidation had formed.",
        "Mild type (A): GGO. Severe type (B): consolidation.",
        "(A): GGO; (B): consolidation; (C): normal.",
        "(a) day 1, GGO, (b) day 5, consolidation, (c) day 14, absorbed.",
        "(A) shows GGO, while (B) shows consolidation.",
        "A mild case (A) with GGO, a severe case (B) with consolidation.",
        "a) GGO b) consolidation",
        "a, pure GGO; b, consolidation.",
        "GGO (red arrow, A) and consolidation (B, white arrow).",
        "Nodule and GGO in a mild case (A), consolidation in a severe case (B).",
    ],
)
def test_panels_are_told_however_a_caption_names_them(text):
    report = label_report(text)
    assert (report[GGO].panels, report[CSLD].panels) == (("A",), ("B",))


@pytest.mark.parametrize(
    ("text", "ggo", "csld"),
    [
        ("Fig. 1A shows GGO. Fig. 1B shows consolidation.", ("1A",), ("1B",)),
        ("A1-A3, GGO. B1-B2, consolidation.", ("A1", "A2", "A3"), ("B1", "B2")),
        ("Left panel: GGO. Right panel: consolidation.", ("LEFT",), ("RIGHT",)),
        ("Normal lungs (A), GGO (B), consolidation (C).", ("B",), ("C",)),
        ("CT on day 1 (A) was normal and on day 5 (B) shows GGO.", ("B",), ()),
        ("GGO on day 3 (A) and normal lungs on day 20 (B).", ("A",), ()),
        ("Axial (A) and coronal (B) CT images show GGO.", ("A", "B"), ()),
        ("CT (A: day 1; B: day 6) shows GGO.", (), ()),
        ("In 30 patients (12), GGO prevailed (A).", ("A",), ()),
    ],
)
def test_panels_have_many_names_and_are_those_of_the_nearest_statement(text, ggo, csld):
    report = label_report(text)
    assert (report[GGO].panels, report[CSLD].panels) == (ggo, csld)


def test_panels_come_in_runs_and_lists():
    report = label_report("GGO in the upper lobe (A and B) and crazy paving below (D-F).")
    assert (report[GGO].panels, report[CRPA].panels) == (("A", "B"), ("D", "E", "F"))


def test_a_panel_keeps_what_is_said_of_it_and_of_the_whole_figure():
    report = label_report("Bilateral GGO. A, Crazy paving. B, Consolidation.")
    shown = [lesion for lesion in LESIONS if report.of_panel("B").labels[lesion]]
    assert shown == [Lesion.GGO, Lesion.CSLD]
