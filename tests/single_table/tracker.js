// Writes a task tracker with dynamodb-onetable: `tracker.js ENDPOINT TABLE`. Prints the items of each model as JSON.
const { DAY, client, print, range } = require('./common')
const { Table } = require('dynamodb-onetable')
const { Dynamo } = require('dynamodb-onetable/Dynamo')

const [endpoint, name] = process.argv.slice(2)

const key = (value) => ({ type: String, value })
const required = (type) => ({ type, required: true })

const schema = {
  format: 'onetable:1.1.0',
  version: '0.0.1',
  indexes: { primary: { hash: 'pk', sort: 'sk' }, gs1: { hash: 'gs1pk', sort: 'gs1sk', project: 'all' } },
  models: {
    Account: {
      pk: key('account#${id}'),
      sk: key('account#'),
      id: required(String),
      name: required(String),
      balance: { type: Number },
      plan: { type: Object, schema: { seats: required(Number), options: { type: Array } } },
    },
    User: {
      pk: key('account#${accountId}'),
      sk: key('user#${id}'),
      gs1pk: key('user#${email}'),
      gs1sk: key('user#'),
      accountId: required(String),
      id: required(String),
      email: { type: String, required: true, unique: true }, // The library writes an item of its own for each.
      status: required(String),
      labels: { type: Set },
      nickname: { type: String },
    },
    Project: {
      pk: key('account#${accountId}'),
      sk: key('project#${id}'),
      accountId: required(String),
      id: required(Number),
      status: required(Number),
      archived: { type: Boolean },
    },
    Task: {
      pk: key('project#${projectId}'),
      sk: key('task#${id}'),
      projectId: required(Number),
      id: required(String),
      status: required(Boolean),
      due: { type: Date },
      steps: { type: Array },
    },
    Comment: {
      pk: key('project#${projectId}'),
      sk: key('task#${taskId}#comment#${id}'),
      projectId: required(Number),
      taskId: required(String),
      id: required(Number),
      text: required(String),
    },
  },
  params: { isoDates: true, timestamps: false },
}

const items = {
  Account: range(3, (n) => ({ id: `a${n}`, name: `Account ${n}`, ...(n && { balance: -1.25 * n }), plan: { seats: n, options: ['sso', n] } })),
  User: range(12, (n) => ({
    accountId: `a${n % 3}`,
    id: `u${n}`,
    email: `user${n}@example.com`,
    status: n % 5 ? 'active' : 'invited',
    labels: new Set(n % 2 ? ['lead', 'night'] : ['day']),
    ...(n % 4 === 0 && { nickname: `Nick ${n}` }),
  })),
  Project: range(6, (n) => ({ accountId: `a${n % 3}`, id: n, status: 100 + n, ...(n === 5 && { archived: true }) })),
  Task: range(150, (n) => ({
    projectId: n % 6,
    id: `t${n}`,
    status: n % 3 === 0,
    ...(n % 2 && { due: new Date((DAY + n * 86400) * 1000) }),
    steps: range(n % 3, (i) => ({ title: `Step ${i}`, minutes: i + 0.5 })),
  })),
  Comment: range(40, (n) => ({ projectId: n % 6, taskId: `t${n}`, id: n, text: n % 2 ? `Comment ${n}` : `multi\nline "${n}"` })),
}

async function main() {
  const table = new Table({ client: new Dynamo({ client: client(endpoint) }), name, schema, partial: false, logger: false })
  for (const [model, written] of Object.entries(items)) {
    for (const item of written) await table.create(model, item)
  }
  const unique = items.User.map(({ email }) => ({ pk: `_unique#User#email#${email}`, sk: '_unique#' }))
  print({ ...items, _Unique: unique })
}

main()
