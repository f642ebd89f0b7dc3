package gate_test

import (
	"testing"

	"proofhouse/internal/chat"
	"proofhouse/internal/gate/anthropic"
	"proofhouse/internal/gate/gatetest"
	"proofhouse/internal/gate/openai"
)

func TestProtocols(t *testing.T) {
	const model = gatetest.Real
	usage := chat.Usage{Input: 12, Output: 7}
	t.Run("openai-chat", func(t *testing.T) {
		const body = `{"model":"` + model + `","messages":[{"role":"user","content":"hello"}]`
		gatetest.TestProtocol(t, openai.Chat{}, gatetest.Sample{
			Request: body + `}`, Streamed: body + `,"stream":true}`, Usage: usage, Text: "one two",
			Answer: gatetest.Chat(model, "one two", 12, 7), Stream: gatetest.ChatStream(model, "one two", 12, 7),
		})
	})
	t.Run("openai-responses", func(t *testing.T) {
		const body = `{"model":"` + model + `","input":"hello"`
		const answer = `{"id":"resp_1","object":"response","status":"completed","model":"` + model + `","output":[{"type":"message","content":[{"type":"output_text","text":"one two"}]}],"usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":4},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":3},"total_tokens":19}}`
		gatetest.TestProtocol(t, openai.Responses{}, gatetest.Sample{
			Request: body + `}`, Streamed: body + `,"stream":true}`, Usage: chat.Usage{Input: 8, CacheRead: 4, Output: 7, Reasoning: 3}, Text: "one two",
			Answer: gatetest.Answer{Chunks: []string{answer}},
			Stream: gatetest.Answer{Chunks: []string{
				"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"model\":\"" + model + "\",\"usage\":null}}\n\n",
				"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"output_index\":0,\"content_index\":0,\"delta\":\"one two\"}\n\n",
				"event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":" + answer + "}\n\n",
			}},
		})
	})
	t.Run("anthropic-messages", func(t *testing.T) {
		const body = `{"model":"` + model + `","max_tokens":50,"messages":[{"role":"user","content":"hello"}]`
		gatetest.TestProtocol(t, anthropic.Messages{}, gatetest.Sample{
			Request: body + `}`, Streamed: body + `,"stream":true}`, Usage: usage, Text: "one two",
			Answer: gatetest.Answer{Chunks: []string{`{"id":"msg_1","type":"message","role":"assistant","model":"` + model + `","content":[{"type":"text","text":"one two"}],"stop_reason":"end_turn","usage":{"input_tokens":12,"output_tokens":7}}`}},
			Stream: gatetest.MessageStream(model, "one two", 12, 7),
		})
	})
}
