package target

import (
	"context"

	"proofhouse/internal/sandbox"
)

// goCache is the go command's build cache in a box.
const goCache = "/work/cache"

// warmGo gives the root that Go is built in.
func (b *Builder) warmGo(_ context.Context, root sandbox.Image) (sandbox.Image, error) {
	return root, nil
}
