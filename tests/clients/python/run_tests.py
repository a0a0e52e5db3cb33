"""Runs every test of this folder and closes with one line that says how many passed and failed.

`unittest` alone counts what it ran and would be content with nothing at all.
"""

import pathlib
import sys
import time
import unittest

begun = time.monotonic()
here = pathlib.Path(__file__).parent
suite = unittest.defaultTestLoader.discover(str(here), pattern=sys.argv[1] if len(sys.argv) > 1 else "test_*.py")
result = unittest.TextTestRunner(verbosity=1).run(suite)
# A test with several parts may fail in several of them, and is one test all the same.
broken = [test for test, _ in result.failures + result.errors] + result.unexpectedSuccesses
failed = len({getattr(test, "test_case", test) for test in broken})
passed = result.testsRun - failed - len(result.skipped)
print(f"python: {passed} passed, {failed} failed, {len(result.skipped)} skipped in {time.monotonic() - begun:.1f} s")
sys.exit(0 if failed == 0 and passed > 0 else 1)
