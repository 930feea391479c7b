"""Clinical words of one meaning, for attacks that replace words and keep what a note says.

Written for Titer. Only single words of one grammatical form that can stand for each other in a report are together;
words that differ in grade, side, time, certainty or negation are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

_GROUPS = """
abdomen belly; abnormality anomaly; adequate sufficient; administered given; aid assist help; ambulate walk;
ambulating walking; ambulation walking; anesthesia anaesthesia; appears seems; appeared seemed; approximately about
roughly; assessment evaluation; assessed evaluated; begin start; began started; begun started; bleeding hemorrhage;
bruise contusion; cancer carcinoma malignancy; cancerous malignant; cease stop; ceased stopped; headache cephalgia;
examined inspected; clinic office; complains reports; complained reported; completed finished; consult consultation;
continue maintain; continued maintained; incised cut; daily everyday; demonstrates shows reveals; demonstrated showed
revealed; describes reports; diagnosed identified; difficulty trouble; discharged released; disease illness; divided
split; doctor physician; drug medication medicine; drugs medications medicines; dyspnea breathlessness; edema
swelling; edematous swollen; elevated raised; emesis vomiting; employed used utilized; encountered met; enlarged
expanded; entire whole; erythema redness; erythematous reddened; examination exam; excised resected removed; excision
resection removal; exhibits displays; fever pyrexia; febrile feverish; frequently often; gentleman man; good
satisfactory; gradually slowly; gravid pregnant; happened occurred; heart cardiac; history background; immediately
promptly; improved bettered; individual person; infant baby; informed told; initially first; injured hurt; injury
trauma; inserted placed introduced; intermittent episodic; itching pruritus; kidney renal; lady woman; limb extremity;
limbs extremities; liver hepatic; located situated; lump mass; lung pulmonary; movement motion; nausea queasiness;
neoplasm tumor; neoplasms tumors; noted observed seen; normal unremarkable; numerous multiple many; obtained acquired;
operation surgery; pain ache; painful aching; patient subject; performed conducted done; placed positioned; prior
previous; provided supplied; rash eruption; received got; regarding concerning; remained stayed; repeated redone;
required needed; requires needs; requested asked; resolved subsided; retained kept; secured fixed; selected chosen;
severe intense; significant marked; specimen sample; spine backbone; sputum phlegm; sterile aseptic; stomach gastric;
subsequently thereafter; suggested indicated; suture stitch; sutured stitched; sutures stitches; syncope fainting;
tenderness soreness; tender sore; therapy treatment; transferred moved; transported moved; treated managed; ultrasound
sonogram; underwent had; urinate void; urination voiding; vertigo dizziness; visualized viewed; radiograph film;
radiographs films
"""


def pairs() -> Iterator[tuple[str, str]]:
    """Every two words that stand together.

    >>> ("doctor", "physician") in set(pairs())
    True
    """
    for group in _GROUPS.split(";"):
        yield from combinations(group.split(), 2)
