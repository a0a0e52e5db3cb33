// That both Node clients wait where waiting helps, and do not where it does not: their automatic
// repeats must neither hammer a key that is spent nor give up on one that is free again in a moment.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

import { CHAT, CLAUDE, anthropicClient, calls, newKey, openaiClient, user } from './gateway.mjs'

/** One request every two seconds. */
const SLOW = [{ unit: 'requests', amount: 1, window: { kind: 'rolling', seconds: 2 } }]

/** Both clients, each with a key of its own; `sent` counts what they send, repeats and all. */
async function each(fields, maxRetries, check) {
  for (const [errors, make, create] of [
    [OpenAI, openaiClient, (client, question) => client.chat.completions.create({ model: CHAT, ...question })],
    [Anthropic, anthropicClient, (client, question) => client.messages.create({ model: CLAUDE, ...question })],
  ]) {
    const key = await newKey(fields)
    let sent = 0
    const counting = (...request) => {
      sent += 1
      return fetch(...request)
    }
    const client = make(key, undefined, { maxRetries, fetch: counting })
    const ask = (max_tokens, script) => create(client, { max_tokens, messages: user('hello', script) })
    await check({ key, errors, ask, sent: () => sent })
  }
}

test('a rate is waited for as long as it takes, and no longer', async () => {
  await each({ limits: SLOW }, 2, async ({ key, ask, sent }) => {
    await ask(8)
    const begun = Date.now()
    await ask(8)
    const waited = Date.now() - begun
    assert.equal(sent(), 3)
    assert.ok(waited > 1000 && waited < 4000, `${waited} ms`)
    assert.equal((await calls(key, 2)).length, 2)
  })
})

/** Spends all that a key has; the refusal in the end is sent once, and leaves no row. */
async function untilRefused({ key, ask, sent }) {
  let error
  let before
  for (let tries = 0; tries < 50 && !error; tries += 1) {
    before = sent()
    error = await ask(400, { output_tokens: 400 }).then(() => undefined, (reason) => reason)
  }
  assert.ok(before > 0)
  assert.equal(sent() - before, 1)
  assert.equal(error.headers.get('x-should-retry'), 'false')
  assert.equal((await calls(key, before)).length, before)
  return error
}

test('tokens that come back tomorrow are asked for once', async () => {
  await each({ daily_token_limit: 2000 }, 5, async (one) => {
    const error = await untilRefused(one)
    assert.equal(error.constructor, one.errors.RateLimitError, String(error))
    assert.match(JSON.stringify(error.error), /rate_limit_exceeded/)
  })
})

test('money that is spent is asked for once', async () => {
  await each({ limit: 0.006 }, 5, async (one) => {
    assert.equal((await untilRefused(one)).status, 402)
  })
})
