"""The languages of the model by code."""

from testmodel.english import ENGLISH
from testmodel.mandarin import MANDARIN
from testmodel.vocabulary import Language

LANGUAGES: dict[str, Language] = {language.code: language for language in (ENGLISH, MANDARIN)}
