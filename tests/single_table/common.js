// What the applications of this folder share: a DynamoDB client, and how they print what they wrote.
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb')

exports.DAY = 1795651200 // 2026-11-26 in seconds
exports.CARRIERS = ['DHL', 'GLS']

exports.client = (endpoint) => new DynamoDBClient({ endpoint, region: 'us-east-1' })

exports.range = (count, make) => Array.from({ length: count }, (_, n) => make(n))

// JSON has neither sets nor dates: a set is printed as {"set": [...]}.
exports.print = (written) =>
  console.log(JSON.stringify(written, (_, value) => (value instanceof Set ? { set: [...value].sort() } : value)))
