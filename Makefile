# What a developer types. `python3 manage.py up` and `python3 manage.py test` need none of it.
PY := .venv/bin/python

.PHONY: check fmt lock shots bench crash interop

check:  ## lint, types, templates, import contract, missing migrations
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m djlint --quiet --lint templates
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PY) manage.py makemigrations --check --dry-run

fmt:  ## put code into its usual shape
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock:  ## pin every dependency by hash, without naming a registry
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url pyproject.toml --group test -o requirements-test.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group interop -o requirements-interop.txt

shots:  ## screenshots of every page, both themes, desktop and phone
	$(PY) -m bench.shots

bench:  ## measured figures, printed as ratios
	$(PY) -m bench

crash:  ## longer rounds of the crash tests, and of those of real runs
	CRASH_ROUNDS=20 $(PY) manage.py test -m crash
	FAILURES=1000 CRASH_ROUNDS=6 $(PY) manage.py test tests/crash/test_failures.py
	STORM=10000 $(PY) manage.py test tests/alerts/test_storm.py
	PERMUTATIONS=10 $(PY) manage.py test tests/detectors/test_fold.py
	APPROVALS=200 $(PY) manage.py test tests/approvals/test_races.py
	IMPORT_EVERY=1 IMPORT_AGAIN_EVERY=1 $(PY) manage.py test tests/traces/test_import.py

interop:  ## run real clients of OpenTelemetry, and a maker of odd requests, against the product
	$(PY) manage.py test tests/interop/test_clients.py tests/interop/test_any_request.py
