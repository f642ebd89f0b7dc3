// Package bench measures agents on tasks. A suite's tasks, times the epochs,
// are the samples of a run; an agent gets a box with the vulnerable software
// and submits inputs; the oracle says what they do; a journal that survives
// kill -9 holds every attempt. The words are Inspect's. How a box holds, what
// breaks a build and which model answers is left to sandbox, oracle and the
// Model that app hands in.
package bench
