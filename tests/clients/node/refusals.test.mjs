// What a refusal or a failure looks like to both Node clients: which error, which code, and whether the
// client tries again. Errors decide what an application does next, so each test names the exact class.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

import { CHAT, CLAUDE, REJECTED, anthropicClient, failureOf, newKey, openaiClient, providerCalls, user } from './gateway.mjs'

const WRONG = { secret: 'lr_live_0000000000000000000000000000000000000000000' }

let key
before(async () => {
  key = await newKey()
})

/** How a chat completion fails, and how often the provider was called for it. */
async function openaiRefusal({ using = key, model = CHAT, script, ...options }) {
  const client = openaiClient(using, '/v1', options)
  let error
  const seen = await providerCalls(async () => {
    error = await failureOf(client.chat.completions.create({ model, messages: user('x', script) }))
  })
  return { error, reached: seen.length }
}

/** How a message fails, and how often the provider was called for it. */
async function anthropicRefusal({ using = key, model = CLAUDE, script, ...options }) {
  const client = anthropicClient(using, '', options)
  let error
  const seen = await providerCalls(async () => {
    error = await failureOf(client.messages.create({ model, max_tokens: 64, messages: user('x', script) }))
  })
  return { error, reached: seen.length }
}

function isOpenai({ error, reached }, kind, status, code, expected) {
  assert.equal(error.constructor, kind, String(error))
  assert.deepEqual([error.status, error.code, reached], [status, code, expected])
  assert.ok(error.requestID)
}

function isAnthropic({ error, reached }, kind, status, code, expected) {
  assert.equal(error.constructor, kind, String(error))
  assert.deepEqual([error.status, error.error.error.code, reached], [status, code, expected])
}

test('a wrong key is an authentication error', async () => {
  isOpenai(await openaiRefusal({ using: WRONG }), OpenAI.AuthenticationError, 401, 'invalid_api_key', 0)
  isAnthropic(await anthropicRefusal({ using: WRONG }), Anthropic.AuthenticationError, 401, 'invalid_api_key', 0)
})

test('an unknown model is not found', async () => {
  const model = 'no-such-model'
  isOpenai(await openaiRefusal({ model }), OpenAI.NotFoundError, 404, 'model_not_found', 0)
  isAnthropic(await anthropicRefusal({ model }), Anthropic.NotFoundError, 404, 'model_not_found', 0)
})

test('a model the key may not use is a denied permission', async () => {
  const narrow = await newKey({ allowed_models: ['gpt-4o'] })
  isOpenai(await openaiRefusal({ using: narrow }), OpenAI.PermissionDeniedError, 403, 'model_not_allowed', 0)
  isAnthropic(await anthropicRefusal({ using: narrow }), Anthropic.PermissionDeniedError, 403, 'model_not_allowed', 0)
})

test('a spent limit is a 402 that neither client repeats', async () => {
  const poor = await newKey({ limit: 0.000001 })
  let sent = 0
  const counting = (...request) => {
    sent += 1
    return fetch(...request)
  }
  const options = { using: poor, maxRetries: 5, fetch: counting }
  isOpenai(await openaiRefusal(options), OpenAI.APIError, 402, 'insufficient_quota', 0)
  assert.equal(sent, 1)
  isAnthropic(await anthropicRefusal(options), Anthropic.PaymentRequiredError, 402, 'insufficient_quota', 0)
  assert.equal(sent, 2)
})

test("the provider's rate limit is repeated and then a rate limit error", async () => {
  const options = { script: { status: 429 }, maxRetries: 2 }
  isOpenai(await openaiRefusal(options), OpenAI.RateLimitError, 429, 'upstream_rate_limited', 3)
  isAnthropic(await anthropicRefusal(options), Anthropic.RateLimitError, 429, 'upstream_rate_limited', 3)
})

test('how long the provider wants us to wait is passed on', async () => {
  const { error } = await openaiRefusal({ script: { status: 429, retry_after: '7' } })
  assert.equal(error.headers.get('retry-after'), '7')
})

test('a failure of the provider is repeated and then a server error', async () => {
  const options = { script: { status: 500 }, maxRetries: 1 }
  isOpenai(await openaiRefusal(options), OpenAI.InternalServerError, 502, 'upstream_failed', 2)
  isAnthropic(await anthropicRefusal(options), Anthropic.InternalServerError, 502, 'upstream_failed', 2)
})

test('a provider that refuses our credential does not look like a wrong key', async () => {
  const using = await newKey({}, REJECTED)
  const code = 'upstream_credential_rejected'
  const openai = await openaiRefusal({ using, baseURL: `${REJECTED}/v1` })
  assert.equal(openai.error.constructor, OpenAI.InternalServerError)
  assert.deepEqual([openai.error.status, openai.error.code], [502, code])
  const { error } = await anthropicRefusal({ using, baseURL: REJECTED })
  assert.equal(error.constructor, Anthropic.InternalServerError)
  assert.deepEqual([error.status, error.error.error.code], [502, code])
})

test('a refusal carries the id of its request', async () => {
  assert.ok((await openaiRefusal({ using: WRONG })).error.requestID)
  const { error } = await anthropicRefusal({ using: WRONG })
  assert.ok(error.requestID, 'the client reads it from `request-id`')
})
