// That Weir counts what the provider reported to the Node clients, and that a limit holds against them.
// The provider's log is believed, never Weir. Prices and caches are in the Python suite's test_money.py.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { CHAT, CLAUDE, all, anthropicClient, calls, newKey, openaiClient, providerCalls, say, usageByModel, user } from './gateway.mjs'

/** The tokens that the provider reported, read and written, by model. */
function reported(seen) {
  const tokens = {}
  for (const { model, usage_reported: usage } of seen) {
    tokens[model] ??= [0, 0]
    tokens[model][0] += usage.input_tokens ?? usage.prompt_tokens
    tokens[model][1] += usage.output_tokens ?? usage.completion_tokens ?? 0
  }
  return tokens
}

test('usage is the sum of what the provider reported', async () => {
  const key = await newKey()
  const client = openaiClient(key)
  const claude = anthropicClient(key)
  const { completions } = client.chat
  const seen = await providerCalls(async () => {
    await completions.create({ model: CHAT, messages: user('plain', { output_tokens: 11, prompt_tokens: 101 }) })
    await all(
      await completions.create({
        model: CHAT,
        messages: user('streamed', { output_tokens: 13, prompt_tokens: 103 }),
        stream: true,
      }),
    )
    await client.responses.create({ model: CHAT, input: say('response', { output_tokens: 19, prompt_tokens: 109 }) })
    await all(
      await client.responses.create({
        model: CHAT,
        input: say('events', { output_tokens: 23, prompt_tokens: 113 }),
        stream: true,
      }),
    )
    await client.embeddings.create({ model: 'text-embedding-3-small', input: ['some text', 'and more of it'] })
    await claude.messages.create({
      model: CLAUDE,
      max_tokens: 64,
      messages: user('message', { output_tokens: 31, prompt_tokens: 131 }),
    })
    await claude.messages
      .stream({ model: CLAUDE, max_tokens: 64, messages: user('stream', { output_tokens: 37, prompt_tokens: 137 }) })
      .done()
  })
  const expected = reported(seen)
  assert.equal(seen.length, 7)
  assert.deepEqual(expected[CHAT], [101 + 103 + 109 + 113, 11 + 13 + 19 + 23])
  assert.deepEqual(expected[CLAUDE], [131 + 137, 31 + 37])
  await calls(key, 7)
  const { models, totals } = await usageByModel(key)
  const told = Object.fromEntries(Object.entries(models).map(([model, row]) => [model, [row.input_tokens, row.output_tokens]]))
  assert.deepEqual(told, expected)
  assert.equal(totals.calls, 7)
})

test('a limit holds against many calls at once', async () => {
  const key = await newKey({ limit: 0.01 })
  const client = openaiClient(key, '/v1', { maxRetries: 2 })
  let statuses
  const seen = await providerCalls(async () => {
    statuses = await Promise.all(
      Array.from({ length: 40 }, async (_, number) => {
        const question = {
          model: CHAT,
          messages: user(`call ${number}`, { output_tokens: 1000 }),
          max_completion_tokens: 1000,
          stream: number % 2 === 0,
        }
        try {
          const answer = await client.chat.completions.create(question)
          if (question.stream) await all(answer)
          return 200
        } catch (error) {
          return error.status
        }
      }),
    )
  })
  const served = statuses.filter((status) => status === 200).length
  assert.deepEqual([...new Set(statuses)].sort(), [200, 402])
  assert.equal(seen.length, served, 'what was refused never reached the provider')
  const [read, written] = reported(seen)[CHAT]
  // In billionths of a dollar, so that nothing is rounded: 0.15 and 0.60 per million tokens.
  assert.ok(read * 150 + written * 600 <= 10_000_000)
})
