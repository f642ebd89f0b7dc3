# The two commands of the README are run and test; help lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN     := bin/proofhouse
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
SQLC    := go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1
TEMPL   := go run github.com/a-h/templ/cmd/templ@v0.3.977
LDFLAGS := -s -w -X proofhouse/internal/app.Version=$(VERSION)
# -vcs is off so that an export without version control builds too. Builds, lint and tests without the race detector share what was compiled.
export GOFLAGS := -buildvcs=false -trimpath
# The race detector watches all but SQLite, a C program translated to Go, in which it took a third of the tests' time. This package has
# no generic code: the linker keeps one copy of that for all, and an unwatched copy made races where there were none.
RACE    := -race -gcflags='modernc.org/sqlite/lib=-race=false'
# These compile and run hundreds of programs, or try every rule, byte or history: watched, they take three to five times as long, and what
# they do side by side, shorter tests do under watch. The two of docket's are cut short there.
LONG    := TestPlanted|TestMatrixPruned|TestTenBecomeOne|TestEveryRuleCounts|TestBundleEveryByte

.PHONY: help run test check bench generate clean build

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## install what is missing, build, take a review from its opening to a bundle that verifies, write the report
	@./install run
ifndef NO_INSTALL
	@$(MAKE) --no-print-directory build
	@./review
endif

build:
	@CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/proofhouse
	@echo "built $(BIN) ($$(du -h $(BIN) | cut -f1))"

test: ## install what is missing and run all Go tests with the race detector, and without it the long ones and 10,000 cases
	@./install test
	go test $(RACE) -skip '^($(LONG))$$' -timeout 45m $$(go list ./... | grep -v /planted$$)
	CGO_ENABLED=0 go test -timeout 30m -run '^($(LONG)|TestWalk|TestHistories)$$' ./internal/docket ./internal/clearing ./internal/policy ./internal/ledger
	CGO_ENABLED=0 go test -timeout 30m ./internal/clearing/planted
	CGO_ENABLED=0 go test -timeout 30m -run '^$$' -bench '^BenchmarkList$$' -benchtime 1x ./internal/app # every page of 10,000 cases, on both databases

check: export CGO_ENABLED = 0
check: ## vet, lint, tidy modules, generated files unchanged
	@./install check
	go vet ./...
	go mod tidy -diff
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0 run ./...
	cd internal/store && $(SQLC) diff
	@t=$$(mktemp -d) && trap 'rm -rf "$$t"' EXIT && cp -r internal/web "$$t" && $(TEMPL) generate -log-level error -path "$$t/web" && diff -r "$$t/web" internal/web \
		|| { echo 'the pages differ from their templates: make generate'; exit 1; }

bench: ## the benchmarks of docs/performance.md
	@./install test
	bench/run

generate: ## rewrite golden files, derived documents and the Go of queries and pages: read the diff
	cd internal/store && $(SQLC) generate
	$(TEMPL) generate -log-level error -path internal/web
	go test ./... -run 'Golden|README' -update

clean: ## remove what was built here; the data folder stays (proofhouse version prints where it is)
	rm -rf bin out
