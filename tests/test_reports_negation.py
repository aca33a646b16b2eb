"""What reports deny, ask and tell of others: invented sentences, and their neighbours."""

import pytest

from captions import labels
from ladnn.findings import LESIONS, Lesion
from ladnn.reports import Covid, label_report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT is negative for consolidation or GGO", ""),
        ("Negative for consolidation, septal thickening and air bronchogram.", ""),
        ("CT didn't reveal any GGOs", ""),
        ("Peripheral ground-glass opacity w/o consolidation.", "GGO"),
        ("No consolidation was found, nor were ground-glass opacities; a granuloma.", ""),
        ("Consolidation in the lingula. GGO negative.", "Csld"),
        ("Consolidation in the lingula, GGO in the apex, swab negative.", "GGO Csld"),
        ("Consolidation on the left, pleural effusion negative.", "Csld"),
        ("The consolidation described before is not seen any more.", "Csld"),
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
        ("Free of ground-glass opacity, of consolidation and of any septal thickening.", ""),
        ("Devoid of effusion, GGO in both lungs and consolidation on the left.", "GGO Csld"),
        ("Nothing but consolidation.", "Csld"),
        ("Remarkable for consolidation.", "Csld"),
        ("Unremarkable apart from consolidation.", "Csld"),
        ("A travel history to Wuhan: GGO in both lungs.", "GGO"),
        ("A woman with a travel history: GGO in both lungs.", "GGO"),
        ("Contact with a PCR-positive relative.", ""),
        ("No evidence for ground glass, and consolidation isn't present either.", ""),
        ("The lungs are free from ground-glass opacity, consolidation, and septal thickening.", ""),
        ("Absence of air bronchograms; consolidation persists.", "Csld"),
        ("Consolidation is not appreciable.", ""),
        ("Consolidation and crazy paving are not yet seen; GGO is.", "GGO"),
        ("The patient never developed consolidation; GGO faded.", "GGO"),
        ("GGO, and nothing in the way of consolidation.", "GGO"),
        ("No consolidation around the GGO.", "GGO"),
        ("Vessels are not obscured by the GGO; consolidations are not features.", "GGO"),
        ("Little, if any, consolidation beside the GGO.", "GGO"),
        ("An artefact was mistaken for ground glass.", ""),
        ("The GGO was mistaken for oedema.", "GGO"),
        ("Initially thought to be ground glass, it proved to be consolidation.", "Csld"),
        ("Unlike SARS, in which consolidation is common, he had only GGO.", "GGO"),
        ("Unlike SARS, COVID-19 shows GGO and consolidation.", "GGO Csld"),
        ("Unlike the consolidation on the left, the GGO had grown.", "GGO Csld"),
        ("There are no areas of ground-glass opacity.", ""),
        ("Ground-glass opacities were never observed.", ""),
        ("Not a single area of consolidation.", ""),
        ("Zero evidence of consolidation.", ""),
        ("Nor is there consolidation.", ""),
        ("Lungs without GGO. Consolidation in the lingula.", "Csld"),
        ("Consolidation has been excluded.", ""),
        ("No sign of either consolidation or GGO.", ""),
        ("CT chest shows no GGO, no consolidation, no crazy paving.", ""),
        ("We failed to find GGO but noted septal thickening.", "InSepThi"),
        ("Clinical information: fever, GGO on outside CT. CT chest: lungs clear.", ""),
        ("INDICATION: RULE OUT CONSOLIDATION. FINDINGS: BILATERAL GGO.", "GGO"),
        ("Comparison: CT of 3 May with consolidation. Findings: GGO only.", "GGO"),
        ("Consolidation and a swab that came back negative.", "Csld"),
        ("GGO and RT-PCR was negative.", "GGO"),
        ("No other findings than GGO.", "GGO"),
        ("GGO unaccompanied by consolidation.", "GGO"),
        ("Non-consolidative GGO.", "GGO"),
        ("CT showed GGO and consolidation, crazy paving not seen.", "GGO Csld"),
        ("CT only demonstrates GGO, and consolidation cannot be found.", "GGO"),
        ("CT showed that GGO, septal thickening, and consolidation were absent.", ""),
        ("Consolidation was absent, as were air bronchograms.", ""),
        ("No GGO was seen, neither was consolidation.", ""),
        ("Air bronchogram is not obvious.", ""),
        ("GGO (89%), consolidation (0/20), crazy paving (0%).", "GGO"),
        ("GGO in five lobes, consolidation in 0 lobes.", "GGO"),
        ("Lesions not yet consolidated.", ""),
        ("The GGO did not progress to consolidation.", "GGO"),
        ("GGO without progression to consolidation.", "GGO"),
        ("The GGO has not changed; no change to the consolidation.", "GGO Csld"),
        ("No more consolidation; only GGO remains.", "GGO Csld"),
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
        ("Clinical history: COVID-19 positive. Findings: bilateral GGO.", Covid.POSITIVE),
        (
            "Clinical question: COVID-19? Findings: GGO. Impression: typical of COVID-19.",
            Covid.POSITIVE,
        ),
        (
            "Indication: 45-year-old woman with COVID-19 pneumonia. Findings: crazy paving.",
            Covid.POSITIVE,
        ),
        ("SARS-CoV-2 could not be detected in three swabs.", Covid.NEGATIVE),
        ("The COVID-19 test came back negative.", Covid.NEGATIVE),
        ("PCR: SARS-CoV-2 not detected. Influenza B detected.", Covid.NEGATIVE),
        ("COVID-19 was considered but excluded.", Covid.NEGATIVE),
        ("His brother died from COVID-19 last week.", Covid.UNSTATED),
        ("Roommate of a COVID-19 patient; CT normal.", Covid.UNSTATED),
        ("Lives with two persons with COVID-19; own swab negative.", Covid.NEGATIVE),
        ("Paramedic who transported COVID-19 patients, now with fever; GGO.", Covid.UNSTATED),
        ("Pneumonia due to SARS-CoV-2 with consolidation.", Covid.POSITIVE),
        ("Fully vaccinated patient with breakthrough COVID-19; GGO.", Covid.POSITIVE),
        ("Patient treated with tocilizumab for COVID-19: GGO.", Covid.POSITIVE),
        ("Patients managed at our COVID-19 centre: GGO.", Covid.UNSTATED),
        ("Doctor infected while treating COVID-19 patients, RT-PCR positive; GGO.", Covid.POSITIVE),
        ("A negative antigen test, but SARS-CoV-2 RNA detected.", Covid.POSITIVE),
        (
            "Travelled from Wuhan; met a COVID-19 case; PCR positive; GGO in both lungs.",
            Covid.POSITIVE,
        ),
        ("The attending physician confirmed COVID-19.", Covid.POSITIVE),
        ("We treated a COVID-19 patient.", Covid.POSITIVE),
    ],
)
def test_covid_is_of_this_patient_found_and_not_sought(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Consolidation - none. GGO - bilateral.", "GGO"),
        ("Consolidation (none). GGO (bilateral).", "GGO"),
        ("Consolidation: N", ""),
        ("Consolidation: 0", ""),
        ("Consolidation = 0; GGO = 1", "GGO"),
        ("Air bronchogram sign: 0", ""),
        ("Absent: consolidation, crazy paving. Present: GGO.", "GGO"),
        ("Not seen: consolidation and GGO.", ""),
        ("Consolidation: 0.5 cm", "Csld"),
        ("GGO on day = 0", "GGO"),
        ("Consolidation: N/A", "Csld"),
        ("Effusion absent: consolidation on the left.", "Csld"),
        ("Consolidation - no air bronchogram.", "Csld"),
        ("Consolidation No; GGO Yes", "GGO"),
        ("Consolidation No, GGO Yes, crazy paving No.", "GGO"),
        ("GGO Yes Consolidation No Crazy-paving No", "GGO"),
        ("Consolidation\tNo\nGGO\tYes", "GGO"),
        ("Consolidation | no | GGO | yes", "GGO"),
        ("GGO +, consolidation -, crazy paving +", "GGO CrPa"),
        ("GGO present, consolidation absent, air bronchogram absent.", "GGO"),
        ("Absent are consolidation and crazy paving.", ""),
        ("Consolidation in patient no. 5, GGO in patient no. 6.", "GGO Csld"),
        ("Consolidation, GGO and no effusion.", "GGO Csld"),
        ("GGO in both lungs, lymphadenopathy absent.", "GGO"),
        ("Consolidation, no; GGO, yes; crazy paving, no.", "GGO"),
        ("Consolidation? No. GGO? Yes.", "GGO"),
        ("GGO, no. 5 of the series, and consolidation.", "GGO Csld"),
        ("GGO in both lungs; effusion, no.", "GGO"),
        ("GGO 3/4, consolidation 0/4.", "GGO"),
        ("GGO: 1 case; consolidation: 0 cases.", "GGO"),
        ("GGO +, consolidation -, septal thickening -", "GGO"),
        ("GGO: +; crazy paving: -; consolidation: --; air bronchogram: neg", "GGO"),
        ("| GGO | + | consolidation | - |", "GGO"),
        ("GGO: - bilateral and peripheral", "GGO"),
        ("GGO: - in the left lung; - in the right lung", "GGO"),
    ],
)
def test_a_form_denies_by_its_cells_and_heads(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "There is no pleural effusion or lymphadenopathy, and ground-glass opacities are seen "
            "in both lungs.",
            "GGO",
        ),
        (
            "Without pleural effusion or consolidation, ground-glass opacities were scattered.",
            "GGO",
        ),
        (
            "No pleural effusion, lymphadenopathy or pneumothorax, ground-glass opacities in both "
            "lower lobes.",
            "GGO",
        ),
        ("No effusion, consolidation or ground-glass opacities.", ""),
        ("No effusion, consolidation or ground-glass opacities in the lungs.", ""),
        (
            "No effusion or consolidation, ground-glass opacities or septal thickening were seen.",
            "",
        ),
        ("No ground-glass or patchy opacities, consolidation, or effusion are seen.", ""),
        ("No effusion or nodule, consolidation in either lung.", ""),
    ],
)
def test_a_list_that_or_closes_ends_before_a_finding_with_its_own_verb_or_place(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Consolidation was not seen initially, but was present at follow-up.", "Csld"),
        ("GGOs were not present at admission but developed three days later.", "GGO"),
        ("Initially there was no consolidation, which later appeared in both lungs.", "Csld"),
        ("No consolidation was seen at baseline, but it developed by day 7.", "Csld"),
        ("There is no consolidation or GGO at first, but both appear at follow-up.", "GGO Csld"),
        ("Consolidation was absent on day 1, present on day 5.", "Csld"),
        ("No GGO or nodules present on CT.", ""),
        ("No GGO on admission but developed respiratory failure three days later.", ""),
        ("No consolidation, which is usually seen in bacterial pneumonia.", ""),
        ("GGO was absent on day 1 and pleural effusion appeared on day 5.", ""),
        ("Consolidation was not seen, but GGO was present at follow-up.", "GGO"),
        ("Consolidation was not seen on day 1 but was not present at follow-up either.", ""),
        ("Consolidation was not visible on the radiograph but was seen on CT.", "Csld"),
        ("No consolidation, but was seen in the clinic for a cough.", ""),
    ],
)
def test_what_was_not_there_at_first_and_came_later_is_there(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The first scan showed no GGO; the later scan did.", "GGO"),
        ("CT showed no consolidation, but the scan two days later did.", "Csld"),
        ("The radiograph did not show consolidation, whereas CT did.", "Csld"),
        ("No GGO in the first patient. The second had.", "GGO"),
        ("There was no GGO on day 1; on day 4, there was.", "GGO"),
        ("The right lung has no consolidation (the left does).", "Csld"),
        ("The first scan showed no GGO, as the second did.", ""),
        ("The first scan showed no GGO, nor did the second.", ""),
        ("The first scan showed no GGO; the second did not either.", ""),
        ("No GGO was seen; consolidation was.", "Csld"),
        ("CT showed no GGO; the patient had done well.", ""),
        ("CT showed no GGO, but effusion did occur in the second.", ""),
    ],
)
def test_a_verb_without_its_object_gives_another_what_was_denied(text, expected):
    assert labels(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Indeterminate appearance for COVID-19 pneumonia.",
        "Atypical appearance for COVID-19 pneumonia.",
        "Imaging features are atypical or uncommonly reported for COVID-19 pneumonia.",
        "Imaging features can be seen with COVID-19 pneumonia, though are nonspecific and can "
        "occur with a variety of infectious and noninfectious processes.",
        "Negative for pneumonia. (Note: CT may be negative in the early stages of COVID-19.)",
        *("COVID-19 pneumonia is not suspected.", "COVID-19 pneumonia is less likely."),
        *("Low probability of COVID-19.", "No history of COVID-19.", "Evaluate for COVID-19."),
        *("Query COVID-19.", "? COVID-19", "Fever, ?COVID-19.", "COVID-19 status unknown."),
        *("Unlike COVID-19, the lesions are central.", "Differentiate from COVID-19."),
        "In contrast to COVID-19, the lesions are central.",
        "Contrary to COVID-19, the lesions are central.",
    ],
)
def test_a_phrase_that_leaves_covid_open_states_nothing(text):
    assert label_report(text).covid is Covid.UNSTATED


@pytest.mark.parametrize(
    "text",
    [
        "Typical appearance for COVID-19 pneumonia.",
        "Commonly reported imaging features of COVID-19 pneumonia are present.",
        "An atypical presentation of COVID-19.",
        "Ground-glass opacities can be seen in a patient with COVID-19.",
        "COVID-19 was not suspected on admission but was confirmed by RT-PCR on day 3.",
        "Evaluated for COVID-19 and found positive.",
        "In contrast to other patients with COVID-19, he had an effusion.",
    ],
)
def test_a_phrase_beside_a_statement_of_covid_takes_nothing_from_it(text):
    assert label_report(text).covid is Covid.POSITIVE


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("He recovered from COVID-19 a year ago; now pulmonary embolism.", Covid.UNSTATED),
        ("Two years ago she had COVID-19; now consolidation.", Covid.UNSTATED),
        ("RT-PCR was positive 18 months ago.", Covid.UNSTATED),
        ("Bacterial pneumonia in a man with COVID-19 in the previous year.", Covid.NEGATIVE),
        ("COVID-19 a year ago and again now: RT-PCR positive.", Covid.POSITIVE),
        ("A COVID-19 patient who recovered a year ago.", Covid.UNSTATED),
        ("A man who recovered from COVID-19, now with residual GGO.", Covid.POSITIVE),
        ("He recovered from COVID-19 two months ago; residual GGO.", Covid.POSITIVE),
        ("GGO three months after COVID-19.", Covid.POSITIVE),
        ("COVID-19 in a man with lobectomy two years ago.", Covid.POSITIVE),
        ("A woman who had a transplant two years ago, with COVID-19.", Covid.POSITIVE),
        ("Not typical of COVID-19: consolidation and nodules.", Covid.UNSTATED),
    ],
)
def test_an_infection_that_was_over_long_ago_states_nothing(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    "words",
    [
        "Bilateral GGO, consolidation possible.",
        "GGO in the right lung, consolidation likely in the left.",
        "GGO yes, consolidation possible, crazy paving no.",
        "GGO with consolidation (possible).",
        "GGO (bilateral), consolidation (questionable)",
        "GGO: yes. Consolidation: possible.",
        "GGO. Consolidation suspected.",
        "GGO: yes. Consolidation: unlikely.",
        "GGO; consolidation: not likely.",
        "GGO, consolidation (unlikely).",
        "GGO - yes. Consolidation - probable.",
        "CT shows GGO, consolidation may be present.",
        "GGO in both lungs; consolidation might also be seen.",
    ],
)
def test_doubt_may_stand_behind_what_it_doubts_and_is_of_nothing_before_that(words):
    report = label_report(words)
    assert str(report[Lesion.CSLD].course) == "uncertain"
    assert str(report[Lesion.GGO].course) == "present"
    assert report[Lesion.CSLD].present


@pytest.mark.parametrize(
    "words",
    [
        "GGO, likely COVID-19.",
        "GGO (possibly oedema).",
        "GGO likely due to COVID-19.",
        "GGO, possible in part atelectasis.",
        "GGO suspicious for COVID-19.",
    ],
)
def test_doubt_of_what_a_lesion_comes_from_is_none_of_the_lesion(words):
    assert str(label_report(words)[Lesion.GGO].course) == "present"
