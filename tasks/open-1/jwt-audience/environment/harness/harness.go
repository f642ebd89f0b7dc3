//go:build ignore

// The harness signs the claims and lets the service "vault" check the token.
// Its policy: a token that names audiences is good only for those.
package main

import (
	"encoding/json"

	"github.com/golang-jwt/jwt"
)

var key = []byte("the issuer's and the services' key")

// elsewhere says whether the audience names services, the vault not among them.
func elsewhere(aud any) bool {
	switch a := aud.(type) {
	case string:
		return a != "" && a != "vault"
	case []any:
		for _, x := range a {
			if name, ok := x.(string); !ok || name == "" || name == "vault" {
				return false
			}
		}
		return len(a) > 0
	}
	return false
}

// Harness runs the library on one input.
func Harness(b []byte) {
	var claims jwt.MapClaims
	if json.Unmarshal(b, &claims) != nil || !elsewhere(claims["aud"]) {
		return // not claims, for everybody, or for the vault
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
	if err != nil {
		return
	}
	token, err := jwt.Parse(signed, func(*jwt.Token) (any, error) { return key, nil })
	if err != nil || !token.Valid {
		return
	}
	if got, ok := token.Claims.(jwt.MapClaims); ok && got.VerifyAudience("vault", false) {
		report("forged", "the vault accepted a token for other services")
	}
}
