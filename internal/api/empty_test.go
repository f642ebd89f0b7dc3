package api_test

import (
	"context"

	"proofhouse/internal/api"
	"proofhouse/internal/clearing"
	"proofhouse/internal/proofhouse"
)

// empty is a house without findings. What it does not have a method for is asked of nobody here: app's tests have the whole.
type empty struct{ api.Clearing }

// Project implements clearing.Store.
func (empty) Project(_ context.Context, purl string) (clearing.Project, error) {
	return clearing.Project{Purl: purl}, nil
}

// Find implements api.Clearing.
func (empty) Find(context.Context, string) (clearing.Project, int, error) {
	return clearing.Project{}, 0, proofhouse.Errorf(proofhouse.NotFound, nil, "there is nothing of that name")
}

// Findings implements api.Clearing.
func (empty) Findings(context.Context, proofhouse.OrganisationID, string, int) ([]api.Listed, string, error) {
	return nil, "", nil
}

// Projects implements api.Clearing.
func (empty) Projects(context.Context, string, int) ([]string, string, error) { return nil, "", nil }
