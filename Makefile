# Everything a developer types. `make setup` is quick when nothing changed.
.PHONY: setup demo demo-kafka test bench lint clean
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

setup:
	@scripts/setup

demo: setup
	@./weir demo $(if $(KEEP),--keep)

demo-kafka: setup
	@./weir demo kafka $(if $(KEEP),--keep)

test: setup
	@node tests/run.ts $(TEST)

lint: setup
	@scripts/lint

bench: setup
	@node tests/sweep.ts
	@for bench in bench/*.bench.ts; do node $$bench || exit 1; done

bench-%: setup
	@node tests/sweep.ts
	@node bench/$*.bench.ts

clean:
	rm -rf build bench/results xds-ts/gen bpf/build node_modules
