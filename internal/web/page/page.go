// Package page writes the house's pages: templates, and the words that they need. It decides nothing and fetches nothing.
package page

import (
	"net/url"

	"proofhouse/internal/clearing"
)

// query is one parameter of an address.
func query(name, value string) string { return url.Values{name: {value}}.Encode() }

func nextCases(f Filter, after string) string {
	v := url.Values{"state": {f.State}, "find": {f.Find}}
	if after != "" {
		v.Set("after", after)
	}
	return v.Encode()
}

func nextFindings(state clearing.State, project, after string) string {
	return url.Values{"state": {string(state)}, "project": {project}, "after": {after}}.Encode()
}
