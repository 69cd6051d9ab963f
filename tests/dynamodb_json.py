"""An item with a value of every type of DynamoDB, as boto3 takes it and in DynamoDB's JSON."""

EVERY_TYPE = {
    "id": {"S": "1"},
    "number": {"N": "12345678901234567890123456789012345678"},
    "binary": {"B": b"\x00\xff"},
    "yes": {"BOOL": True},
    "nothing": {"NULL": True},
    "list": {"L": [{"S": "ä"}, {"B": b"x"}, {"L": []}]},
    "map": {"M": {"deep": {"M": {"binary": {"B": b"deep"}}}, "Süß 名": {"N": "-0.5"}}},
    "strings": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2.5"]},
    "binaries": {"BS": [b"a", b"b"]},
}
AS_TEXT = EVERY_TYPE | {
    "binary": {"B": "AP8="},
    "list": {"L": [{"S": "ä"}, {"B": "eA=="}, {"L": []}]},
    "map": {"M": {"deep": {"M": {"binary": {"B": "ZGVlcA=="}}}, "Süß 名": {"N": "-0.5"}}},
    "binaries": {"BS": ["YQ==", "Yg=="]},
}
