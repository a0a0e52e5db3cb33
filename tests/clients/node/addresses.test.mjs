// Where a client finds Weir and how it shows its key: base URLs, environment, headers, request ids.
// What is answered there is in the other files.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

import { CHAT, CLAUDE, WEIR, anthropicClient, calls, callsWithId, failureOf, newKey, openaiClient, providerCalls, user } from './gateway.mjs'

let key
before(async () => {
  key = await newKey()
})

const question = () => user('here I am', { output_tokens: 3 })

async function saidByOpenai(client) {
  const answer = await client.chat.completions.create({ model: CHAT, messages: question() })
  return answer.choices[0].message.content
}

async function saidByAnthropic(client) {
  const answer = await client.messages.create({ model: CLAUDE, max_tokens: 64, messages: question() })
  return answer.content[0].text
}

test("both base URLs serve OpenAI's client", async () => {
  for (const base of ['/v1', '/api/v1']) assert.equal(await saidByOpenai(openaiClient(key, base)), 'here I am', base)
})

test("both base URLs serve Anthropic's client", async () => {
  for (const base of ['', '/api']) assert.equal(await saidByAnthropic(anthropicClient(key, base)), 'here I am', base)
})

test('the environment is all that either client needs', async (context) => {
  const ours = {
    OPENAI_BASE_URL: `${WEIR}/v1`,
    OPENAI_API_KEY: key.secret,
    ANTHROPIC_BASE_URL: WEIR,
    ANTHROPIC_API_KEY: key.secret,
  }
  Object.assign(process.env, ours)
  context.after(() => Object.keys(ours).forEach((name) => delete process.env[name]))
  assert.equal(await saidByOpenai(new OpenAI()), 'here I am')
  assert.equal(await saidByAnthropic(new Anthropic()), 'here I am')
})

test("Anthropic's client may show the key as a bearer token", async () => {
  const client = new Anthropic({ baseURL: WEIR, apiKey: null, authToken: key.secret, maxRetries: 0 })
  assert.equal(await saidByAnthropic(client), 'here I am')
})

test("OpenAI's client may show the key in other headers", async () => {
  for (const name of ['api-key', 'x-api-key']) {
    const defaultHeaders = { Authorization: null, [name]: key.secret }
    const client = new OpenAI({ baseURL: `${WEIR}/v1`, apiKey: 'not sent', defaultHeaders, maxRetries: 0 })
    const [call] = await providerCalls(async () => assert.equal(await saidByOpenai(client), 'here I am', name))
    assert.equal(call.credential, 'openai')
  }
})

test('no key at all is an authentication error', async () => {
  const defaultHeaders = { Authorization: null }
  const client = new OpenAI({ baseURL: `${WEIR}/v1`, apiKey: 'not sent', defaultHeaders, maxRetries: 0 })
  const error = await failureOf(saidByOpenai(client))
  assert.ok(error instanceof OpenAI.AuthenticationError)
  assert.equal(error.code, 'missing_api_key')
})

test('the provider never sees the key', async () => {
  const seen = await providerCalls(async () => {
    await saidByOpenai(openaiClient(key))
    await saidByAnthropic(anthropicClient(key))
  })
  assert.deepEqual(seen.map((call) => call.credential), ['openai', 'anthropic'])
  for (const call of seen) {
    assert.ok(![call.secret_seen, ...Object.values(call.headers)].includes(key.secret.slice(-4)))
  }
})

test("OpenAI's client knows the id of its request", async () => {
  const answer = await openaiClient(key).chat.completions.create({ model: CHAT, messages: question() })
  const rows = await callsWithId(answer._request_id)
  assert.deepEqual(rows.map((row) => [row.model, row.status]), [[CHAT, 200]])
})

test("Anthropic's client knows the id of its request", async () => {
  const answer = await anthropicClient(key).messages.create({ model: CLAUDE, max_tokens: 64, messages: question() })
  assert.ok(answer._request_id, 'the client reads it from `request-id`')
  assert.equal((await callsWithId(answer._request_id))[0].model, CLAUDE)
})

test('raw answers show what the call cost and its id', async () => {
  const own = await newKey()
  const { data, response, request_id } = await openaiClient(own)
    .chat.completions.create({ model: CHAT, messages: user('raw', { output_tokens: 100, prompt_tokens: 1000 }) })
    .withResponse()
  assert.equal(data.usage.completion_tokens, 100)
  assert.equal(response.headers.get('x-request-id'), request_id)
  const [row] = await calls(own, 1)
  const cost = Number(response.headers.get('x-weir-cost-usd'))
  assert.ok(cost > 0)
  assert.equal(Number(row.cost), cost)
})
