"""Reads the files that people write: UTF-8, with or without a byte order mark."""

import codecs
from pathlib import Path

from infra.deploy import CannotDeploy

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SAVE_AS_UTF_8 = "Save it as UTF-8. In Windows PowerShell, use `Out-File -Encoding utf8` instead of `>`"


def read(path: Path) -> str:
    """Returns the text. Raises CannotDeploy if the file cannot be read or is not UTF-8 text."""
    try:
        content = path.read_bytes()
    except IsADirectoryError as error:
        raise CannotDeploy(f"{path}: this is a folder. Name a file") from error
    except OSError as error:
        raise CannotDeploy(f"{path}: cannot be read: {error.strerror}") from error
    if content.startswith(UTF_16):
        raise CannotDeploy(f"{path}: the file is in UTF-16. {SAVE_AS_UTF_8}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CannotDeploy(
            f"{path}:{line}: the file is not in UTF-8, but perhaps in Latin-1. {SAVE_AS_UTF_8}"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        is_utf_16 = text.count("\0") * 3 > len(text)  # of ASCII characters, every second byte is NUL
        raise CannotDeploy(
            f"{path}: the file is in UTF-16. {SAVE_AS_UTF_8}" if is_utf_16 else f"{path}:{line}: remove the NUL byte"
        )
    return text
