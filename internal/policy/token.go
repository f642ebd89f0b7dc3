package policy

import (
	"time"
	"unicode"
	"unicode/utf8"

	"proofhouse/internal/proofhouse"
)

// The secrets that people hold.
var (
	tokens   = proofhouse.SecretKind{Prefix: "pht_", Word: "proofhouse token"}
	codes    = proofhouse.SecretKind{Prefix: "phc_", Word: "proofhouse code"}
	sessions = proofhouse.SecretKind{Prefix: "phs_", Word: "proofhouse session"}
)

// NewToken is a fresh API token, which is shown once; what is kept is its hash.
func NewToken() string { return tokens.New() }

// HashToken is how a token is stored, its SHA-256 in hex. ok is false for what
// NewToken cannot have made.
func HashToken(token string) (hash string, ok bool) { return tokens.Hash(token) }

// NewCode is a fresh one-time code for the first administrator.
func NewCode() string { return codes.New() }

// HashCode is HashToken for codes.
func HashCode(code string) (hash string, ok bool) { return codes.Hash(code) }

// NewSession is the secret of a fresh session of a browser, which its cookie
// holds and nobody is shown. What is kept is its hash.
func NewSession() string { return sessions.New() }

// HashSession is HashToken for sessions: neither is ever taken for the other.
func HashSession(secret string) (hash string, ok bool) { return sessions.Hash(secret) }

// Token is an API token of a person's, or a session of a browser.
type Token struct {
	ID    string `json:"id"`
	Owner string `json:"owner"`           // a name
	Label string `json:"label,omitempty"` // what the owner calls it
	// Hash is told to nobody: see HashToken. It is empty in a token that was read back.
	Hash string `json:"-"`

	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Revoked time.Time `json:"revoked,omitzero"` // zero if it was not
	// Used is the last day (UTC) on which it was used; zero if it never was.
	Used time.Time `json:"used,omitzero"`

	// From is what opened a session: the id of a token or a way. It is "" for a
	// token, which nothing opened.
	From string `json:"from,omitempty"`
	// Seen is when a session was last seen, to a minute; zero for a token.
	Seen time.Time `json:"seen,omitzero"`
}

const (
	// SessionLife is how long a session lasts at most.
	SessionLife = 12 * time.Hour
	// SessionIdle is how long it lasts without being seen.
	SessionIdle = time.Hour
	// seenEvery is how often it is noted that it was.
	seenEvery = time.Minute
)

// Session says whether t is a browser's session, which is no token for the API.
func (t Token) Session() bool { return t.From != "" }

// SeenAt is the session seen at now, and whether that needs to be noted.
func (t Token) SeenAt(now time.Time) (Token, bool) {
	at := now.UTC().Truncate(time.Microsecond)
	if at.Sub(t.Seen) < seenEvery {
		return t, false
	}
	t.Seen = at
	return t, true
}

const (
	// MaxTokenLife is how long a token lasts at most.
	MaxTokenLife = 366 * 24 * time.Hour
	maxLabel     = 100 // bytes
)

// Validate says whether a fresh token is one. The error is proofhouse.Invalid.
func (t Token) Validate() error {
	if !t.Expires.After(t.Issued) || t.Expires.Sub(t.Issued) > MaxTokenLife {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a token ends after it was made, and within %d days", int(MaxTokenLife.Hours()/24))
	}
	if len(t.Label) > maxLabel || !shows(t.Label) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a token's label has at most %d bytes, all of which show", maxLabel)
	}
	return nil
}

// Holds says whether the token is in force at now.
func (t Token) Holds(now time.Time) bool {
	return t.Revoked.IsZero() && now.Before(t.Expires) && (!t.Session() || now.Before(t.Seen.Add(SessionIdle)))
}

// UsedAt is the token used at now, and whether that is the first time on that day.
func (t Token) UsedAt(now time.Time) (Token, bool) {
	day := now.UTC().Truncate(24 * time.Hour)
	if !day.After(t.Used) {
		return t, false
	}
	t.Used = day
	return t, true
}

func (Token) kind() string       { return "token" }
func (Token) inCase() *Case      { return nil }
func (Token) approval() Approval { return Approval{} }
func (t Token) entity() Entity {
	return Entity{Type: "Token", ID: t.ID, Attrs: Attrs{"owner": t.Owner}}
}

// validReason holds a reason to what shows.
func validReason(s string) error {
	if s == "" || len(s) > maxReason || !shows(s) {
		return proofhouse.Errorf(proofhouse.Invalid, nil, "a reason is needed: 1 to %d bytes, all of which show", maxReason)
	}
	return nil
}

// shows says whether every character of s does.
func shows(s string) bool {
	for _, r := range s {
		if r != ' ' && !unicode.IsPrint(r) || hidden(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}
