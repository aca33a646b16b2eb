"""Invented sentences, in the manner of reports and captions, with what each says of the lesions.

A lesion alone is there (label 1); `:no` marks one that is denied (label 0). They were written after
the rules and before the first measurement on them, which docs/results.md gives beside the last.
"""

SENTENCES: tuple[tuple[str, str], ...] = (
    ("Both lungs are clear, without ground-glass opacity or consolidation.", "GGO:no Csld:no"),
    ("There is no consolidation; faint ground-glass opacities persist dorsally.", "Csld:no GGO"),
    ("Ground-glass attenuation with crazy paving, but no air bronchogram.", "GGO CrPa AirBr:no"),
    ("No air bronchograms are identified within the consolidated segment.", "AirBr:no Csld"),
    ("The scan fails to show any consolidation.", "Csld:no"),
    ("Neither septal thickening nor crazy paving could be demonstrated.", "InSepThi:no CrPa:no"),
    ("Pleural effusion was absent and consolidation was extensive.", "Csld"),
    ("Consolidation is absent; ground-glass opacity is extensive.", "Csld:no GGO"),
    ("No cavitation, but multifocal consolidation with air bronchograms.", "Csld AirBr"),
    ("No lymph node was enlarged and bilateral ground-glass opacities were seen.", "GGO"),
    ("Without any sign of interlobular septal thickening.", "InSepThi:no"),
    ("Negative for ground-glass opacities.", "GGO:no"),
    ("Ground-glass opacities were not detected on the first scan.", "GGO:no"),
    (
        "Ground-glass opacities, not seen on the first scan, had appeared in both lungs by day 5.",
        "GGO",
    ),
    ("No new consolidation; known ground-glass opacities are unchanged.", "Csld:no GGO"),
    ("There was no change in the ground-glass opacities of the left lung.", "GGO"),
    (
        "The ground-glass opacities have not changed and consolidation has not developed.",
        "GGO Csld:no",
    ),
    ("The absorption of the consolidation was not complete.", "Csld"),
    ("No absorption of the consolidation was noted.", "Csld"),
    ("Consolidation can not be ruled out.", "Csld"),
    ("Probable early consolidation behind the heart.", "Csld"),
    ("Ground-glass opacity, most likely infectious; no consolidation.", "GGO Csld:no"),
    ("The patient denied cough; chest CT revealed consolidation.", "Csld"),
    ("A 30-year-old man without fever had ground-glass opacities.", "GGO"),
    ("A woman with no symptoms and a scan with ground-glass opacity.", "GGO"),
    ("With no treatment, consolidation resolved in three weeks.", "Csld"),
    ("Ground-glass opacities disappeared and no consolidation remained.", "GGO Csld:no"),
    ("Lesions are ground-glass rather than consolidation.", "GGO Csld:no"),
    ("Ground-glass opacity instead of consolidation predominated.", "GGO Csld:no"),
    ("Apart from ground-glass opacities, no abnormality was found.", "GGO"),
    ("No abnormality other than ground-glass opacity was found.", "GGO"),
    ("No abnormality except a small consolidation.", "Csld"),
    ("Not a single consolidation was seen in this cohort.", "Csld:no"),
    ("Consolidation (-), ground-glass opacity (+).", "Csld:no GGO"),
    ("Consolidation: absent. Ground-glass opacity: present.", "Csld:no GGO"),
    ("Air bronchogram sign: no. Crazy-paving sign: yes.", "AirBr:no CrPa"),
    ("The lungs show no ground-glass opacities, consolidations, or nodules.", "GGO:no Csld:no"),
    ("No nodules, cavities or effusions; patchy consolidation.", "Csld"),
    ("Free of consolidation.", "Csld:no"),
    ("Consolidation was seen in none of the lobes.", "Csld:no"),
    ("Unlike the first patient, this one had no crazy paving.", "CrPa:no"),
    ("Typical subpleural frosted-glass shadows with paving stone signs.", "GGO CrPa"),
    ("Multiple ground-glass density shadows, partial consolidation.", "GGO Csld"),
    ("Ground glass-like opacities and consolidating areas.", "GGO Csld"),
    ("Groundglass haze, thickened septa and bronchial inflation sign.", "GGO InSepThi AirBr"),
    ("Interlobular septa thickened; no reticulation.", "InSepThi"),
    ("Smooth thickening of interlobular and intralobular septa.", "InSepThi"),
    ("Bronchograms of air traverse the consolidation.", "Csld AirBr"),
    ("An air-filled bronchus runs through the consolidation.", "Csld AirBr"),
    ("The consolidation contains no air-filled bronchi.", "Csld AirBr:no"),
    ("Patchy opacities in the periphery of both lungs, no effusion.", "GGO"),
    ("Blurred patchy shadows under the pleura.", "GGO"),
    ("Fibrous strips remain; ground-glass opacities were mostly absorbed.", "GGO"),
    ("On day 14 the consolidation was no longer seen.", "Csld"),
    ("Day 1: normal lungs. Day 4: ground-glass opacities. Day 9: consolidation.", "GGO Csld"),
    ("The control had no ground-glass opacities, the patient had.", "GGO"),
    ("Ground-glass opacities were more frequent than consolidation.", "GGO Csld"),
    ("CT without contrast shows consolidation.", "Csld"),
    ("Non-contrast CT: ground-glass opacity with superimposed septal lines.", "GGO InSepThi"),
    ("No evidence of pneumothorax. Crazy-paving in the right lower lobe.", "CrPa"),
)

DENIALS: tuple[tuple[str, str, str], ...] = (
    (
        "Chest CT negative for ground-glass opacity, consolidation and septal thickening.",
        "unstated",
        "",
    ),
    ("CT doesn't show any consolidation; scattered GGO in both lower lobes.", "unstated", "GGO"),
    ("There isn\u2019t any evidence of ground glass opacity.", "unstated", ""),
    ("Air bronchograms weren't seen in the consolidated right lower lobe.", "unstated", "Csld"),
    ("The lungs are clear of consolidation.", "unstated", ""),
    ("Lung parenchyma devoid of ground-glass change or crazy paving.", "unstated", ""),
    ("No CT features of crazy-paving, but patchy GGO persist.", "unstated", "GGO"),
    ("Follow-up CT failed to demonstrate consolidation.", "unstated", ""),
    (
        "The examination is unremarkable for ground-glass opacities or interlobular "
        "septal thickening.",
        "unstated",
        "",
    ),
    ("Lack of air bronchograms within the mass argues against consolidation.", "unstated", ""),
    ("Consolidation and ground-glass opacities are not present.", "unstated", ""),
    ("Neither consolidation nor ground glass opacity is identified.", "unstated", ""),
    (
        "Not merely ground-glass opacity but frank consolidation with air bronchogram.",
        "unstated",
        "GGO Csld AirBr",
    ),
    ("Consolidation cannot be excluded in the left base.", "unstated", "Csld"),
    ("Can't exclude subtle ground-glass change in the lingula.", "unstated", "GGO"),
    ("RT-PCR was negative, but CT showed bilateral ground-glass opacities.", "negative", "GGO"),
    (
        "Indication: rule out consolidation. Findings: clear lungs, no pleural effusion.",
        "unstated",
        "",
    ),
    (
        "History: prior consolidation in the right lower lobe. Findings: bilateral GGO "
        "with crazy paving. Impression: viral pneumonia.",
        "unstated",
        "GGO CrPa",
    ),
    (
        "Technique: thin-section CT for evaluation of ground-glass opacity. Findings: "
        "interlobular septal thickening at the bases.",
        "unstated",
        "InSepThi",
    ),
    ("Reason for exam: ?GGO. Report: Both lungs are well aerated.", "unstated", ""),
    (
        "Question: air bronchogram? Result: multifocal consolidation with air bronchogram.",
        "unstated",
        "Csld AirBr",
    ),
    (
        "Findings: GGO in the right upper lobe. No septal thickening. Impression: "
        "COVID-19 pneumonia.",
        "positive",
        "GGO",
    ),
    ("Nothing to suggest consolidation; the septa are thickened.", "unstated", "InSepThi"),
    (
        "Without accompanying consolidation, ground-glass opacities predominate in the periphery.",
        "unstated",
        "GGO",
    ),
    (
        "Ground-glass opacities are seen without crazy paving, septal thickening or air "
        "bronchogram.",
        "unstated",
        "GGO",
    ),
    ("Complete absence of consolidation.", "unstated", ""),
    (
        "Ground glass opacity: none. Consolidation: present. Air bronchogram: absent.",
        "unstated",
        "Csld",
    ),
    ("GGO (-), consolidation (+), crazy paving (-).", "unstated", "Csld"),
    ("The radiologist couldn't find consolidation on the repeat scan.", "unstated", ""),
    ("There was never any consolidation; GGO had been seen on admission.", "unstated", "GGO"),
    ("Bilateral GGO, no effusion, no lymphadenopathy.", "unstated", "GGO"),
    (
        "The consolidation did not change; the ground-glass opacities have decreased.",
        "unstated",
        "GGO Csld",
    ),
    ("Consolidation has not yet resolved.", "unstated", "Csld"),
    ("Atelectasis rather than consolidation in the left lower lobe.", "unstated", ""),
    ("No new consolidation; the known ground-glass opacities are stable.", "unstated", "GGO"),
    ("Peripheral consolidation free of air bronchograms.", "unstated", "Csld"),
    ("Interlobular septal thickening is excluded.", "unstated", ""),
    ("Consolidation was ruled out by CT; ground-glass halo around a nodule.", "unstated", "GGO"),
    (
        "CT showed no abnormality apart from ground-glass opacity in the left lower lobe.",
        "unstated",
        "GGO",
    ),
    (
        "No findings other than crazy-paving pattern with air bronchograms.",
        "unstated",
        "CrPa AirBr",
    ),
    (
        "SARS-CoV-2 was not detected by RT-PCR; sputum grew Streptococcus pneumoniae. "
        "Lobar consolidation.",
        "negative",
        "Csld",
    ),
    ("Nasopharyngeal swab: SARS-CoV-2 RNA detected. CT: GGO.", "positive", "GGO"),
    (
        "Two swabs negative for SARS-CoV-2. Ground-glass opacities from Pneumocystis "
        "jirovecii pneumonia.",
        "negative",
        "GGO",
    ),
    ("His wife was hospitalised with COVID-19; he himself is well, CT normal.", "unstated", ""),
    (
        "A nurse on a COVID-19 ward presented with influenza A; CT shows ground glass.",
        "negative",
        "GGO",
    ),
    (
        "A nurse on a COVID-19 ward, who tested positive for SARS-CoV-2 herself, with "
        "bilateral GGO.",
        "positive",
        "GGO",
    ),
    (
        "Indication: suspected COVID-19. Findings: GGO in both lower lobes. RT-PCR "
        "positive for SARS-CoV-2.",
        "positive",
        "GGO",
    ),
    ("Reason for examination: exclude COVID-19. Findings: normal chest CT.", "unstated", ""),
    (
        "COVID-19 has been excluded by three PCR tests. Organizing pneumonia with consolidation.",
        "negative",
        "Csld",
    ),
    (
        "Close contact with a confirmed COVID-19 patient; later confirmed to have "
        "COVID-19 pneumonia with consolidation.",
        "positive",
        "Csld",
    ),
    (
        "Social history: mother recovered from COVID-19. Findings: consolidation due to "
        "Klebsiella pneumonia.",
        "negative",
        "Csld",
    ),
    ("The patient does not have COVID-19.", "negative", ""),
    (
        "PCR for COVID-19 came back negative twice and turned positive on day 5; GGO.",
        "positive",
        "GGO",
    ),
    (
        "SARS-CoV-2 PCR undetectable; alveolar haemorrhage in vasculitis causing "
        "ground-glass opacities.",
        "negative",
        "GGO",
    ),
    ("COVID-19 was not ruled out; ground-glass opacity.", "unstated", "GGO"),
    ("Exposure to COVID-19 two weeks ago. Chest CT: lungs unremarkable.", "unstated", ""),
    (
        "He wasn't infected with SARS-CoV-2; the consolidation proved to be adenocarcinoma.",
        "negative",
        "Csld",
    ),
    (
        "Vaccinated against COVID-19. CT: septal thickening from pulmonary oedema.",
        "negative",
        "InSepThi",
    ),
    (
        "COVID-19 pneumonia in a health-care worker: bilateral consolidation without "
        "pleural effusion.",
        "positive",
        "Csld",
    ),
    (
        "58-year-old man whose father had COVID-19, himself confirmed by RT-PCR: crazy paving.",
        "positive",
        "CrPa",
    ),
)
"""Denials, questions, other people and their neighbours: text, COVID-19, the lesions it has.

Their labels were written before the rules were read that were then widened to them.
"""
