package app

import (
	"testing"

	"proofhouse/internal/proofhouse"
)

func TestCallersURL(t *testing.T) {
	for _, bad := range []string{"gate.example", "ftp://gate.example", "https://user:secret@gate.example", "https://gate.example?key=x", "https://gate.example/#x", "javascript:alert(1)", "http://"} {
		if got, err := callersURL(bad); proofhouse.KindOf(err) != proofhouse.Invalid {
			t.Errorf("%s is taken as %q, %v", bad, got, err)
		}
	}
	for given, want := range map[string]string{"": "", "https://gate.example/": "https://gate.example", "https://gate.example/v1": "https://gate.example", "http://10.0.0.1:8080/models": "http://10.0.0.1:8080/models"} {
		if got, err := callersURL(given); got != want || err != nil {
			t.Errorf("%s is taken as %q, %v", given, got, err)
		}
	}
}
