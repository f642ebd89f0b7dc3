// Package query is the house's SQL and the Go that sqlc makes of it. It
// promises the same on SQLite and PostgreSQL, and leaves transactions, kinds
// of error and the parts' own types to store.
package query
