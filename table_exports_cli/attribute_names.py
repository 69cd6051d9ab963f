"""What the name of an attribute says about its values."""

import re
from itertools import pairwise

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of created_at, createdAt and userID

OF_TIMES = """
at on time times date datetime timestamp ts ttl epoch since until created updated modified changed deleted expires
expire expired expiry expiration started ended completed finished seen login visit mtime ctime atime createdat
updatedat modifiedat deletedat expiresat lastmodified createdon updatedon
"""
OF_PERSONS = """
email emails mail phone phones mobile fax tel telephone passport passports ssn birthplace address addresses street zip
zipcode postcode iban ip ipv4 ipv6 surname lastname firstname fullname forename nickname username gender salary password
nationality religion ethnicity license licence fingerprint
"""
PAIRS_OF_PERSONS = """
first name, last name, full name, given name, family name, middle name, maiden name, user name, customer name,
contact name, person name, owner name, holder name, card number, credit card, account number, national id, tax id,
social security, postal code, post code, e mail
"""
AT_THE_END = """
count verified enabled confirmed status type valid version size sent opened template
"""  # of a name of something that is not personal, such as email_verified, although another word in it is
NO_TIME_AT_THE_END = frozenset({"id", "ids", "count", "number", "no", "num", "key", "hash", "version", "size", "bytes"})
BIRTH = frozenset({"birth", "birthday", "birthdate", "dob"})

TIME_WORDS = frozenset(OF_TIMES.split())
PERSONAL_WORDS = frozenset(OF_PERSONS.split())
PERSONAL_PAIRS = frozenset(tuple(pair.split()) for pair in PAIRS_OF_PERSONS.split(","))
NOT_PERSONAL_AT_THE_END = TIME_WORDS | {*AT_THE_END.split()}


def looks_like_time(name: str) -> bool:
    words = _words(name)
    return bool(words) and words[-1] not in NO_TIME_AT_THE_END and not TIME_WORDS.isdisjoint(words)


def looks_personal(name: str) -> bool:
    words = _words(name)
    if not BIRTH.isdisjoint(words):
        return True
    if not words or words[-1] in NOT_PERSONAL_AT_THE_END:
        return False
    return not (PERSONAL_WORDS.isdisjoint([*words, "".join(words)]) and PERSONAL_PAIRS.isdisjoint(pairwise(words)))


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]
