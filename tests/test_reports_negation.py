"""What reports deny, ask and tell of others: invented sentences, and their neighbours."""

import pytest

from ladnn.findings import LESIONS
from ladnn.reports import Covid, label_report


def labels(text):
    report = label_report(text)
    return " ".join(str(lesion) for lesion in LESIONS if report.labels[lesion])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT is negative for consolidation or GGO", ""),
        ("Negative for consolidation, septal thickening and air bronchogram.", ""),
        ("CT didn't reveal any GGOs", ""),
        ("CT didn\u2019t reveal any GGOs", ""),
        ("The lobe wasnt consolidated.", ""),
        ("Clinical question: consolidation? Findings: normal lungs, no infiltrate.", ""),
        ("Indication: cough\nTechnique: CT for GGO\nFindings: consolidation", "Csld"),
        ("not only GGO but consolidation", "GGO Csld"),
        ("CT could not exclude consolidation.", "Csld"),
        ("Unable to exclude consolidation.", "Csld"),
        ("negative PCR but GGO", "GGO"),
        ("Negative for SARS-CoV-2 with GGO in both lungs.", "GGO"),
        ("The swab was negative for influenza and GGO was seen.", "GGO"),
        ("GGO, embolism ruled out.", "GGO"),
        ("GGO in both lungs; pulmonary embolism was ruled out.", "GGO"),
        ("GGO on a contrast-free CT.", "GGO"),
        ("A consolidation-free scan.", ""),
        ("History of consolidation in 2015; the lungs are normal.", ""),
        ("A man with a history of fever with consolidation.", "Csld"),
        ("History: cough. CT shows GGO. Impression: viral pneumonia.", "GGO"),
        ("Indication: GGO follow-up. Findings: GGO have increased.", "GGO"),
        ("Free of effusion, consolidation and crazy paving.", ""),
        ("Negative for effusion. GGO and consolidation are seen.", "GGO Csld"),
        ("Negative for pleural effusion, bilateral GGO and consolidation.", "GGO Csld"),
        ("Devoid of effusion, GGO in both lungs and consolidation on the left.", "GGO Csld"),
        ("Nothing but consolidation.", "Csld"),
        ("Remarkable for consolidation.", "Csld"),
        ("Unremarkable apart from consolidation.", "Csld"),
        ("A travel history to Wuhan: GGO in both lungs.", "GGO"),
        ("A woman with a travel history: GGO in both lungs.", "GGO"),
        ("Contact with a PCR-positive relative.", ""),
    ],
)
def test_what_is_denied_or_asked_is_no_finding_and_its_neighbours_are(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize("quote", ["'", "\u2019", "\u2018", "`", ""])
@pytest.mark.parametrize(
    "text",
    [
        *("CT didn't reveal consolidation.", "CT doesn't show consolidation."),
        *("Consolidation wasn't found.", "Consolidation hasn't been seen."),
        *("Consolidation couldn't be seen.", "We can't see consolidation."),
        "There isn't any consolidation.",
    ],
)
def test_a_contraction_denies_with_any_quote_and_without(text, quote):
    assert labels(text.replace("'", quote)) == ""


@pytest.mark.parametrize(
    "words",
    [
        *("negative for", "free of", "clear of", "devoid of", "unremarkable for", "free from"),
        *("lacking", "without", "not suggestive of", "without suspicion of", "not showing"),
    ],
)
def test_each_way_to_deny_reaches_what_follows_and_no_further(words):
    text = f"The left lung is {words} consolidation; ground-glass opacity on the right."
    assert labels(text) == "GGO"


@pytest.mark.parametrize(
    "words", ["cannot exclude", "can't exclude", "does not exclude", "unable to rule out"]
)
def test_what_is_not_excluded_is_uncertain(words):
    finding = label_report(f"We {words} consolidation.")[LESIONS[1]]
    assert (finding.present, str(finding.course)) == (True, "uncertain")


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("Swab for SARS-CoV-2: not detected", Covid.NEGATIVE),
        (
            "SARS-CoV-2 RNA undetectable. Diffuse GGO from Pneumocystis jirovecii pneumonia.",
            Covid.NEGATIVE,
        ),
        (
            "COVID-19 ruled out. Bilateral ground-glass opacities due to pulmonary hemorrhage.",
            Covid.NEGATIVE,
        ),
        ("Clinical question: COVID-19? Findings: normal lung.", Covid.UNSTATED),
        (
            "A physician who treated COVID-19 patients, had consolidation caused by Legionella.",
            Covid.NEGATIVE,
        ),
        ("Family history: father died of COVID-19. GGO.", Covid.UNSTATED),
        ("Household contact of a COVID-19 case, asymptomatic.", Covid.UNSTATED),
        ("Contact with a COVID-19 patient, and her swab was positive.", Covid.POSITIVE),
        ("She was treated for COVID-19.", Covid.POSITIVE),
        ("A COVID-19 patient treated with steroids.", Covid.POSITIVE),
        ("Patients treated in our hospital for COVID-19.", Covid.POSITIVE),
        ("Indication: COVID-19 confirmed by PCR. Findings: GGO.", Covid.POSITIVE),
        ("History: COVID-19 pneumonia. Findings: GGO.", Covid.POSITIVE),
        (
            "A colleague of a COVID-19-positive nurse; contact with a COVID-19-positive nurse.",
            Covid.UNSTATED,
        ),
        ("SARS-CoV-2 RNA was detected.", Covid.POSITIVE),
        ("Swab for SARS-CoV-2 pending.", Covid.UNSTATED),
        ("COVID-19 unlikely.", Covid.UNSTATED),
        ("Mother and newborn with COVID-19.", Covid.POSITIVE),
        ("GGO due to COVID-19.", Covid.POSITIVE),
        ("COVID-19 with heart failure.", Covid.POSITIVE),
        ("COVID-19 ARDS managed in the ICU.", Covid.POSITIVE),
        ("He lives with COVID-19 sequelae.", Covid.UNSTATED),
        ("Nurse working with COVID-19 patients developed COVID-19 herself.", Covid.POSITIVE),
        ("Which patients have COVID-19?", Covid.UNSTATED),
        ("COVID-19 has not been excluded.", Covid.UNSTATED),
        ("SARS-CoV-2: negative.", Covid.NEGATIVE),
    ],
)
def test_covid_is_of_this_patient_found_and_not_sought(text, covid):
    assert label_report(text).covid is covid
