"""A small clinical thesaurus: each line is one concept, its words mean the same here, the first is the commonest.

Written for simulated notes; words of one line may replace each other without changing what a note says.
"""

from __future__ import annotations

# What a sentence says about the findings and drugs that follow in it.
CUES: dict[str, tuple[str, ...]] = {
    "present": ("reports describes endorses complains-of presents-with mentions", "takes uses receives continues-on"),
    "absent": ("denies no without negative-for never-had free-of", "stopped discontinued no-longer-takes weaned-off"),
    "family": ("family-history-of mother-had father-had sibling-with relatives-with",),
    "past": ("resolved former remote-history-of years-ago-had in-childhood-had",),
}

# Findings that carry a domain alone (2 points) and those that support it (1 point).
CARDINAL: dict[str, tuple[str, ...]] = {
    "cardiac": (
        "chest-pain angina chest-tightness precordial-pain substernal-pressure",
        "syncope fainting blackout collapse passing-out",
        "palpitations racing-heart heart-pounding fluttering-in-chest",
        "orthopnea cannot-lie-flat breathless-when-lying needs-three-pillows",
    ),
    "respiratory": (
        "dyspnea breathlessness shortness-of-breath air-hunger labored-breathing",
        "hemoptysis coughing-blood blood-in-sputum bloody-expectoration",
        "stridor noisy-inspiration crowing-breath high-pitched-breathing",
        "cyanosis blue-lips bluish-skin dusky-fingers",
    ),
    "neurological": (
        "hemiparesis one-sided-weakness half-body-weakness unilateral-weakness",
        "seizure convulsion fit epileptic-attack",
        "aphasia slurred-speech word-loss garbled-speech speech-difficulty",
        "vision-loss sudden-blindness amaurosis loss-of-sight",
    ),
}
MINOR: dict[str, tuple[str, ...]] = {
    "cardiac": (
        "ankle-swelling leg-edema swollen-legs pedal-edema",
        "sweating diaphoresis cold-sweat clamminess",
        "left-arm-ache arm-heaviness radiating-arm-pain brachial-discomfort",
    ),
    "respiratory": (
        "cough coughing tussis hacking",
        "wheeze wheezing whistling-breath sibilant-breathing",
        "sputum phlegm expectoration mucus-production",
    ),
    "neurological": (
        "headache cephalalgia head-pain cranial-ache",
        "numbness paresthesia tingling pins-and-needles",
        "dizziness lightheadedness giddiness unsteadiness",
    ),
}
BENIGN: tuple[str, ...] = (
    "itching pruritus itchiness skin-irritation",
    "rash exanthem skin-eruption red-spots",
    "heartburn acid-reflux pyrosis gastric-burning",
    "constipation hard-stools infrequent-stools costiveness",
    "insomnia sleeplessness poor-sleep trouble-sleeping",
    "back-pain lumbago low-back-ache lumbar-pain",
    "knee-pain gonalgia sore-knee aching-knee",
    "runny-nose rhinorrhea nasal-discharge coryza",
    "sneezing sneezes sternutation sneezing-fits",
    "dry-eyes ocular-dryness gritty-eyes xerophthalmia",
    "bloating abdominal-fullness distension gassiness",
    "hair-loss alopecia thinning-hair shedding-hair",
    "tinnitus ringing-ears ear-noise buzzing-ears",
    "foot-pain sore-foot podalgia heel-ache",
    "toothache dental-pain odontalgia sore-tooth",
    "fatigue tiredness weariness low-energy",
)

# Drugs that support a domain (1 point) while they are taken.
DRUGS: dict[str, tuple[str, ...]] = {
    "cardiac": (
        "nitroglycerin glyceryl-trinitrate gtn nitro",
        "metoprolol lopressor toprol",
        "furosemide lasix frusemide",
        "amiodarone pacerone cordarone",
    ),
    "respiratory": (
        "albuterol salbutamol ventolin proair",
        "tiotropium spiriva braltus",
        "montelukast singulair montair",
        "budesonide pulmicort budeson",
    ),
    "neurological": (
        "levetiracetam keppra spritam",
        "sumatriptan imitrex imigran",
        "carbamazepine tegretol carbatrol",
        "donepezil aricept donecept",
    ),
}
HARMLESS_DRUGS: tuple[str, ...] = (
    "ibuprofen advil brufen motrin",
    "acetaminophen paracetamol tylenol apap",
    "omeprazole prilosec losec",
    "cetirizine zyrtec reactine",
    "loratadine claritin alavert",
    "psyllium metamucil ispaghula",
    "melatonin circadin sleep-hormone",
    "cholecalciferol vitamin-d colecalciferol",
)

# Words around the findings, and those of them that may stand for each other.
PLAIN: tuple[str, ...] = (
    "patient pt client",
    "woman lady female",
    "man gentleman male",
    "clinic office outpatient-department",
    "today this-visit now",
    "seen examined evaluated assessed",
    "reviewed checked inspected",
    "plan next-steps management",
    "discussed talked-over explained",
    "follow-up return-visit recheck",
    "family-members relatives kin",
    "work job employment",
    "alert awake oriented",
    "comfortable at-ease relaxed",
    "walks ambulates gets-around",
)

# Sentences that decide nothing; "#a" stands for an age, "#n" for a number.
FILLERS: tuple[str, ...] = (
    "patient is a #a year old woman seen in clinic today",
    "patient is a #a year old man seen in clinic today",
    "blood pressure #n over #n pulse #n",
    "weight #n height #n",
    "alert and comfortable during the visit",
    "walks unaided at home",
    "lives with spouse and two children",
    "lives alone in the city",
    "returned from travel last month",
    "works as a teacher and enjoys the work",
    "works in an office and sits most of the day",
    "retired from farm work some time back",
    "plan discussed with patient and family-members",
    "follow-up in #n weeks",
    "vaccines are up to date",
    "laboratory values reviewed with patient",
    "diet is regular and appetite is good",
    "smoked #n cigarettes daily until last year",
    "drinks wine on weekends only",
    "allergies were reviewed and the list is unchanged",
    "the note was dictated and signed",
    "medication list reviewed today",
    "sleeps about #n hours most nights",
    "exercise is advised three times weekly",
)
