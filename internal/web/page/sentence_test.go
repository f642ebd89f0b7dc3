package page

import "testing"

func TestSentence(t *testing.T) {
	for given, want := range map[string]string{
		"": "", "this passkey was not taken: try again, or come in another way": "This passkey was not taken: try again, or come in another way.",
		"It is there.": "It is there.", "étage": "Étage.", "is it?": "Is it?", "\"not a bug\" takes a note": "\"not a bug\" takes a note.",
	} {
		if got := Sentence(given); got != want {
			t.Errorf("%q is said as %q, want %q", given, got, want)
		}
	}
}
