// The rest of OpenAI's API with its Node client: responses, embeddings, moderations, images, sound,
// models, files and batches. Chat is in openai_chat.test.mjs.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import OpenAI, { toFile } from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'

import { CHAT, all, failureOf, newKey, openaiClient, providerCalls, say } from './gateway.mjs'

const WEATHER = {
  type: 'function',
  name: 'weather',
  strict: false,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
}
const CLOCK = { type: 'function', name: 'clock', strict: false, parameters: { type: 'object', properties: {} } }
const EMBEDDER = 'text-embedding-3-small'

let client
before(async () => {
  client = openaiClient(await newKey())
})

test('a response is what the provider said', async () => {
  const answer = await client.responses.create({
    model: CHAT,
    input: say('alpha beta', { output_tokens: 3, prompt_tokens: 14 }),
  })
  assert.equal(answer.output_text, 'alpha beta alpha')
  assert.deepEqual([answer.usage.input_tokens, answer.usage.output_tokens], [14, 3])
})

test('the events of a stream lead to the completed response', async () => {
  const stream = await client.responses.create({
    model: CHAT,
    input: say('alpha beta', { output_tokens: 2, prompt_tokens: 14 }),
    stream: true,
  })
  const events = await all(stream)
  assert.deepEqual(events.map((event) => event.type), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ])
  const { response } = events.at(-1)
  assert.equal(response.output[0].content[0].text, 'alpha beta')
  assert.deepEqual([response.usage.input_tokens, response.usage.output_tokens], [14, 2])
})

test('the stream helper gathers the whole response', async () => {
  const stream = client.responses.stream({ model: CHAT, input: say('gather this', { output_tokens: 2 }) })
  assert.equal((await stream.finalResponse()).output_text, 'gather this')
})

test('tools are called in parallel, whole and streamed', async () => {
  const question = {
    model: CHAT,
    input: say('Oslo', { output_tokens: 8 }),
    tools: [WEATHER, CLOCK],
    parallel_tool_calls: true,
  }
  const { output } = await client.responses.create(question)
  assert.deepEqual(output.map((call) => [call.type, call.name]), [['function_call', 'weather'], ['function_call', 'clock']])
  assert.deepEqual(JSON.parse(output[0].arguments), { city: 'Oslo' })
  const events = await all(await client.responses.create({ ...question, stream: true }))
  const done = events.filter((event) => event.type === 'response.function_call_arguments.done')
  assert.deepEqual(done.map((event) => JSON.parse(event.arguments)), [{ city: 'Oslo' }, {}])
})

test('a structured response is parsed by its zod schema', async () => {
  const answer = await client.responses.parse({
    model: CHAT,
    input: say('Oslo', { output_tokens: 6 }),
    text: { format: zodTextFormat(z.object({ city: z.string(), days: z.number() }), 'forecast') },
  })
  assert.deepEqual(answer.output_parsed, { city: 'Oslo', days: 7.5 })
})

test('a stored response is found, continued and deleted', async () => {
  const first = await client.responses.create({ model: CHAT, input: say('first', { output_tokens: 1, prompt_tokens: 10 }) })
  assert.equal((await client.responses.retrieve(first.id)).output_text, 'first')
  const second = await client.responses.create({
    model: CHAT,
    input: say('second', { output_tokens: 1, prompt_tokens: 10 }),
    previous_response_id: first.id,
  })
  assert.equal(second.usage.input_tokens, 21, 'what was said before is read again')
  await client.responses.delete(first.id)
  assert.ok((await failureOf(client.responses.retrieve(first.id))) instanceof OpenAI.NotFoundError)
})

test('vectors are the same packed and as floats', async () => {
  const question = { model: EMBEDDER, input: ['a text', 'another'] }
  let packed, floats
  const seen = await providerCalls(async () => {
    packed = await client.embeddings.create(question)
    floats = await client.embeddings.create({ ...question, encoding_format: 'float' })
  })
  assert.deepEqual(seen.map((call) => JSON.parse(call.body).encoding_format), ['base64', 'float'])
  assert.deepEqual(packed.data.map((item) => item.embedding.length), [1536, 1536])
  for (const [at, { embedding }] of packed.data.entries()) {
    assert.deepEqual(Float32Array.from(embedding), Float32Array.from(floats.data[at].embedding))
  }
})

test('texts are judged', async () => {
  const answer = await client.moderations.create({ model: 'omni-moderation-latest', input: 'kill the process' })
  assert.equal(answer.results[0].flagged, true)
  const harmless = await client.moderations.create({ model: 'omni-moderation-latest', input: ['tea', 'cake'] })
  assert.deepEqual(harmless.results.map((result) => result.flagged), [false, false])
})

test('pictures are made and edited', async () => {
  const made = await client.images.generate({ model: 'gpt-image-1', prompt: 'a dot', n: 2, quality: 'low', size: '1024x1024' })
  const pictures = made.data.map((picture) => Buffer.from(picture.b64_json, 'base64'))
  assert.deepEqual(pictures.map((picture) => picture.toString('latin1', 1, 4)), ['PNG', 'PNG'])
  const edited = await client.images.edit({
    model: 'gpt-image-1',
    prompt: 'a line',
    image: await toFile(pictures[0], 'dot.png', { type: 'image/png' }),
    quality: 'low',
  })
  assert.equal(edited.usage.input_tokens_details.image_tokens, 323)
})

test('speech is the bytes the provider sent', async () => {
  const answer = await client.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'Good morning' })
  const sound = Buffer.from(await answer.arrayBuffer())
  assert.equal(sound.toString('latin1', 0, 3), 'ID3')
  assert.equal(sound.length, 4 + 100 * 'Good morning'.length)
  assert.equal(answer.headers.get('content-type'), 'audio/mpeg')
})

test('a recording is written down, whole and streamed', async () => {
  const recording = Buffer.alloc(64_000, 7)
  const prompt = say('good day', { output_tokens: 2 })
  let answer
  const [call] = await providerCalls(async () => {
    answer = await client.audio.transcriptions.create({
      model: 'whisper-1',
      file: await toFile(recording, 'talk.mp3', { type: 'audio/mpeg' }),
      prompt,
    })
  })
  assert.equal(answer.text, 'good day')
  assert.ok(call.body_bytes > recording.length)
  const stream = await client.audio.transcriptions.create({
    model: 'gpt-4o-mini-transcribe',
    file: await toFile(recording, 'talk.wav', { type: 'audio/wav' }),
    prompt,
    stream: true,
  })
  const events = await all(stream)
  assert.deepEqual(events.map((event) => event.type), ['transcript.text.delta', 'transcript.text.delta', 'transcript.text.done'])
  assert.equal(events.at(-1).text, 'good day')
})

test('the models are listed and each is found', async () => {
  const listed = (await all(client.models.list())).map((model) => model.id)
  assert.ok(listed.includes(CHAT))
  assert.equal((await client.models.retrieve(CHAT)).id, CHAT)
  const error = await failureOf(client.models.retrieve('no-such-model'))
  assert.ok(error instanceof OpenAI.NotFoundError)
})

test('a key sees the models it may use and no others', async () => {
  const narrow = openaiClient(await newKey({ allowed_models: [CHAT] }))
  const listed = (await all(narrow.models.list())).map((model) => model.id)
  assert.ok(listed.includes(CHAT))
  assert.ok(!listed.includes('gpt-4o'))
})

test('a file is uploaded, found, read and deleted', async () => {
  const content = Buffer.from('{"custom_id": "1"}\r\n\0\xff tail\r\n', 'latin1')
  const made = await client.files.create({ file: await toFile(content, 'lines.jsonl'), purpose: 'batch' })
  assert.deepEqual([made.filename, made.bytes, made.purpose], ['lines.jsonl', content.length, 'batch'])
  assert.ok((await all(client.files.list())).some((file) => file.id === made.id))
  assert.equal((await client.files.retrieve(made.id)).id, made.id)
  assert.deepEqual(Buffer.from(await (await client.files.content(made.id)).arrayBuffer()), content)
  assert.equal((await client.files.delete(made.id)).deleted, true)
  assert.ok((await failureOf(client.files.retrieve(made.id))) instanceof OpenAI.NotFoundError)
})

test('a batch is made, found and cancelled', async () => {
  const file = await client.files.create({ file: await toFile(Buffer.from('{}\n'), 'lines.jsonl'), purpose: 'batch' })
  const made = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  assert.equal((await client.batches.retrieve(made.id)).input_file_id, file.id)
  assert.equal((await client.batches.cancel(made.id)).status, 'cancelling')
})
