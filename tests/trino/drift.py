"""The items of a table at five exports, whose attributes come, go and change their type."""

from acceptance.zoo import number, text


def record(**fields):
    return {"M": fields}


DRIFT = [
    [
        {
            "id": text("1"),
            "price": number("1"),
            "gone": text("bye"),
            "place": record(city=text("Ulm")),
            "flag": text("x"),
        },
        {"id": text("2"), "price": number("-7"), "tags": {"SS": ["a"]}, "blank": {"NULL": True}},
    ],
    [
        {
            "id": text("1"),
            "price": number("9.99"),
            "came": {"BOOL": True},
            "place": record(city=text("Bonn"), zip=number("53111")),
        },
        {"id": text("3"), "tags": {"SS": ["b", "a"]}, "blank": number("5")},
    ],
    [
        {"id": text("1"), "price": text("free"), "place": record(area=record(size=number("1.25")), zip=text("X1"))},
        {"id": text("2"), "tags": {"L": [number("1"), text("b")]}, "flag": {"BOOL": False}, "gone": text("back")},
    ],
    [
        {"id": text("2"), "price": number("12345678901234567890.5"), "place": text("nowhere")},
        {"id": text("4"), "came": {"B": "AP8="}, "list": {"L": [record(sku=text("s")), record(qty=number("2"))]}},
    ],
    [],
]
