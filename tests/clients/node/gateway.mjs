// The Weir under test and the provider behind it: where they are, how a key is made, and what each
// of them says happened. Which clients are tested, and what is expected of them, is in the tests.

import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'

export const WEIR = process.env.WEIR_URL
/** Another Weir, whose credentials the provider does not accept. */
export const REJECTED = process.env.WEIR_REJECTED_URL
const PROVIDER = process.env.PROVIDER_URL
const MASTER = process.env.WEIR_MASTER_KEY

export const CHAT = 'gpt-4o-mini'
export const CLAUDE = 'claude-haiku-4-5'

/** A new key: its hash and its secret. The fields are those of `POST /api/v1/keys`. */
export async function newKey(fields = {}, weir = WEIR) {
  const made = await administer('POST', '/api/v1/keys', { name: 'node clients', ...fields }, weir)
  return { hash: made.data.hash, secret: made.key }
}

/** What Weir says was used with `key`: rows by model, and `totals`. */
export async function usageByModel(key) {
  const answer = await administer('GET', `/api/v1/usage?group_by=model&key=${key.hash}`)
  return { models: Object.fromEntries(answer.data.map((row) => [row.model, row])), totals: answer.totals }
}

/**
 * Weir's rows for the calls of `key`, newest first, once there are `expected` of them: a call is
 * written down after its last byte has left, so that a client can be quicker.
 */
export async function calls(key, expected) {
  return onceThereAre(expected, async () => (await administer('GET', `/api/v1/usage/calls?key=${key.hash}`)).data)
}

/** Weir's rows for one request, once there is one. */
export async function callsWithId(requestId) {
  const path = `/api/v1/usage/calls?request_id=${requestId}`
  return onceThereAre(1, async () => (await administer('GET', path)).data)
}

/** A user message that makes the provider answer with `words`, over and over, as scripted. */
export function say(words, script = {}) {
  return `<<${JSON.stringify(script)}>> ${words}`
}

/** The same as the only message of a conversation. */
export function user(words, script = {}) {
  return [{ role: 'user', content: say(words, script) }]
}

/** What the provider has recorded of each request that ended while `action` ran. */
export async function providerCalls(action) {
  const before = await lastLine()
  await action()
  return endedAfter(before)
}

/** The number of the last line in the provider's log. */
export async function lastLine() {
  return (await log(0)).at(-1)?.line ?? 0
}

/** What the provider has recorded of each request that has ended since, once it is `expected`. */
export async function endedAfter(line, expected = 0) {
  return onceThereAre(expected, async () => (await log(line)).filter((entry) => entry.event === 'end'))
}

/** OpenAI's client. It repeats nothing unless a test wants it to: then a failure is seen once. */
export function openaiClient(key, base = '/v1', options = {}) {
  return new OpenAI({ baseURL: WEIR + base, apiKey: key.secret, maxRetries: 0, ...options })
}

/** Anthropic's client, which puts `/v1` behind its base URL itself. */
export function anthropicClient(key, base = '', options = {}) {
  return new Anthropic({ baseURL: WEIR + base, apiKey: key.secret, maxRetries: 0, ...options })
}

/** Everything that comes out of a stream. */
export async function all(stream) {
  const seen = []
  for await (const each of stream) seen.push(each)
  return seen
}

/** The error that `promise` fails with. */
export async function failureOf(promise) {
  const nothing = Symbol('nothing')
  const error = await promise.then(() => nothing, (reason) => reason)
  if (error === nothing) throw new Error('it was expected to fail, and did not')
  return error
}

async function onceThereAre(expected, look) {
  const deadline = Date.now() + 5000
  for (;;) {
    const seen = await look()
    if (seen.length >= expected || Date.now() > deadline) return seen
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function log(after) {
  return (await fetch(`${PROVIDER}/__log?after=${after}`)).json()
}

async function administer(method, path, body, weir = WEIR) {
  const answer = await fetch(weir + path, {
    method,
    headers: { authorization: `Bearer ${MASTER}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}
