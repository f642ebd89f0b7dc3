package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"proofhouse/internal/proofhouse"
)

// Way is a way in which a person signs in without a token: a passkey, or an
// account with a provider of identities.
type Way struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`           // a name
	Label string `json:"label,omitempty"` // what the owner calls it

	// Issuer and Subject are whose account it is elsewhere: the two together, never an address of mail. A passkey has neither.
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`

	Added time.Time `json:"added"`
	// Used is the last day (UTC) on which somebody signed in so; zero if nobody did.
	Used time.Time `json:"used,omitzero"`
	// Suspect is when there were signs that a passkey has a copy: nobody signs in with it since.
	Suspect time.Time `json:"suspect,omitzero"`

	// Hash is what it is found by: HashPasskey or HashAccount. It is empty in a way that was read back.
	Hash string `json:"-"`
	// Passkey is the credential, as what verifies it keeps it. It is told to nobody: see Shown.
	Passkey json.RawMessage `json:"passkey,omitempty"`
}

// Kind is what sort of a way it is, in a word.
func (w Way) Kind() string {
	if w.Issuer != "" {
		return "account"
	}
	return "passkey"
}

// Shown is the way without what only the house needs of it.
func (w Way) Shown() Way {
	w.Passkey, w.Hash = nil, ""
	return w
}

// HashPasskey is what a passkey is found by, given its credential's id.
func HashPasskey(id []byte) string { return hashOf("passkey", string(id)) }

// HashAccount is what an account elsewhere is found by. Accounts of two issuers are two, whatever their subjects are called.
func HashAccount(issuer, subject string) string { return hashOf("account", issuer, subject) }

func hashOf(parts ...string) string {
	b, err := json.Marshal(parts)
	if err != nil {
		panic(err) // they are strings
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// maxSubject bounds a subject, in bytes (OpenID Connect Core 1.0, section 2).
const maxSubject = 255

// Validate says whether a fresh way is one. The error is proofhouse.Invalid.
func (w Way) Validate() error {
	switch {
	case len(w.Label) > maxLabel || !shows(w.Label):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a label has at most %d bytes, all of which show", maxLabel)
	case (w.Issuer == "") != (w.Subject == ""):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "an account elsewhere is an issuer and a subject: name both")
	case len(w.Subject) > maxSubject || !shows(w.Subject) || strings.TrimSpace(w.Subject) != w.Subject:
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a subject has at most %d bytes, all of which show", maxSubject)
	case (w.Issuer == "") == (len(w.Passkey) == 0):
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a way in is a passkey or an account elsewhere")
	}
	return nil
}

func (Way) kind() string       { return "way in" }
func (Way) inCase() *Case      { return nil }
func (Way) approval() Approval { return Approval{} }

// entity is a token's: the same people may take either away.
func (w Way) entity() Entity {
	return Entity{Type: "Token", ID: w.ID, Attrs: Attrs{"owner": w.Owner}}
}
