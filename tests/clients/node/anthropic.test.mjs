// Anthropic's Node client: messages, streams, tools, token counts, caching. How refusals look to it is
// in refusals.test.mjs, what calls cost in money.test.mjs.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import Anthropic from '@anthropic-ai/sdk'

import { CLAUDE, all, anthropicClient, endedAfter, failureOf, lastLine, newKey, providerCalls, user } from './gateway.mjs'

const WEATHER = {
  name: 'weather',
  input_schema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
  },
}
const CLOCK = { name: 'clock', input_schema: { type: 'object', properties: { zone: { type: 'string' } } } }

let client
before(async () => {
  client = anthropicClient(await newKey())
})

test('an answer is what the provider said', async () => {
  const answer = await client.messages.create({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('alpha beta gamma', { output_tokens: 4, prompt_tokens: 21 }),
  })
  assert.deepEqual(answer.content.map((block) => block.text), ['alpha beta gamma alpha'])
  assert.equal(answer.stop_reason, 'end_turn')
  assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [21, 4])
})

test('the stream helper gathers the text and the whole message', async () => {
  const stream = client.messages.stream({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('alpha beta', { output_tokens: 3, prompt_tokens: 21 }),
  })
  const pieces = []
  stream.on('text', (piece) => pieces.push(piece))
  const whole = await stream.finalMessage()
  assert.deepEqual(pieces, ['alpha', ' beta', ' alpha'])
  assert.equal(whole.content[0].text, 'alpha beta alpha')
  assert.deepEqual([whole.usage.input_tokens, whole.usage.output_tokens], [21, 3])
})

test('the events of a stream come in order', async () => {
  const stream = await client.messages.create({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('alpha beta', { output_tokens: 2 }),
    stream: true,
  })
  const types = (await all(stream)).map((event) => event.type).filter((type) => type !== 'ping')
  assert.deepEqual(types, [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ])
})

test('a stream is passed on as it comes and not at its end', async () => {
  const begun = await lastLine()
  const stream = await client.messages.create({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('early late', { chunks: 2, output_tokens: 2, chunk_gap_ms: 600 }),
    stream: true,
  })
  let said = ''
  for await (const event of stream) {
    if (event.type !== 'content_block_delta') continue
    if (said === '') assert.deepEqual(await endedAfter(begun), [], 'the provider is still speaking')
    said += event.delta.text
  }
  assert.equal(said, 'early late')
  assert.equal((await endedAfter(begun)).length, 1)
})

test('an error in the middle of a stream is thrown', async () => {
  const stream = client.messages.stream({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('half of this', { output_tokens: 8, error_midstream: true }),
  })
  assert.ok((await failureOf(stream.finalMessage())) instanceof Anthropic.APIError)
})

test('tools are called with input that fits their schemas', async () => {
  const answer = await client.messages.create({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('Oslo now', { output_tokens: 8, tool_calls: 2 }),
    tools: [WEATHER, CLOCK],
  })
  assert.equal(answer.stop_reason, 'tool_use')
  assert.deepEqual(answer.content.map((block) => block.name), ['weather', 'clock'])
  assert.equal(answer.content[0].input.days, 7)
})

test('the input of a tool is streamed in pieces', async () => {
  const stream = client.messages.stream({
    model: CLAUDE,
    max_tokens: 64,
    messages: user('Oslo', { output_tokens: 9, chunks: 6 }),
    tools: [WEATHER],
  })
  const pieces = []
  stream.on('inputJson', (piece) => pieces.push(piece))
  const { content } = await stream.finalMessage()
  assert.ok(pieces.length > 2)
  assert.deepEqual(JSON.parse(pieces.join('')), content[0].input)
})

test('tokens are counted before anything is said', async () => {
  let counted
  const seen = await providerCalls(async () => {
    counted = await client.messages.countTokens({ model: CLAUDE, messages: user('how many', { prompt_tokens: 77 }) })
  })
  assert.equal(counted.input_tokens, 77)
  assert.deepEqual(seen.map((call) => call.path), ['/v1/messages/count_tokens'])
})

test('what is marked for the cache gets there and is reported', async () => {
  const system = [{ type: 'text', text: 'A long introduction.', cache_control: { type: 'ephemeral' } }]
  let answer
  const [call] = await providerCalls(async () => {
    answer = await client.messages.create({
      model: CLAUDE,
      max_tokens: 64,
      system,
      messages: user('well', { output_tokens: 2, prompt_tokens: 1000, cached_tokens: 600, cache_write_tokens: 300 }),
    })
  })
  assert.deepEqual(JSON.parse(call.body).system, system)
  const { usage } = answer
  assert.deepEqual([usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens], [100, 600, 300])
})

test('the models are listed', async () => {
  const listed = (await all(client.models.list())).map((model) => model.id)
  assert.ok(listed.includes(CLAUDE))
})
