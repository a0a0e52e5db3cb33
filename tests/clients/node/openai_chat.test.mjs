// Chat completions with OpenAI's Node client: text, streams, tools, structured output, and the legacy
// completions. What they cost is in money.test.mjs.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'

import { CHAT, all, endedAfter, failureOf, lastLine, newKey, openaiClient, providerCalls, say, user } from './gateway.mjs'

const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
    },
  },
}
const CLOCK = {
  type: 'function',
  function: { name: 'clock', parameters: { type: 'object', properties: { zone: { type: 'string' } } } },
}
const Forecast = z.object({ city: z.string(), days: z.number(), rain: z.boolean() })
const LEGACY = 'gpt-3.5-turbo-instruct'

let client
before(async () => {
  client = openaiClient(await newKey())
})

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')

test('an answer is what the provider said', async () => {
  const answer = await client.chat.completions.create({
    model: CHAT,
    messages: user('alpha beta gamma', { output_tokens: 4, prompt_tokens: 21 }),
  })
  assert.equal(answer.choices[0].message.content, 'alpha beta gamma alpha')
  assert.equal(answer.choices[0].finish_reason, 'stop')
  assert.equal(answer.usage.prompt_tokens, 21)
  assert.equal(answer.usage.completion_tokens, 4)
})

test('text outside ASCII arrives as it was said, whole and in pieces', async () => {
  const words = 'grüße 東京 мир'
  const answer = await client.chat.completions.create({ model: CHAT, messages: user(words, { output_tokens: 3 }) })
  assert.equal(answer.choices[0].message.content, words)
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user(words, { output_tokens: 3, split: 5 }),
    stream: true,
  })
  assert.equal(text(await all(stream)), words)
})

test('a stream adds up to what the provider said', async () => {
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user('alpha beta gamma', { output_tokens: 5 }),
    stream: true,
  })
  const chunks = await all(stream)
  assert.equal(text(chunks), 'alpha beta gamma alpha beta')
  assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop')
})

test('a stream is passed on as it comes and not at its end', async () => {
  const begun = await lastLine()
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user('early late', { chunks: 2, output_tokens: 2, chunk_gap_ms: 600 }),
    stream: true,
  })
  let said = ''
  for await (const chunk of stream) {
    const word = chunk.choices[0]?.delta.content ?? ''
    if (word === 'early') assert.deepEqual(await endedAfter(begun), [], 'the provider is still speaking')
    said += word
  }
  assert.equal(said, 'early late')
  assert.equal((await endedAfter(begun)).length, 1)
})

test('usage is not streamed unless it was asked for', async () => {
  for (const options of [{}, { stream_options: { include_usage: false } }]) {
    const stream = await client.chat.completions.create({
      model: CHAT,
      messages: user('hush', { output_tokens: 3 }),
      stream: true,
      ...options,
    })
    const chunks = await all(stream)
    assert.ok(chunks.length > 3)
    assert.deepEqual(chunks.filter((chunk) => chunk.usage || chunk.choices.length === 0), [])
  }
})

test('usage is streamed last when it was asked for', async () => {
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user('count me', { output_tokens: 6, prompt_tokens: 33 }),
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await all(stream)
  const last = chunks.pop()
  assert.deepEqual(chunks.filter((chunk) => chunk.usage !== null), [])
  assert.deepEqual(last.choices, [])
  assert.deepEqual([last.usage.prompt_tokens, last.usage.completion_tokens], [33, 6])
})

test('the stream helper gathers the whole answer', async () => {
  const stream = client.chat.completions.stream({ model: CHAT, messages: user('gather these words', { output_tokens: 3 }) })
  const pieces = []
  stream.on('content', (piece) => pieces.push(piece))
  assert.equal(await stream.finalContent(), 'gather these words')
  assert.equal(pieces.join(''), 'gather these words')
})

test('an error in the middle of a stream is thrown', async () => {
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user('half of this is missing', { output_tokens: 8, error_midstream: true }),
    stream: true,
  })
  assert.ok((await failureOf(all(stream))) instanceof OpenAI.APIError)
})

test('a tool is called with arguments that fit its schema', async () => {
  const answer = await client.chat.completions.create({
    model: CHAT,
    messages: user('Oslo please', { output_tokens: 9 }),
    tools: [WEATHER],
  })
  const [choice] = answer.choices
  assert.equal(choice.finish_reason, 'tool_calls')
  assert.equal(choice.message.content, null)
  assert.deepEqual(choice.message.tool_calls.map((call) => call.function.name), ['weather'])
  assert.equal(JSON.parse(choice.message.tool_calls[0].function.arguments).days, 7)
})

test('the arguments of parallel tools are streamed in pieces', async () => {
  const stream = await client.chat.completions.create({
    model: CHAT,
    messages: user('Oslo now', { output_tokens: 12, chunks: 8 }),
    tools: [WEATHER, CLOCK],
    parallel_tool_calls: true,
    stream: true,
  })
  const gathered = {}
  let pieces = 0
  for await (const chunk of stream) {
    for (const call of chunk.choices[0].delta.tool_calls ?? []) {
      gathered[call.index] ??= { name: call.function.name, text: '' }
      gathered[call.index].text += call.function.arguments ?? ''
      pieces += 1
    }
  }
  assert.ok(pieces > 4)
  assert.deepEqual(Object.values(gathered).map((call) => call.name), ['weather', 'clock'])
  assert.deepEqual(Object.keys(JSON.parse(gathered[0].text)).sort(), ['city', 'days'])
  assert.deepEqual(Object.keys(JSON.parse(gathered[1].text)), ['zone'])
})

test('the tool runner calls the function and gets an answer in words', async () => {
  const asked = []
  const runner = client.chat.completions.runTools({
    model: CHAT,
    messages: user('Oslo please', { output_tokens: 2 }),
    tools: [
      {
        type: 'function',
        function: {
          ...WEATHER.function,
          parse: JSON.parse,
          function: (question) => {
            asked.push(question)
            return 'rain'
          },
        },
      },
    ],
  })
  assert.equal(await runner.finalContent(), 'Oslo please')
  assert.deepEqual(asked.map((question) => question.days), [7])
})

test('a structured answer is parsed by its zod schema', async () => {
  const answer = await client.chat.completions.parse({
    model: CHAT,
    messages: user('Oslo', { output_tokens: 12 }),
    response_format: zodResponseFormat(Forecast, 'forecast'),
  })
  assert.deepEqual(answer.choices[0].message.parsed, { city: 'Oslo', days: 7.5, rain: true })
})

test('a structured answer is parsed from a stream', async () => {
  const stream = client.chat.completions.stream({
    model: CHAT,
    messages: user('Oslo', { output_tokens: 12 }),
    response_format: zodResponseFormat(Forecast, 'forecast'),
  })
  const answer = await stream.finalChatCompletion()
  assert.deepEqual(answer.choices[0].message.parsed, { city: 'Oslo', days: 7.5, rain: true })
})

test('the body a provider gets is the one the client sent', async () => {
  const body = {
    model: CHAT,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: [{ type: 'text', text: say('as it was', { output_tokens: 2 }) }] },
    ],
    temperature: 0.25,
    logit_bias: { 50256: -100 },
  }
  const [call] = await providerCalls(() => client.chat.completions.create(body))
  assert.deepEqual(JSON.parse(call.body), body)
})

test('a prompt is completed, whole and streamed', async () => {
  const prompt = say('once upon', { output_tokens: 2, prompt_tokens: 9 })
  const answer = await client.completions.create({ model: LEGACY, prompt })
  assert.equal(answer.choices[0].text, 'once upon')
  assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [9, 2])
  const plain = await all(await client.completions.create({ model: LEGACY, prompt, stream: true }))
  assert.equal(plain.map((chunk) => chunk.choices[0].text).join(''), 'once upon')
  assert.deepEqual(plain.filter((chunk) => chunk.usage), [])
  const counted = await all(
    await client.completions.create({ model: LEGACY, prompt, stream: true, stream_options: { include_usage: true } }),
  )
  assert.equal(counted.at(-1).usage.completion_tokens, 2)
})
