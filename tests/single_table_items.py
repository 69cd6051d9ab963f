"""Items of single-table designs, made from a seed."""

import random
from itertools import count


class Shop:
    """Twelve types of items. The sort keys of orders and their lines begin alike."""

    def __init__(self, seed=7):
        self._random = random.Random(seed)
        self._numbers = count()
        self.types = []  # of the items that were made, in their order

    def items(self, number, stamp=None):
        weights = {"user": 5, "profile": 5, "order": 20, "line": 40, "payment": 10, "shipment": 8} | {
            "product": 10, "review": 10, "config": 3, "like": 5, "follow": 5, "coupon": 3
        }  # fmt: skip
        self.types = self._random.choices([*weights], [*weights.values()], k=number)
        return [self.item(type) | ({stamp: {"S": type}} if stamp else {}) for type in self.types]

    def item(self, type):
        user, order, other = self._id(), self._id(), self._id()
        pk, sk, own = {
            "user": (f"USER#{user}", f"USER#{user}", "email name"),
            "profile": (f"USER#{user}", "PROFILE", "bio avatar"),
            "order": (f"USER#{user}", f"ORDER#{order}", "status total"),
            "line": (f"ORDER#{order}", f"ORDER#{order}#LINE#{next(self._numbers)}", "article quantity"),
            "payment": (f"ORDER#{order}", f"PAYMENT#{other}", "amount method"),
            "shipment": (f"ORDER#{order}", "SHIPMENT#2026-11-01T10:00:00Z", "carrier tracking"),
            "product": (f"PRODUCT#{other}", "META#", "price title"),
            "review": (f"PRODUCT#{other}", f"REVIEW#{user}", "stars text"),
            "config": ("CONFIG", f"CONFIG#{other}", "settings"),
            "like": (f"USER#{user}", f"LIKE#{other}", ""),
            "follow": (f"USER#{user}", f"FOLLOW#{other}", ""),
            "coupon": (f"COUPON#{other}", f"COUPON#{other}", "percent"),
        }[type]
        names = [
            "created",
            "version",
            *own.split(),
            *(["paid"] if type == "order" and self._random.random() < 0.5 else []),
        ]
        return {"pk": {"S": pk}, "sk": {"S": sk}} | {name: {"N": "1"} for name in names}

    def _id(self):
        return f"{self._random.randrange(16**12):012x}"
