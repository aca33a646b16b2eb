"""What captions of COVID-19 figures say: invented sentences in the manner of the published ones."""

import pytest

from captions import named
from ladnn.findings import LESIONS, Lesion
from ladnn.labelling import label_images
from ladnn.reports import Covid, label_report


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Multiple mGGO in both lungs.", "GGO"),
        ("Peripheral ground galss opacities.", "GGO"),
        ("Glass-like shadows of the lower lungs.", "GGO"),
        ("Thickening of bronchovascular bundles and interlobular septa.", "InSepThi"),
        ("GGO with septal-line thickening.", "GGO InSepThi"),
        ("The interlobular septa in the ground glass are markedly thickened.", "GGO InSepThi"),
        ("Interlobular septa within the whole lesion are markedly thickened.", "InSepThi"),
        ("Hazy, ill-defined opacities in the periphery.", "GGO"),
        ("Patchy, linear opacities; thin, fibrotic shadows.", ""),
        ("Unifocal G-GO.", "GGO"),
        ("Peripheral G G O , right.", "GGO"),
        ("Interlobular and intralobular interstitial thickening.", "InSepThi"),
        ("Intralobular and interlobular septa were thickened.", "InSepThi"),
        ("Consoli- dation with air broncho- gram", "Csld AirBr"),
        ("Patchy consoli-dation and con solidation.", "Csld"),
        ("Inter-lobular septal thicken-ing", "InSepThi"),
        ("GGOand consolidation withinterlobular septal thickening", "GGO Csld InSepThi"),
        ("ground-glass opacityand consolidation", "GGO Csld"),
        (
            "\u9225\u6e08round\u9225\u604elass\u9225?opacities and crazy\u9225\u605caving",
            "GGO CrPa",
        ),
        ("Gro-und glass, cra- zy pav- ing and sep- tal thickening", "GGO CrPa InSepThi"),
        ("Bronchi filled with air run through the lesion.", "AirBr"),
        ("Ground-glass opaci- ties; GGO- consolidation", "GGO Csld"),
        ("GGO/consolidation in both lower lobes.", "GGO Csld"),
        ("Thickening of the adjacent pleura and of the interlobar fissure.", ""),
        ("Fine intralobular lines within the lesion.", ""),
        ("Intralobular interstitium thickening.", ""),
        ("Mild thickening of the alveolar septum.", ""),
        ("Bilateral areas of increased density with fine reticulation.", ""),
    ],
)
def test_signs_are_told_by_their_names_and_from_their_neighbours(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GGO in a patient whose first RT-PCR was negative.", "GGO"),
        ("GGO was seen when nucleic acid was negative.", "GGO"),
        ("GGO in both lungs, and pleural effusion was not observed.", "GGO"),
        ("Bilateral ground-glass opacities, lymphadenopathy was absent.", "GGO"),
        ("Consolidation in the left lower lobe, the throat swab was negative.", "Csld"),
        ("The left lung has consolidation and the right lung does not.", "Csld"),
        ("Crazy paving, reticulation and consolidation were not identified.", ""),
        ("GGO (+), consolidation (\u2212), crazy paving (+).", "GGO CrPa"),
    ],
)
def test_a_verb_of_another_subject_denies_nothing_before_it(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The GGO typical of COVID-19 was not found.", ""),
        ("Consolidation, but the GGO characteristic of COVID-19 is lacking.", "Csld"),
        ("The GGO that marks COVID-19 was absent.", ""),
        ("GGO. The consolidation seen in other patients of this cluster was not present.", "GGO"),
        ("GGO typical of COVID-19 and consolidation were found.", "GGO Csld"),
        ("GGO seen in most patients; consolidation was not resolved.", "GGO Csld"),
        ("Lobar consolidation, unlike the GGO in COVID-19 patients.", "Csld"),
        ("Consolidation. In contrast, COVID-19 usually presents with peripheral GGO.", "Csld"),
        ("Consolidation, whereas COVID-19 typically shows GGO.", "Csld"),
        ("A normal lung, although GGO is seen in most patients with COVID-19.", ""),
        ("Although GGO was seen in most of the lobes, consolidation prevailed.", "GGO Csld"),
        ("In contrast to GGO in the left lung, the right had consolidation.", "GGO Csld"),
        ("Bacterial pneumonia (A), whereas COVID-19 usually shows GGO (B).", "GGO"),
        ("COVID-19 usually shows GGO.", "GGO"),
    ],
)
def test_what_others_show_is_no_finding_of_the_one_who_lacks_it(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A motion artifact was recognised as GGO by the algorithm.", ""),
        ("An artefact of breathing identified by the model as consolidation.", ""),
        ("Vessels wrongly labelled as GGO next to consolidation.", "Csld"),
        ("GGO falsely classified as normal.", "GGO"),
        ("Motion artifact at the base; GGO in the left lung.", "GGO"),
    ],
)
def test_what_an_artifact_was_taken_for_is_not_there(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GGO with or without consolidation.", "GGO Csld"),
        ("GGO but no consolidative changes.", "GGO"),
        ("No ground glass changes, no septal changes.", ""),
        ("No significant changes of consolidation.", "Csld"),
        ("Not merely ground-glass opacities but also consolidation.", "GGO Csld"),
        ("Absent air bronchogram in a consolidated lobe.", "Csld"),
        ("No evidence of air bronchogram within the consolidation.", "Csld"),
        ("CT showed neither progression of GGO nor new lesions.", "GGO"),
        ("GGOs with no zonal predominance and with septal thickening.", "GGO InSepThi"),
        ("No GGO was found in the right lung, only in the left lung.", "GGO"),
        ("GGO in a man without comorbidity and consolidation in a woman.", "GGO Csld"),
        ("GGO was observed in all patients, and crazy paving in none.", "GGO"),
        ("No consolidation or cough.", ""),
        ("Absence of effusion with presence of GGO.", "GGO"),
        ("Air bronchograms were not only present but widespread.", "AirBr"),
        ("Ground-glass opacity cannot be seen on this image.", ""),
        ("No consolidation, GGO only in the left lung.", "GGO"),
        ("Consolidation in the left and right lung was not seen.", ""),
        ("GGO not seen at baseline now present in the right lung.", "GGO"),
        ("Air bronchogram, not seen 5 days before.", "AirBr"),
        ("Not all lesions contain consolidation.", "Csld"),
        ("Lungs clear of consolidation.", ""),
        ("Neither lung had any ground-glass opacity.", ""),
        ("None of the lesions contained an air bronchogram.", ""),
        ("No ground-glass opacity in the left or the right lung.", ""),
    ],
)
def test_a_denial_is_of_what_it_names_and_not_of_its_place(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion, consolidation, lymphadenopathy.", ""),
        ("CT shows no ground-glass opacity, consolidation, crazy-paving pattern.", ""),
        ("Without consolidation, crazy paving, interlobular septal thickening.", ""),
        ("There is no consolidation, cavitation, effusion; bilateral GGO is seen.", "GGO"),
        ("No consolidation, ground glass opacity in the right lower lobe.", "GGO"),
        ("No effusion, lymphadenopathy, GGO in both lungs.", "GGO"),
        ("No pleural effusion, GGO, consolidation and crazy paving.", "GGO Csld CrPa"),
        ("No pleural effusion, bilateral GGO, consolidation.", "GGO Csld"),
        ("GGO with no cavity, consolidation.", "GGO"),
        ("There is no pleural effusion, air bronchogram.", ""),
        ("No pleural effusion, bilateral consolidation.", "Csld"),
        ("No pleural effusion, consolidation (arrow).", "Csld"),
        ("No fever, consolidation.", "Csld"),
        ("No sputum, GGO.", "GGO"),
        ("There is no enlarged lymph node, consolidation.", ""),
        ("No abnormality, GGO.", "GGO"),
        ("A, no lesion, B, consolidation.", "Csld"),
    ],
)
def test_a_list_of_bare_names_is_denied_as_a_whole(text, expected):
    assert named(label_report(text)) == expected


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("A man of 40 whose wife was positive for COVID-19; CT shows GGO.", Covid.UNSTATED),
        ("Her husband's RT-PCR was positive. CT shows GGO.", Covid.UNSTATED),
        ("A woman with COVID-19, whose husband also had COVID-19.", Covid.POSITIVE),
        ("Her husband had fever. She was positive for COVID-19.", Covid.POSITIVE),
        ("RT-PCR was not positive.", Covid.NEGATIVE),
        ("RT-PCR never became positive.", Covid.NEGATIVE),
        ("The patient was never PCR positive.", Covid.NEGATIVE),
        ("The swab was still not negative on day 20.", Covid.POSITIVE),
        ("False-positive RT-PCR for SARS-CoV-2.", Covid.UNSTATED),
        ("GGO; positive IgM for dengue.", Covid.UNSTATED),
        ("Anti-Jo-1 antibodies were positive.", Covid.UNSTATED),
        ("COVID-19 pneumonia, IgM positive.", Covid.POSITIVE),
        ("CT features atypical for COVID-19: lobar consolidation.", Covid.UNSTATED),
        ("Atypical CT findings of COVID-19 in a woman of 30.", Covid.POSITIVE),
    ],
)
def test_a_test_of_someone_else_says_nothing_of_the_patient(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "ggo", "csld"),
    [
        ("a Axial CT shows GGO; b coronal CT shows consolidation.", "A", "B"),
        ("a\u2013c Axial CT shows GGO; d coronal CT shows consolidation.", "A B C", "D"),
        ("A woman. a Multiple GGO. b After 3 days a consolidation.", "A", "B"),
        ("a, b Axial CT images show GGO. c Coronal CT shows consolidation.", "A B", "C"),
        ("A patient. a ground glass opacity. b consolidation.", "", ""),
    ],
)
def test_small_letters_alone_are_panels_where_they_begin_with_the_first(text, ggo, csld):
    found = {one.lesion: " ".join(one.panels) for one in label_report(text).findings}
    assert (found[Lesion.GGO], found[Lesion.CSLD]) == (ggo, csld)


def test_the_words_that_prove_septal_thickening_are_whole():
    (mention,) = label_report("Mild interlobular septal thickening.")[LESIONS[-1]].mentions
    assert mention.span.words == "interlobular septal thickening"


@pytest.mark.parametrize("text", ["GGO\u201ccrazy-paving\u201d", "GGO.Then none", "G.G.O."])
def test_a_mark_after_an_abbreviation_is_not_part_of_it(text):
    (mention,) = label_report(text)[LESIONS[0]].mentions
    assert mention.span.words in ("GGO", "G.G.O")


def test_a_change_is_of_what_stands_beside_it():
    report = label_report("Increased consolidation and decreased ground-glass opacity.")
    assert [str(report[lesion].course) for lesion in LESIONS[:2]] == ["resolving", "present"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("First row: patient 1 with GGO. Second row: patient 2 with consolidation.", "GGO|Csld"),
        ("CT on day 5 (upper panel) shows GGO; on day 9 (lower panel) consolidation.", "GGO|Csld"),
        ("Top: ground-glass opacities. Bottom: crazy-paving.", "GGO|CrPa"),
        ("CT: (i) GGO; (ii) consolidation; (iii) crazy-paving.", "GGO|Csld|CrPa"),
        ("GGO (a), consolidation (b), and fibrous stripes (c).", "GGO|Csld|"),
        (
            "(A) and (B), 45-year-old woman; GGO. (C) and (D), 69-year-old man; consolidation.",
            "GGO|GGO|Csld|Csld",
        ),
        ("A, B: one patient with crazy-paving. C: another without crazy-paving.", "CrPa|CrPa|"),
        ("A, Axial CT. B, Coronal CT. Bilateral ground-glass opacities are seen.", "GGO|GGO"),
        ("(A) X-ray. (B) CT with GGO.", "|GGO"),
        ("Bilateral GGOs. (A) A man of 35. (B) A woman with consolidation.", "GGO|GGO Csld"),
        ("Multiple GGO in both lungs (a: upper lobes, b: lower lobes).", "GGO|GGO"),
    ],
)
def test_each_image_of_a_figure_has_what_its_panel_shows(caption, expected):
    wanted = expected.split("|")
    pairs = [(f"figure%{number}.png", caption) for number in range(len(wanted))]
    assert [named(one.report) for one in label_images(pairs)] == wanted


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("RT-PCR was negative twice, and then positive.", Covid.POSITIVE),
        ("A COVID-19 negative patient with lobar consolidation.", Covid.NEGATIVE),
        ("Viral pneumonia other than COVID-19.", Covid.NEGATIVE),
        ("The tests for influenza were negative. COVID-19 was confirmed.", Covid.POSITIVE),
        ("A patient with negative RT-PCR and later confirmed COVID-19.", Covid.POSITIVE),
        ("CT of a returnee from Wuhan with fever.", Covid.UNSTATED),
        ("Confirmed by the second test for 2019-nCoV after a false-negative one.", Covid.POSITIVE),
        ("CT during the progressive stage of COVID-19.", Covid.POSITIVE),
        ("A cough during the COVID-19 pandemic.", Covid.UNSTATED),
        ("A man with COVlD-19; a woman with C0VID-19.", Covid.POSITIVE),
        ("In contrast to bacterial pneumonia, GGO prevailed.", Covid.UNSTATED),
        ("Bacterial pneumonia that was misclassified as COVID-19.", Covid.NEGATIVE),
    ],
)
def test_covid_is_read_through_repeated_tests_and_other_causes(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("GGO in a man with positive RT-PCR.", Covid.POSITIVE),
        ("RT-PCR (+). Chest CT: GGO.", Covid.POSITIVE),
        ("RT-PCR (-), chest CT normal.", Covid.NEGATIVE),
        ("A man with chest pain and negative RT-PCR for SARS-CoV-2.", Covid.NEGATIVE),
        ("Two negative SARS-CoV-2 swabs; the CT is normal.", Covid.NEGATIVE),
        ("COVID-19 with a negative RT-PCR on the first day.", Covid.POSITIVE),
        ("Initially negative RT-PCR, positive on the third test.", Covid.POSITIVE),
        ("Two throat swabs were negative; the third one was positive.", Covid.POSITIVE),
        ("False-negative RT-PCR for SARS-CoV-2 in a woman with GGO.", Covid.POSITIVE),
        ("GGO was absorbed and the RT-PCR turned negative.", Covid.POSITIVE),
        ("A negative first RT-PCR but a positive second test.", Covid.POSITIVE),
        ("RT-PCR testing negative, repeat testing positive.", Covid.POSITIVE),
        ("Nucleic acid test of sputum (+).", Covid.POSITIVE),
        ("RT-PCR: negative on Jan 28, positive on Jan 31.", Covid.POSITIVE),
        ("MERS-CoV infection: consolidation.", Covid.NEGATIVE),
        ("He was discharged after two negative swabs for SARS-CoV-2.", Covid.UNSTATED),
    ],
)
def test_the_result_of_a_test_is_read_before_and_after_it(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("Legionella pneumonia; the urinary antigen test was positive.", Covid.NEGATIVE),
        ("Consolidation; IgM was positive for Mycoplasma.", Covid.NEGATIVE),
        ("Consolidation; influenza A PCR was negative.", Covid.UNSTATED),
        ("PCR for influenza was negative, RT-PCR for SARS-CoV-2 positive.", Covid.POSITIVE),
        ("SARS-CoV-2 RT-PCR was negative.", Covid.NEGATIVE),
        ("A patient with HIV and positive SARS-CoV-2 PCR.", Covid.POSITIVE),
    ],
)
def test_a_test_of_another_germ_is_no_test_of_covid(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "covid"),
    [
        ("Klebsiella pneumoniae pneumonia with consolidation.", Covid.NEGATIVE),
        ("Influenza A (H1N1) pneumonia.", Covid.NEGATIVE),
        ("Pulmonary alveolar proteinosis with crazy paving.", Covid.NEGATIVE),
        ("Radiation pneumonitis after breast cancer.", Covid.NEGATIVE),
        ("A healthy volunteer of 40.", Covid.NEGATIVE),
        ("A 40-year-old healthy volunteer.", Covid.NEGATIVE),
        ("A previously healthy man with fever; GGO in both lungs.", Covid.UNSTATED),
        ("Sarcoidosis mimicking COVID-19.", Covid.NEGATIVE),
        ("A woman with a history of sarcoidosis; GGO in both lungs.", Covid.UNSTATED),
        ("COVID-19 in a woman with sarcoidosis.", Covid.POSITIVE),
        ("No signs of tuberculosis or sarcoidosis.", Covid.UNSTATED),
        ("GGO beside old tuberculosis; diabetes under good control.", Covid.UNSTATED),
        ("GGO resembling COVID-19 in a woman without a test.", Covid.UNSTATED),
        ("Control CT after 10 days shows regression of GGO.", Covid.UNSTATED),
        ("Reported to the Centers for Disease Control.", Covid.UNSTATED),
    ],
)
def test_another_disease_of_the_lungs_is_named_in_place_of_covid(text, covid):
    assert label_report(text).covid is covid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "CT on day 1 (A), day 5 (B) and day 12 (C) shows normal lungs, GGO and consolidation, "
            "respectively.",
            ["", "GGO", "Csld"],
        ),
        (
            "(A-C) Normal lung, ground-glass opacity and crazy paving, respectively.",
            ["", "GGO", "CrPa"],
        ),
        ("A and B show GGO and consolidation, respectively.", ["GGO", "Csld"]),
        (
            "GGO and consolidation of the lower lobes are seen in (A) and (B), respectively.",
            ["GGO", "Csld"],
        ),
        # More findings than panels: which are whose is not told by the word.
        (
            "(A) GGO with septal thickening and (B) consolidation 3 and 9 days on, respectively.",
            ["GGO InSepThi", "Csld"],
        ),
    ],
)
def test_respectively_deals_findings_out_to_panels_in_their_order(text, expected):
    images = [(f"{number}.png", text) for number in range(len(expected))]
    assert [named(one.report) for one in label_images(images)] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pleural effusion\nConsolidation in the right lower lobe", "Csld"),
        ("No effusion\r\n\r\nGGO in both lungs", "GGO"),
        ("No effusion\nGGO in both lungs", "GGO"),
        ("- No GGO\n- Consolidation\n- No air bronchogram", "Csld"),
        ("1. No GGO\n2. Consolidation", "Csld"),
        ("CT of both lungs shows no\nConsolidation", ""),
        ("Small effusion, ground\nglass opacity and\nconsolidation", "GGO Csld"),
        ("CT of both lungs on admission shows no obvious\nGGO or nodules", ""),
    ],
)
def test_a_line_end_ends_a_statement_where_a_list_or_a_capital_follows(text, expected):
    assert named(label_report(text)) == expected


def test_pneumonia_of_another_coronavirus_is_another_cause():
    assert label_report("MERS pneumonia: bilateral consolidation.").covid is Covid.NEGATIVE
    assert label_report("SARS-CoV-2 pneumonia: consolidation.").covid is Covid.POSITIVE
