"""Text to phonemes by espeak-ng's pronunciation rules, through the library that the corpus `espeak` speaks with."""

import _ctypes
import ctypes
import re
from collections.abc import Sequence

from secateur.core.errors import SecateurError

VOICES = {"en": "en-us", "es": "es-419"}
"""Voices that are not called like the language: as the default corpus' voices speak."""
_RETRIEVAL_MODE, _CHARS_UTF8 = 2, 1  # from espeak-ng's speak_lib.h
_IPA = 0x02
_SEPARATOR = "|"
_MARKS = re.compile(r"\([a-z-]+\)|[ˈˌ\-\"^]")
"""Language switches, stress, and marks of espeak-ng that are not IPA."""


def phonemes(texts: Sequence[str], language: str) -> list[tuple[str, ...]]:
    """The phonemes of each text (IPA, e.g. `eɪ` and `tʃ` are one each), without stress.

    The library is loaded afresh, and let go, like in `speech.corpora.espeak`: its state is the process'. Raises
    SecateurError for a language that espeak-ng does not know.
    """
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    voice = VOICES.get(language, language)
    try:
        rate = library.espeak_Initialize(_RETRIEVAL_MODE, 0, espeakng_loader.get_data_path().encode(), 0)
        if rate <= 0 or library.espeak_SetVoiceByName(voice.encode()):
            raise SecateurError(
                f"pr: espeak-ng has no voice {voice!r}; leave {language!r} out of ssl[].tasks.pr.languages"
            )
        spoken = [_spoken(library, text) for text in texts]
        library.espeak_Terminate()
    finally:
        _ctypes.dlclose(library._handle)
    return spoken


def _spoken(library: ctypes.CDLL, text: str) -> tuple[str, ...]:
    buffer = ctypes.create_string_buffer(text.encode())
    rest = ctypes.c_void_p(ctypes.addressof(buffer))
    mode = _IPA | ord(_SEPARATOR) << 8
    clauses = []
    while rest.value:  # espeak-ng translates one clause at a time and moves on
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, mode) or b"")
    return tuple(filter(None, re.split(rf"[{_SEPARATOR}\s]+", _MARKS.sub("", b" ".join(clauses).decode()))))
