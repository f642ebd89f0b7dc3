package gate

import (
	"context"
	"time"
)

// SetWait replaces how the client waits between attempts.
func (c *Client) SetWait(wait func(context.Context, time.Duration) error) { c.wait = wait }
