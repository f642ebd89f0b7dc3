//go:build ignore

// The harness sends a request through a cross-origin filter. Its policy: the
// one site named here is allowed, in any case of letters, and nobody else.
package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"

	restful "github.com/emicklei/go-restful/v3"
)

// site is the one origin that policy allows.
const site = "https://app.proof.example"

// Harness runs the library on one input.
func Harness(b []byte) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	origin := string(line)
	if strings.Trim(origin, " \t\r") != origin || strings.ContainsAny(origin, "\r\x00") || origin == "" {
		return // no header can hold it
	}
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Origin", origin)
	answer := httptest.NewRecorder()
	filter := restful.CrossOriginResourceSharing{AllowedDomains: []string{site}, CookiesAllowed: true}
	filter.Filter(restful.NewRequest(req), restful.NewResponse(answer), &restful.FilterChain{
		Target: func(*restful.Request, *restful.Response) {},
	})
	allowed := answer.Header().Get("Access-Control-Allow-Origin") != ""
	if allowed && strings.ToLower(origin) != site {
		report("forged", "a foreign origin was allowed")
	}
}
