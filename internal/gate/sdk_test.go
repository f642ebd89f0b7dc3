package gate_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	anthropicsdk "github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	openaisdk "github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"

	"proofhouse/internal/gate"
	"proofhouse/internal/gate/gatetest"
)

// TestOpenAISDK uses the official client, with nothing changed but its base URL and key.
func TestOpenAISDK(t *testing.T) {
	h := open(t, answerChat, nil)
	client := openaisdk.NewClient(openaioption.WithBaseURL(h.srv.URL+"/v1"), openaioption.WithAPIKey(h.key))
	ask := openaisdk.ChatCompletionNewParams{Model: codename, Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("hello")}}
	got, err := client.Chat.Completions.New(t.Context(), ask)
	if err != nil || got.Choices[0].Message.Content != "one two three" || got.Model != codename || got.Usage.PromptTokens != 12 {
		t.Fatalf("%+v, %v", got, err)
	}
	stream := client.Chat.Completions.NewStreaming(t.Context(), ask)
	var text strings.Builder
	for stream.Next() {
		for _, c := range stream.Current().Choices {
			text.WriteString(c.Delta.Content)
		}
	}
	if stream.Err() != nil || text.String() != "one two three" {
		t.Errorf("streamed %q, %v", text.String(), stream.Err())
	}
	models, err := client.Models.List(t.Context())
	if err != nil || len(models.Data) != 1 || models.Data[0].ID != codename {
		t.Errorf("models %+v, %v", models, err)
	}
	ask.Model = realName
	_, err = client.Chat.Completions.New(t.Context(), ask)
	if e, ok := errors.AsType[*openaisdk.Error](err); !ok || e.StatusCode != http.StatusNotFound || e.Code != "model_not_found" {
		t.Errorf("the real name: %v", err)
	}
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 2, Input: 24, Output: 14}) {
		t.Errorf("charged %+v", a.Spent)
	}
}

// TestAnthropicSDK likewise.
func TestAnthropicSDK(t *testing.T) {
	h := open(t, answerChat, nil)
	client := anthropicsdk.NewClient(anthropicoption.WithBaseURL(h.srv.URL), anthropicoption.WithAPIKey(h.key))
	stream := client.Messages.NewStreaming(t.Context(), anthropicsdk.MessageNewParams{
		Model: codename, MaxTokens: 64, Messages: []anthropicsdk.MessageParam{anthropicsdk.NewUserMessage(anthropicsdk.NewTextBlock("hello"))},
	})
	var message anthropicsdk.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if stream.Err() != nil || message.Content[0].Text != "one two three" || message.Model != codename || message.Usage.OutputTokens != 7 {
		t.Errorf("%+v, %v", message, stream.Err())
	}
	_, err := client.Messages.New(t.Context(), anthropicsdk.MessageNewParams{Model: codename, MaxTokens: 5000, Messages: []anthropicsdk.MessageParam{}})
	if e, ok := errors.AsType[*anthropicsdk.Error](err); !ok || e.StatusCode != http.StatusForbidden || !strings.Contains(e.RawJSON(), "permission_error") {
		t.Errorf("over the cap: %v", err)
	}
	if a := h.settled(t); a.Spent != (gate.Amount{Requests: 1, Input: 12, Output: 7}) {
		t.Errorf("charged %+v", a.Spent)
	}
}

// TestSDKSpentBudget: the client that retries 429 by itself is told not to.
func TestSDKSpentBudget(t *testing.T) {
	h := open(t, answerChat, func(_ *gate.Config, g *gate.Grant) { g.Limits.Output = 999 })
	tries := 0
	client := openaisdk.NewClient(openaioption.WithBaseURL(h.srv.URL+"/v1"), openaioption.WithAPIKey(h.key), openaioption.WithMiddleware(
		func(r *http.Request, next openaioption.MiddlewareNext) (*http.Response, error) {
			tries++
			return next(r)
		}))
	_, err := client.Chat.Completions.New(t.Context(), openaisdk.ChatCompletionNewParams{Model: codename, Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("hello")}})
	if e, ok := errors.AsType[*openaisdk.Error](err); !ok || e.Code != "insufficient_quota" || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}

// TestSDKRevoked: a client in the middle of a stream reads why it ended.
func TestSDKRevoked(t *testing.T) {
	h := open(t, func(r gatetest.Request) gatetest.Answer {
		a := answerChat(r)
		a.Chunks, a.Stall = a.Chunks[:len(a.Chunks)-3], true
		return a
	}, nil)
	client := openaisdk.NewClient(openaioption.WithBaseURL(h.srv.URL+"/v1"), openaioption.WithAPIKey(h.key))
	stream := client.Chat.Completions.NewStreaming(t.Context(), openaisdk.ChatCompletionNewParams{Model: codename, Messages: []openaisdk.ChatCompletionMessageParamUnion{openaisdk.UserMessage("hello")}})
	if !stream.Next() {
		t.Fatal(stream.Err())
	}
	if _, _, err := h.Revoke(t.Context(), func(gate.Grant) bool { return true }, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	for stream.Next() {
	}
	if err := stream.Err(); err == nil || !strings.Contains(err.Error(), "access was revoked") {
		t.Errorf("the client was told %v", err)
	}
}
