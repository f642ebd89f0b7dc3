package react

import (
	"proofhouse/internal/bench"
	"proofhouse/internal/chat"
)

// cleared stands in place of a tool's output that is left out.
const cleared = "(This output was left out to save space. Run the call again if you need it.)"

const (
	// keepTurns is how many of the last messages are never touched.
	keepTurns = 8
	// bytesPerToken is a low guess, for messages that no server counted yet.
	bytesPerToken = 3
)

// compact makes the conversation shorter before it fills the model's context.
func (w *work) compact() error {
	c, ok := compaction(w.messages, w.estimate(), w.config.Context-room(w.config))
	if !ok {
		return nil
	}
	if err := w.s.Compact(c); err != nil {
		return err
	}
	w.follow(bench.Step{Compaction: &c})
	w.size, w.sized = c.After, len(w.messages)
	return nil
}

// room is what an answer needs of the context.
func room(c bench.ModelConfig) int64 {
	most := c.Generate.MaxTokens
	if most == 0 || most > c.Context/4 {
		most = c.Context / 4
	}
	return most + c.Context/20
}

// estimate is how many tokens the conversation has: what the server counted
// last, and a guess for what came since.
func (w *work) estimate() int64 {
	n := w.size
	for _, m := range w.messages[w.sized:] {
		n += tokens(m)
	}
	return n
}

// tokens guesses a message's tokens from its bytes.
func tokens(m chat.Message) int64 {
	n := len(m.Text) + 16
	for _, r := range m.Reasoning {
		n += len(r.Text)
	}
	for _, c := range m.ToolCalls {
		n += len(c.Arguments) + len(c.Function) + len(c.Raw) + 16
	}
	return int64(n/bytesPerToken + 1)
}

// compaction says how a conversation of about size tokens is brought to at
// most three quarters of most: first the oldest outputs of tools are cleared,
// and if that is not enough the oldest turns after the task are left out. What
// stays is a conversation still: a tool's answer never stands without its
// call. ok is false if nothing needs to be done, or can be.
func compaction(all []chat.Message, size, most int64) (c bench.Compaction, ok bool) {
	if most <= 0 || size <= most {
		return c, false
	}
	c.Before, c.Marker = size, cleared
	goal := most * 3 / 4
	gain := tokens(chat.Message{Text: cleared})
	last := max(0, len(all)-keepTurns)
	for i := 0; i < last && size > goal; i++ {
		if m := all[i]; m.Role == chat.ToolRole && m.Text != cleared && tokens(m) > gain {
			c.Cleared = append(c.Cleared, i)
			size -= tokens(m) - gain
		}
	}
	left := c.Apply(all)
	head := 0 // what is said before the model's first turn is the task
	for head < len(left) && left[head].Role != chat.Assistant {
		head++
	}
	end := head
	for size > goal && end < last {
		// A turn is the model's message and all that follows up to its next.
		next, turn := end+1, tokens(left[end])
		for next < len(left) && left[next].Role != chat.Assistant {
			turn += tokens(left[next])
			next++
		}
		if next > last {
			break
		}
		size, end = size-turn, next
	}
	if end > head {
		c.From, c.To = head, end
	}
	c.After = max(1, size)
	return c, len(c.Cleared) > 0 || c.To > 0
}
