package gate

import (
	"context"
	"time"
)

// SetWait replaces how the client waits between attempts.
func (c *Client) SetWait(wait func(context.Context, time.Duration) error) { c.wait = wait }

// Room is what is left of Config.Memory.
func (g *Gate) Room() int64 { return g.memory.left.Load() }
