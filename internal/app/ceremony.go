package app

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"sync"
	"time"

	"proofhouse/internal/proofhouse"
)

// ceremonies are the questions that the house has asked browsers and not heard
// back of. A browser carries its own, sealed under a key that this process made, so that
// strangers who begin many fill nothing; what is remembered are those that were
// answered well, until they would have ended by themselves. Safe for concurrent use.
type ceremonies struct {
	aead cipher.AEAD

	mu    sync.Mutex
	spent map[string]time.Time // by challenge; until when
}

// ceremonyLife is how long a browser may take to answer.
const ceremonyLife = 10 * time.Minute

func newCeremonies() (*ceremonies, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &ceremonies{aead: aead, spent: map[string]time.Time{}}, nil
}

// ceremony is what a browser carries.
type ceremony struct {
	Ends time.Time       `json:"ends"`
	Says json.RawMessage `json:"says"`
}

// begin seals says for a browser, as a ceremony of that kind and no other.
func (c *ceremonies) begin(kind string, says any, now time.Time) (string, error) {
	b, err := json.Marshal(says)
	if err != nil {
		return "", err
	}
	if b, err = json.Marshal(ceremony{now.Add(ceremonyLife), b}); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, b, []byte(kind))), nil
}

var errCeremony = proofhouse.Errorf(proofhouse.Refused, nil, "that took too long, or was answered already: try again")

// open reads into says what begin sealed. One that ended, was spent, is of another
// kind or of another process is proofhouse.Refused.
func (c *ceremonies) open(kind, sealed string, says any, now time.Time) (ends time.Time, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return ends, errCeremony
	}
	b, err := c.aead.Open(nil, nil, raw, []byte(kind))
	if err != nil {
		return ends, errCeremony
	}
	var is ceremony
	if err := json.Unmarshal(b, &is); err != nil {
		return ends, err
	}
	if !now.Before(is.Ends) {
		return ends, errCeremony
	}
	return is.Ends, json.Unmarshal(is.Says, says)
}

// spend notes that a challenge was answered well. The second time is proofhouse.Refused.
func (c *ceremonies) spend(challenge string, ends, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until, there := c.spent[challenge]; there && now.Before(until) {
		return errCeremony
	}
	for k, until := range c.spent {
		if !now.Before(until) {
			delete(c.spent, k)
		}
	}
	c.spent[challenge] = ends
	return nil
}
