package clearing

// FindingID names a finding: "finding-" and random letters.
type FindingID string
