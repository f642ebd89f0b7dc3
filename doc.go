// Package proofhouse is a map of the source and nothing else.
//
// The command is cmd/proofhouse. The parts lie under internal/, and imports go
// down only, from cli to app to store, api and web, to bench, clearing and
// referral, to docket, gate and oracle, to target, to sandbox, ledger, policy,
// vault and chat, to proofhouse; layering_test.go holds the table. The suites
// that ship lie under tasks/ as data. ARCHITECTURE.md says what the house is
// and what can never happen in it.
package proofhouse
