"""The languages that the site is translated into: those that have a folder of texts and one of formats."""

from pathlib import Path

from django.conf.global_settings import LANGUAGES
from django.utils.translation import to_locale

_HERE = Path(__file__).resolve().parent.parent


def translated() -> frozenset[str]:
    """Return the codes of the languages, without what tells a country: `en`, `de`, `pt`, `zh_Hans`."""
    texts = {folder.parent.name for folder in _HERE.glob("locale/*/LC_MESSAGES")}
    formats = {module.parent.name for module in _HERE.glob("formats/*/formats.py")}
    return frozenset(texts & formats | {"en"})  # the language of the texts in the code


def language(text: str) -> str:
    """Parse a language code, such as `en-gb`; one that the site has no texts for is refused."""
    code = text.strip().lower()
    known = translated()
    # Django asks the whole code, and then the language without its country.
    if code in dict(LANGUAGES) and {to_locale(code), code.partition("-")[0]} & known:
        return code
    raise ValueError(f"{text!r} is no language that the site is translated into: {', '.join(sorted(known))}")
