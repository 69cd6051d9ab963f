"""Items of our own with the keys and attribute names of single-table designs that AWS publishes as examples."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Item = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A design, the block `Entities` for it, and its items by the type that each must have. None: the rest."""

    name: str
    key: dict[str, str]
    entities: dict[str, Any]
    items: dict[str | None, list[Item]]
    placeholders: dict[str, list[dict[str, str | None]]]  # their values, by type, in the order of its items

    def __str__(self) -> str:
        return self.name


# "An online shop" of aws-samples/amazon-dynamodb-design-patterns: a stamp, and keys that begin with a few letters.
# `w#` begins the sort key of two types.
ONLINE_SHOP = Example(
    name="online-shop",
    key={"PK": "S", "SK": "S"},
    entities={
        "by": "EntityType",
        "types": {
            "warehouseItem": {"name": "stock", "when": {"PK": "p#{product}", "SK": "w#{warehouse}"}},
            "orderItem": {"when": {"PK": "o#{order_id}"}},
            "invoice": {"omit": True},
        },
    },
    items={
        "customer": [
            {"PK": "c#7001", "SK": "c#7001", "EntityType": "customer", "Email": "ada@example.com", "Name": "Ada"},
            {"PK": "c#7002", "SK": "c#7002", "EntityType": "customer", "Email": "bob@example.com", "Name": "Bob"},
        ],
        "product": [
            {
                "PK": "p#301",
                "SK": "p#301",
                "EntityType": "product",
                "Detail": {"Name": "Kettle", "Description": "1.7 liters"},
                "Price": "35",
            },
        ],
        "warehouse": [
            {"PK": "w#1", "SK": "w#1", "EntityType": "warehouse", "Address": {"Country": "Austria", "City": "Linz"}},
        ],
        "warehouseItem": [
            {"PK": "p#301", "SK": "w#1", "EntityType": "warehouseItem", "Quantity": "12", "GSI2-PK": "w#1"},
            {"PK": "p#302", "SK": "w#1", "EntityType": "warehouseItem", "Quantity": "0", "GSI2-PK": "w#1"},
        ],
        "orderItem": [
            {
                "PK": "o#9001",
                "SK": "p#301",
                "EntityType": "orderItem",
                "Quantity": "2",
                "Price": "35",
                "GSI1-PK": "p#301",
                "GSI1-SK": "2026-10-01T08:15:00",
            },
        ],
        "shipment": [
            {
                "PK": "o#9001",
                "SK": "sh#41",
                "EntityType": "shipment",
                "Type": "Express",
                "Address": {"Country": "Austria", "City": "Wels"},
                "Date": "2026-10-02T10:00:00",
            },
        ],
        "invoice": [{"PK": "o#9001", "SK": "i#501", "EntityType": "invoice", "Amount": "70"}],
    },
    placeholders={
        "warehouseItem": [{"product": "301", "warehouse": "1"}, {"product": "302", "warehouse": "1"}],
        "orderItem": [{"order_id": "9001"}],
    },
)

# "Complaint management" of aws-samples/aws-dynamodb-examples: no stamp. One type has a fixed sort key, one a pattern.
COMPLAINTS = Example(
    name="complaint-management",
    key={"PK": "S", "SK": "S"},
    entities={
        "types": {
            "complaint": {"name": "complaints", "when": {"PK": "Complaint{complaint}", "SK": "metadata"}},
            "communication": {"when": {"SK": "comm#{at}#{comm}"}},
        },
        "rest": "unknown",
    },
    items={
        "complaint": [
            {
                "PK": "Complaint801",
                "SK": "metadata",
                "customer_id": "custK",
                "current_state": "waiting",
                "severity": "P2",
                "escalated_to": "AgentZ",
            },
            {"PK": "Complaint802", "SK": "metadata", "customer_id": "custL", "current_state": "resolved"},
        ],
        "communication": [
            {
                "PK": "Complaint801",
                "SK": "comm#2026-09-01T07:30:00#comm21",
                "complaint_state": "investigating",
                "agentID": "AgentY",
                "attachments": {"s3://example/1", "s3://example/2"},
            },
        ],
        None: [{"PK": "Complaint803", "SK": "comm#2026-09-02T07:30:00", "comm_text": "without an id"}],
    },
    placeholders={
        "complaint": [{"complaint": "801"}, {"complaint": "802"}],
        "communication": [{"at": "2026-09-01T07:30:00", "comm": "comm21"}],
    },
)

# "Recurring payments" of aws-samples/aws-dynamodb-examples: the text before the first # of the sort key is the type.
RECURRING_PAYMENTS = Example(
    name="recurring-payments",
    key={"PK": "S", "SK": "S"},
    entities={
        "by": {"key": "SK", "before": "#"},
        "types": {
            "SUB": {"name": "subscriptions", "when": {"PK": "ACC#{account}", "SK": "SUB#{subscription}#SKU#{sku}"}},
            "REC": {"name": "receipts", "when": {"PK": "ACC#{account}", "SK": "REC#{processed}#SKU#{sku}"}},
        },
    },
    items={
        "SUB": [
            {
                "PK": "ACC#51",
                "SK": "SUB#6#SKU#77",
                "Email": "ada@example.com",
                "PaymentDay": Decimal(28),
                "PaymentAmount": Decimal("12.99"),
                "NextPaymentDate": "2026-12-28",
            },
            {"PK": "ACC#52", "SK": "SUB#7#77", "Email": "bob@example.com", "PaymentDay": Decimal(1)},
        ],
        "REC": [
            {
                "PK": "ACC#51",
                "SK": "REC#2026-11-28T10:10:27.110Z#SKU#77",
                "Email": "ada@example.com",
                "ProcessedAmount": Decimal("12.99"),
                "TTL": Decimal(1795651200),
            },
        ],
    },
    placeholders={
        "SUB": [
            {"account": "51", "subscription": "6", "sku": "77"},
            {"account": None, "subscription": None, "sku": None},
        ],
        "REC": [{"account": "51", "processed": "2026-11-28T10:10:27.110Z", "sku": "77"}],
    },
)

EXAMPLES = [ONLINE_SHOP, COMPLAINTS, RECURRING_PAYMENTS]
