package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"proofhouse/internal/gate"
	"proofhouse/internal/proofhouse"
	"proofhouse/internal/vault"
)

// answerMax bounds what a guard's server may answer, in bytes.
const answerMax = 1 << 20

// codeMax bounds a reason that goes into the record, in bytes.
const codeMax = 40

// codeLetters are all that a reason may be made of.
const codeLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:"

// remote is a server that is asked with POST and JSON.
type remote struct {
	url    string
	key    vault.Secret // "" sends none
	client *http.Client
}

func newRemote(address string, key vault.Secret) (remote, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return remote{}, proofhouse.Errorf(proofhouse.Invalid, nil, "a guard's address is like http://127.0.0.1:8000/judge")
	}
	return remote{u.String(), key, &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("a guard does not send texts on to others")
		},
	}}, nil
}

// Quick implements gate.Guard.
func (remote) Quick() bool { return false }

// post asks with the JSON of question and reads the JSON of the answer.
func (r remote) post(ctx context.Context, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("asking a guard: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("asking a guard: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+string(r.key))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return fmt.Errorf("asking a guard: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return fmt.Errorf("reading a guard's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("a guard answered with status %d", resp.StatusCode)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("reading a guard's answer: %w", err)
	}
	return nil
}

// Moderation asks an OpenAI-compatible moderation endpoint; what it flags is cut.
type Moderation struct {
	remote
	model string
}

// NewModeration asks model at base, such as http://127.0.0.1:8000/v1.
func NewModeration(base, model string, key vault.Secret) (Moderation, error) {
	r, err := newRemote(strings.TrimSuffix(base, "/")+"/moderations", key)
	return Moderation{r, model}, err
}

// Judge implements gate.Guard.
func (m Moderation) Judge(ctx context.Context, i gate.Inspection) (gate.Judgement, error) {
	var said struct {
		Results []struct {
			Flagged    *bool           `json:"flagged"`
			Categories map[string]bool `json:"categories"`
		} `json:"results"`
	}
	question := map[string]any{"input": string(i.Text)}
	if m.model != "" {
		question["model"] = m.model
	}
	if err := m.post(ctx, question, &said); err != nil {
		return gate.Judgement{}, err
	}
	if len(said.Results) == 0 {
		return gate.Judgement{}, errors.New("a moderation endpoint gave no result")
	}
	var j gate.Judgement
	var categories []string
	for _, r := range said.Results {
		if r.Flagged == nil {
			return gate.Judgement{}, errors.New("a moderation endpoint did not say whether it flags")
		}
		j.Cut = j.Cut || *r.Flagged
		for name, is := range r.Categories {
			if is {
				categories = append(categories, code(name))
			}
		}
	}
	if j.Cut {
		slices.Sort(categories)
		j.Reason = "flagged " + strings.Join(slices.Compact(categories), ", ")
	}
	return j, nil
}

// Hook asks any service: POST with a gate.Inspection and its text, answered by
// {"action":"allow"} or {"action":"cut","reason":"CODE"}.
type Hook struct{ remote }

// NewHook asks the service at address.
func NewHook(address string, key vault.Secret) (Hook, error) {
	r, err := newRemote(address, key)
	return Hook{r}, err
}

// Judge implements gate.Guard.
func (h Hook) Judge(ctx context.Context, i gate.Inspection) (gate.Judgement, error) {
	var said struct {
		Action string `json:"action"`
		Reason string `json:"reason"`
	}
	if err := h.post(ctx, struct {
		gate.Inspection
		Text string `json:"text"`
	}{i, string(i.Text)}, &said); err != nil {
		return gate.Judgement{}, err
	}
	switch said.Action {
	case "allow":
		return gate.Judgement{}, nil
	case "cut":
		return gate.Judgement{Cut: true, Reason: code(said.Reason)}, nil
	}
	return gate.Judgement{}, errors.New("a hook's action is allow or cut")
}

// code is a server's reason for the record, which holds no content: a server
// could quote what it was asked about, so only a single short word is kept.
func code(s string) string {
	if len(s) > codeMax || strings.Trim(s, codeLetters) != "" {
		return "(a reason that is no code)"
	}
	return s
}
