"""Whether a text is English: by function words, and by nouns and endings that tell languages."""

import re
import unicodedata

_WORD = re.compile(r"[^\W\d_]{2,}")
_LETTER = re.compile(r"[^\W\d_]")
# Letters beyond Latin, its ligatures and its full-width forms.
_OTHER_LETTER = re.compile(r"[^\W\d_a-zA-Z\u00aa-\u024f\u1e00-\u1eff\ufb00-\ufb06\uff21-\uff5a]")
# What English took over from Latin.
_LATIN = re.compile(r"\b(?:et\s+al|de\s+novo)\b")

# Without those that other languages write alike: a, an, in, on, no, was, me, so, as, do.
ENGLISH = frozenset(
    _WORD.findall("""
    the of and with from were are is be been being both which that this these those there than then
    after before between during without within by to at for or not nor but has have had its it his
    her their who whose when where while into over under near along about above below through
    chest lung lungs left right lower upper lobe lobes middle opacity opacities ground glass frosted
    thickening thickened air patchy shadow shadows image images show shows showed showing shown day
    days week weeks month months old year years man woman male female patients findings finding
    clear pattern line status post tube seen found noted visible absent present increased decreased
    resolved unchanged new disease
    changes change follow up likely possible due swab confirmed arrow arrows red blue yellow white
    black scan scans effusion opacification consolidative early late mild severe
    small large multiple several some many few all any other only also most more less each one two
    three first second third healthy negative positive tests tested cough fever heart
    failure peripheral view lesions nodules lines suspicion
    thin slice thick wall case cases figure panel panels same different throughout around absorbed
    """)
)

# Function words of German, French, Spanish, Portuguese, Italian, Dutch, Catalan, the Scandinavian
# languages, Polish, Czech, Croatian, Romanian, Turkish, Hungarian, Finnish, Indonesian and
# Vietnamese, without accents, and without what English or its abbreviations write alike.
_FUNCTION_WORDS = frozenset(
    _WORD.findall("""
    der das und mit ohne kein keine keinen keiner beider beiden beidseits beidseitige beidseitig im
    bei nicht ein eine einer eines einem zum zur von vom den dem ist sind sich auf nach rechts links
    zeigt wird fur uber sowie
    le les des du avec sans dans et une aux sur est sont deux au ou pas droit droite gauche chez
    el los las en del con sin una por se que ambos ambas derecho derecha izquierdo izquierda
    em com sem nao dos nos nas da uma um ao pelo pela sao foram esquerdo esquerda direito direita
    di della delle dei degli nei nel nelle nella senza gli lo alla sono entrambi destro sinistro
    de het een met zonder geen beide niet voor aan bij naar zijn rechter linker
    amb els dels dreta
    och utan uten uden inte ikke ingen og av af det till til fra begge bada hoger hojre venstre
    vanster hoyre som samt
    nie bez jest sie oraz obu pluc plucach prawego lewego na od przy
    jsou nejsou pri vpravo vlevo obou plic oboustranne bilateralne nisu nije oba su
    cu fara este sunt din ambii dreapta
    ve ile bir yok iki sag olan izlendi akciger
    es nem egy az mindket tudo
    ja ei molemmissa ovat keuhko keuhkoissa
    pada dengan tidak kedua paru yang
    va khong hai phoi thuong trai
    """)
)

# Nouns of reports, and endings, by which a text without function words tells its language.
_FOREIGN = re.compile(
    r"(?:consolidac|condensaci|opacidad|vidr[io]|deslustrad|esmerilad|fosco|despulid|verre$|depoli|"
    r"milchglas|konsolid|lungen|pulma?oes|pulmao|pulmonar(?:es)?$|pulmonaire|pulmonal$|polmon|poumon|"
    r"derrame|espessament|engrosamient|epaississ|verdick|bilaterai|bilaterale|bilateraux|vetro$|"
    r"smerigliat|addensament|ispessiment|matglas|mattglas|matglass|matovy|longkwab|longen$|"
    r"szkl|matowej|zageszcz|mleczn|buzlu|akcig|opacit(?:es?|a)$|opazit|lobulo|lobes?inferieur|"
    r"tejuveg|hidrotorax|pleuraerguss|normales?$|befund|nachweis|unauffallig|epanchement)"
    r"|(?:[a-z]{2,}(?:cao|coes|cion|ciones|zione|zioni|mente)|[a-z]{4,}ung(?:en)?|"
    r"[a-z]{3,}(?:keit|isch|ische|ischen|ischer|lich|liche|lichen|asyon|euses?))$"
)
_ENGLISH_END = re.compile(r"[a-z]{4,}(?:ed|ly|ity|ness|ous)$")
# Endings of the Latin and Greek of English reports, which many languages share.
_LEARNED = re.compile(
    r"[a-z]{2,}(?:ing|al|ary|ic|ia|sis|itis|oma|tion|sion|ions|ive|ent|ant|ar|ure|omy|us|um|ory|ogram|ograms|"
    r"graphy|ema|ectasis|gen|pathy|es|er|ers|ies)$"
)
# Accents, but for two letters that a wrong encoding makes of dashes and quotes.
_ACCENT = re.compile(r"[\u00c0\u00c1\u00c4-\u00e1\u00e4-\u00f6\u00f8-\u017f\u1e00-\u1eff]")
_LETTERS = re.compile(r"[^\W\d_]+")
_NAMES = 1  # words with an accent that an English text may have
# Words without any sign of English, of which so many make a text foreign that tells nothing else.
_UNKNOWN_BESIDE_ACCENTS = 3
_UNKNOWN = 5


def is_english(text: str) -> bool:
    """Whether `text` reads as English; names and abbreviations alone pass as that.

    It does unless most letters are of another alphabet, words of other languages outnumber the
    English ones, or nothing in it looks English.
    """
    if 2 * len(_OTHER_LETTER.findall(text)) > len(_LETTER.findall(text)):
        return False
    words = _WORD.findall(_LATIN.sub(" ", _folded(text)))
    english = [word in ENGLISH or bool(_ENGLISH_END.match(word)) for word in words]
    foreign = sum(
        word not in ENGLISH and (word in _FUNCTION_WORDS or bool(_FOREIGN.match(word)))
        for word in words
    )
    accented = sum(bool(_ACCENT.search(word)) for word in _LETTERS.findall(text))
    foreign += accented if accented > _NAMES else 0
    if any(english) or foreign:
        return foreign <= sum(english)
    unknown = [word for word in words if len(word) > 3 and not _LEARNED.match(word)]
    enough = _UNKNOWN_BESIDE_ACCENTS if accented else _UNKNOWN
    return len(unknown) < enough or 2 * len(unknown) <= len(words)


def _folded(text: str) -> str:
    """Lower case without accents; not spelt anew, which would make English words of others."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(part for part in parts if not unicodedata.combining(part))
