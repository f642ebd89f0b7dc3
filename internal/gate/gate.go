// Package gate is the only way to a model: it passes requests and answers
// byte for byte between a caller who holds a scoped key and an upstream whose
// key it holds alone, and it promises that no grant is overspent, that a
// revoked one ends at once, and that the model's real name stays inside.
// Who may have a grant is for others to decide.
package gate
