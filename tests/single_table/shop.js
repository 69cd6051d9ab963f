// Writes a shop with ElectroDB: `shop.js ENDPOINT TABLE put|remove ENTITY...`. Prints the items of each entity as JSON.
const { CARRIERS, DAY, client, print, range } = require('./common')
const { Entity } = require('electrodb')

const [endpoint, table, action, ...entities] = process.argv.slice(2)

const string = { type: 'string', required: true }
const number = { type: 'number', required: true }
const sparse = (type) => ({ type })
const key = (field, composite) => ({ field, composite })

const map = (properties) => ({ type: 'map', properties })
const list = (items) => ({ type: 'list', items })
const place = map({ city: string, street: sparse('string'), geo: map({ lat: number, lon: number }) })
const line = map({ sku: string, quantity: number, options: list({ type: 'string' }) })

// Of each entity: its attributes, its keys (partition, sort), the keys of an index if it has one, and its items.
const MODELS = {
  user: {
    attributes: {
      userId: string, email: string, name: string, status: string, address: place,
      roles: { type: 'set', items: 'string' }, phones: list({ type: 'string' }), referrer: sparse('string'),
    },
    keys: [['userId'], []],
    index: [['email'], []],
    items: range(20, (n) => ({
      userId: `u-${n}`,
      email: `user${n}@example.com`,
      name: `User ${n}`,
      status: n % 7 ? 'active' : 'blocked',
      address: { city: ['Rome', 'Bonn', 'Oslo'][n % 3], geo: { lat: 41.5 + n, lon: -12.25 }, ...(n % 2 && { street: `Via ${n}` }) },
      roles: n % 4 ? new Set(['buyer']) : new Set(['admin', 'buyer']),
      phones: range(n % 3, (i) => `+39 ${n} ${i}`),
      ...(n % 5 === 1 && { referrer: 'u-0' }),
    })),
  },
  order: {
    attributes: {
      userId: string, orderId: string, placedAt: number, status: number, total: number, currency: string,
      shipTo: place, gift: sparse('boolean'), coupon: sparse('string'),
    },
    keys: [['userId'], ['orderId']],
    index: [['status'], ['placedAt']],
    items: range(120, (n) => ({
      userId: `u-${n % 20}`,
      orderId: `o-${n}`,
      placedAt: DAY + n * 3600,
      status: [10, 20, 30][n % 3],
      total: (1999 + 100 * n) / 100,
      currency: 'EUR',
      shipTo: { city: 'Ulm', geo: { lat: 48.4, lon: 10 } },
      ...(n % 10 === 0 && { gift: n % 20 === 0 }),
      ...(n % 12 === 0 && { coupon: 'SPRING' }),
    })),
  },
  orderLine: {
    attributes: { orderId: string, lineNumber: number, sku: string, quantity: number, price: number, note: sparse('string') },
    keys: [['orderId'], ['lineNumber']],
    items: range(360, (n) => ({
      orderId: `o-${n % 120}`,
      lineNumber: 1 + Math.floor(n / 120),
      sku: `s-${n % 30}`,
      quantity: 1 + (n % 4),
      price: (n % 30) / 4,
      ...(n % 50 === 0 && { note: `line ${n}, "wrapped"` }),
    })),
  },
  product: {
    attributes: {
      sku: string, title: string, price: number, tags: { type: 'set', items: 'string' }, weights: { type: 'set', items: 'number' },
      dimensions: map({ width: number, height: number }), details: { type: 'any' }, status: sparse('boolean'),
    },
    keys: [['sku'], []],
    items: range(30, (n) => ({
      sku: `s-${n}`,
      title: `Product ${n}`,
      price: n / 4,
      tags: new Set(['new', `tag-${n % 3}`]),
      weights: new Set([n, n + 0.5]),
      dimensions: { width: 10 + n, height: 2.5 },
      details: n % 2 ? { colors: ['red', 'blue'], care: { washable: true } } : { colors: [] },
      ...(n % 3 === 0 && { status: n % 6 === 0 }),
    })),
  },
  review: {
    attributes: { sku: string, userId: string, stars: number, text: sparse('string'), verified: { type: 'boolean' } },
    keys: [['sku'], ['userId']],
    items: range(40, (n) => ({
      sku: `s-${n % 30}`,
      userId: `u-${n % 19}`,
      stars: 1 + (n % 5),
      verified: n % 2 === 0,
      ...(n % 3 && { text: `Review ${n}: naïve, 評価` }),
    })),
  },
  cart: {
    attributes: { userId: string, updatedAt: number, lines: list(line) },
    keys: [['userId'], []],
    items: range(3, (n) => ({
      userId: `u-${n}`,
      updatedAt: DAY + n,
      lines: range(n, (i) => ({ sku: `s-${i}`, quantity: i + 1, options: ['gift'] })),
    })),
  },
  payment: {
    attributes: { orderId: string, paymentId: string, status: string, method: string, amount: number },
    keys: [['orderId'], ['paymentId']],
    items: range(60, (n) => ({
      orderId: `o-${n}`,
      paymentId: `p-${n}`,
      status: n % 9 ? 'captured' : 'refused',
      method: n % 2 ? 'card' : 'transfer',
      amount: (1999 + 100 * n) / 100,
    })),
  },
  shipment: {
    attributes: {
      orderId: string, shipmentId: string, status: number, carrier: { type: CARRIERS },
      parcels: list(map({ kilograms: number, code: string })),
    },
    keys: [['orderId'], ['shipmentId']],
    items: range(25, (n) => ({
      orderId: `o-${n}`,
      shipmentId: `h-${n}`,
      status: n % 4,
      carrier: CARRIERS[n % 2],
      parcels: range(1 + (n % 2), (i) => ({ kilograms: 1.5 + i, code: `P${n}-${i}` })),
    })),
  },
  coupon: {
    attributes: { code: string, percent: number, skus: { type: 'set', items: 'string' }, until: sparse('string') },
    keys: [['code'], []],
    items: range(3, (n) => ({ code: ['SPRING', 'SUMMER', 'WINTER'][n], percent: 5 * n, skus: new Set([`s-${n}`]), ...(n && { until: '2026-12-31' }) })),
  },
  warehouse: {
    attributes: { warehouseId: string, location: place, open: { type: 'boolean' } },
    keys: [['warehouseId'], []],
    items: range(3, (n) => ({ warehouseId: `w-${n}`, location: { city: 'Graz', geo: { lat: 47, lon: 15.4 } }, open: n > 0 })),
  },
  stock: {
    attributes: { warehouseId: string, sku: string, quantity: number, shelf: sparse('string') },
    keys: [['warehouseId'], ['sku']],
    items: range(90, (n) => ({ warehouseId: `w-${Math.floor(n / 30)}`, sku: `s-${n % 30}`, quantity: n, ...(n % 4 === 0 && { shelf: `A${n}` }) })),
  },
  audit: {
    attributes: { day: string, entry: number, actor: string, payload: { type: 'any' } },
    keys: [['day'], ['entry']],
    items: range(50, (n) => ({ day: '2026-11-26', entry: n, actor: `u-${n % 20}`, payload: [n, `n-${n}`, { n: `${n}` }, [n]][n % 4] })),
  },
  giftCard: {
    attributes: { cardId: string, balance: number, status: string },
    keys: [['cardId'], []],
    items: range(4, (n) => ({ cardId: `g-${n}`, balance: 25 * n, status: n ? 'issued' : 'used' })),
  },
}

function entityOf(name) {
  const { attributes, keys, index } = MODELS[name]
  const primary = { pk: key('pk', keys[0]), sk: key('sk', keys[1]) }
  const second = index && { index: 'gsi1', pk: key('gsi1pk', index[0]), sk: key('gsi1sk', index[1]) }
  const indexes = { primary, ...(second && { second }) }
  const model = { entity: name, version: '1', service: 'shop' }
  return new Entity({ model, attributes, indexes }, { table, client: client(endpoint) })
}

async function main() {
  for (const name of entities) {
    const { items, keys } = MODELS[name]
    const entity = entityOf(name)
    const names = keys.flat()
    const removed = items.map((item) => Object.fromEntries(names.map((each) => [each, item[each]])))
    const { unprocessed } = await (action === 'remove' ? entity.delete(removed) : entity.put(items)).go()
    if (unprocessed.length) throw new Error(`${unprocessed.length} items of ${name} are unprocessed`)
  }
  print(Object.fromEntries(entities.map((name) => [name, MODELS[name].items])))
}

main()
