"""Which texts are English: those in other languages yield nothing, telegraphic ones are read."""

import pytest

from bench.reports import training_cases
from bench.sentences import DENIALS, SENTENCES
from ladnn.labelling import label_images
from ladnn.reports import Covid, label_report
from ladnn.reports.language import is_english


@pytest.mark.parametrize(
    "text",
    [
        "Opacidades em vidro fosco bilaterais, sem consolidação.",
        "Tomografia de tórax com consolidação no lobo inferior direito.",
        "Consolidação bilateral",
        "Pulmões sem alterações; padrão de crazy paving ausente.",
        "TC de tórax: ausência de GGO.",
        "Opacidades en vidrio deslustrado en ambos pulmones, sin consolidación.",
        "Consolidación en el lóbulo inferior izquierdo con broncograma aéreo.",
        "Paciente con COVID-19 confirmado por PCR. No se observan opacidades.",
        "Engrosamiento septal interlobular",
        "Beidseitige Milchglastrübungen ohne Konsolidierung.",
        "Keine Konsolidierungen, kein Pleuraerguss.",
        "Die Lunge zeigt keine GGO und kein crazy paving.",
        "Patient mit COVID-19, CT Thorax: Milchglas beidseits.",
        "Opacités en verre dépoli bilatérales sans condensation.",
        "Consolidation du lobe inférieur droit avec bronchogramme aérien.",
        "Pas de consolidation ni de crazy paving.",
        "Scanner thoracique normal chez un patient suspect de COVID-19.",
        "Aree a vetro smerigliato bilaterali senza consolidazioni.",
        "Consolidamento parenchimale nel lobo inferiore destro con broncogramma aereo.",
        "Matglasopaciteiten in beide longen zonder consolidaties.",
        "Geen consolidaties, geen pleuravocht.",
        "Obustronne zmiany typu matowej szyby bez konsolidacji.",
        "Oboustranné opacity mléčného skla bez konsolidace.",
        "Bilaterala groundglass-förändringar utan konsolideringar.",
        "Bilaterale matglassfortetninger uten konsolidering.",
        "Her iki akciğerde buzlu cam opasiteleri, konsolidasyon yok.",
        "Opacități în sticlă mată bilateral, fără consolidare.",
        "Mindkét tüdőben tejüveg homály, konszolidáció nem látható.",
        "Molemmissa keuhkoissa mattalasimuutoksia, ei konsolidaatiota.",
        "Tampak konsolidasi pada kedua paru, tidak ada GGO.",
        "Tổn thương kính mờ hai phổi, không có đông đặc.",
        "Sense consolidacions, opacitats en vidre esmerilat als dos pulmons.",
        "Ausência de derrame pleural.",
        "Exame sem alterações significativas.",
        "Múltiplos focos de vidro fosco, predomínio periférico.",
        "Padrão de pavimentação em mosaico nos lobos superiores.",
        "Paciente do sexo masculino, 54 anos, febre e tosse.",
        "No hay consolidaciones ni derrame pleural.",
        "Patrón en empedrado (crazy paving) bilateral.",
        "Neumonía bilateral por COVID-19.",
        "Varón de 60 años con fiebre y tos seca.",
        "Infiltrados intersticiales bilaterales.",
        "Unauffälliger Befund.",
        "Kein Nachweis von Infiltraten.",
        "Zustand nach COVID-19-Pneumonie, residuelle Milchglasareale.",
        "Verdickte Interlobulärsepten und Pleuraerguss links.",
        "Lobärpneumonie rechts.",
        "Absence d'épanchement pleural.",
        "Épaississement des septa interlobulaires.",
        "Plages de verre dépoli périphériques, aspect de crazy paving.",
        "Pneumopathie à SARS-CoV-2 confirmée.",
        "Non si osservano addensamenti.",
        "Polmonite interstiziale da COVID-19.",
        "Assenza di versamento pleurico.",
        "Dubbelzijdige matglasafwijkingen passend bij COVID-19.",
        "Ikke påvist konsolidering eller pleuravæske.",
        "Inga konsolideringar.",
        "Prawidłowy obraz płuc.",
        "Zagęszczenia miąższowe w płacie dolnym.",
        "Bez patologického nálezu.",
        "Bilateral buzlu cam alanlar\u0131 izlendi.",
        "Normal akciğer tomografisi.",
        "Pneumonie interstițială bilaterală.",
        "Kétoldali tüdőgyulladás.",
        "\u53cc\u80ba\u591a\u53d1\u78e8\u73bb\u7483\u5f71\uff0cGGO\uff0cCT",
        "\u041f\u043e \u0442\u0438\u043f\u0443 \u0441\u0442\u0435\u043a\u043b\u0430, CT",
    ],
)
def test_a_text_in_another_language_is_noted_and_yields_nothing(text):
    (one,) = label_images([("a.png", text)])
    assert one.note == "not in English"
    assert (one.report.labels.count, one.report.covid) == (0, Covid.UNSTATED)


@pytest.mark.parametrize(
    "text",
    [
        *("GGO", "GGO, crazy paving", "Consolidation RLL", "GG opacities RLL + LLL", "COVID-19"),
        *("CT chest: GGO RUL.", "Honeycombing, traction bronchiectasis, reticulation", "ARDS"),
        *("Bilateral GGO", "Normal", "No GGO", "GGO bilat. LL > UL", "Septal thickening"),
        *("PA and lateral view.", "GGO (La Paz Hospital, Madrid)", "Sj\u00f6gren, NSIP pattern"),
        *("Smith et al. GGO", "Cor pulmonale", "De novo consolidation", "na\u00efve patient, GGO"),
        "Ground- glass opac- ities and consoli- dation in COVID- 19.",
        "ground glass opacities \u00e2\u20ac\u201c crazy\u00e2\u20ac\u201cpaving",
        "Unremarkable study.",
        "Patchy GGO RUL/RLL.",
        "Mass RUL, no nodes.",
        "Bronchiectasis, emphysema.",
        "Multifocal pneumonia.",
        "Peribronchial cuffing.",
        "Status post lobectomy.",
        "Interstitial edema.",
        "Consolidation LLL.",
        "Atelectasis.",
        "Bilateral infiltrates.",
        "Subpleural reticulation; honeycombing.",
        "Pneumomediastinum.",
        "Tree-in-bud.",
        "Reversed halo sign.",
        "ARDS pattern.",
        "HRCT: UIP.",
        "Crazy-paving, bilateral, diffuse.",
        "Ground-glass.",
        "Basal predominant fibrosis.",
        "GGO + consolidation",
        "Vascular enlargement",
        "Minor scarring at apices",
        "CT pulmonary angiogram: no PE.",
        "Dependent atelectasis; otherwise normal.",
        "Cardiomegaly, pulmonary venous congestion.",
        "Viral pneumonitis.",
        "Miliary tuberculosis.",
        "Cavitary nodule, aspergilloma?",
        "Septal lines, perihilar haze.",
        "MERS-CoV.",
        "Hospital San Raffaele, Milan: COVID-19 pneumonia.",
        "Stable.",
        "Tracheostomy tube, NG tube, central line in situ.",
        "Hampton hump.",
        "Organising pneumonia, perilobular.",
        "GGO 10 \u00d7 12 mm; nodule 8 \u00d7 9 mm.",
        "Fallbericht: ground-glass opacities in both lungs of a woman.",
    ],
)
def test_english_is_read_be_it_ever_so_short(text):
    assert label_report(text).unread == ""


def test_every_invented_sentence_is_english():
    texts = [text for text, *_ in (*SENTENCES, *DENIALS)]
    assert [text for text in texts if not is_english(text)] == []


@pytest.mark.real
def test_every_training_caption_is_english(data_root):
    captions = {case.caption for case in training_cases(data_root / "covid-ct")}
    assert [caption for caption in captions if not is_english(caption)] == []
