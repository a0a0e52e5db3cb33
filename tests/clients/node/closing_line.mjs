// A reporter for node's test runner: a mark for every test that passed, the reason of every one that
// did not, and one closing line that counts them. What is tested is in the other files.

export default async function* closingLine(events) {
  let passed = 0
  let failed = 0
  let skipped = 0
  const begun = performance.now()
  for await (const { type, data } of events) {
    // What only groups tests is no test.
    if (data?.details?.type === 'suite') continue
    if (type === 'test:pass' && data.name.endsWith('.test.mjs')) {
      // A file is only reported in its own name when nothing in it was.
      failed += 1
      yield `\nFAIL: ${data.name} has no tests\n`
    } else if (type === 'test:pass') {
      if (data.skip !== undefined || data.todo !== undefined) skipped += 1
      else passed += 1
      yield '.'
    } else if (type === 'test:fail') {
      failed += 1
      const { error } = data.details
      const cause = error.cause ?? error
      yield `\nFAIL: ${data.name} (${data.file})\n${cause.stack ?? cause}\n`
    } else if (type === 'test:stderr') {
      yield data.message
    }
  }
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  yield `\nnode: ${passed} passed, ${failed} failed, ${skipped} skipped in ${seconds} s\n`
  if (passed === 0 || failed > 0) process.exitCode = 1
}
