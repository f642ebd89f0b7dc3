package clearing

import (
	"strings"
	"testing"

	"proofhouse/internal/proofhouse"
)

// hostileContent is of a finder who wants to be read as more than a finder.
func hostileContent(style Style) Content {
	f := Finding{
		ID: "finding-a", By: proofhouse.Actor{Organisation: "bank"},
		Claim:    Claim{Purl: "pkg:generic/x@1", AI: "[a link](https://evil.example)", Credit: "![a picture](https://evil.example/p.png) <script>", Title: "t", Marking: proofhouse.Red},
		Attempts: []AttemptRecord{{Verdict: Confirmed, Signature: "SEGV:f`*", Frames: []string{"f`*"}, Runs: 3, Broke: 3, Report: "```\n# out of the block"}},
	}
	return Content{
		Project: Project{Declaration: Declaration{Style: style}, Findings: []Finding{f}}, Cluster: Cluster{ID: f.ID, Members: []FindingID{f.ID}},
		From: f.ID, Proof: []byte("x"), Report: f.Attempts[0].Report, Contact: "Ada <ada@house.example>",
	}
}

// TestLetterOfAStranger: in Markdown nothing that a finder or a target wrote is a link with another text, a picture, a tag or the end of a block; in plain text it stands as it is.
func TestLetterOfAStranger(t *testing.T) {
	text, err := hostileContent(Markdown).Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"![", "](", " <script>", "f`*", "\n```\n```\n#"} {
		if strings.Contains(text, mark) {
			t.Errorf("the letter holds %q:\n%s", mark, text)
		}
	}
	if !strings.Contains(text, "````\n```\n# out of the block\n````") {
		t.Errorf("the report is not fenced:\n%s", text)
	}
	if text, err = hostileContent(Plain).Text(); err != nil || !strings.Contains(text, "<ada@house.example>") || strings.Contains(text, "\\") {
		t.Errorf("%v:\n%s", err, text)
	}
}
